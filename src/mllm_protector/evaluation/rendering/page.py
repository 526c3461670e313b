"""The shell of every HTML page: styles inside it, no script, nothing loaded from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["page"]

_STYLE = """
:root{color-scheme:light dark;--bg:#fff;--fg:#1c2430;--soft:#5d6b7c;--line:#d9e0e8;--card:#f5f7fa;
--before:#d1495b;--after:#2a7f9e;--warn:#fff4d6;--warnline:#d9a404}
@media (prefers-color-scheme:dark){:root{--bg:#12161c;--fg:#e3e8ee;--soft:#94a3b5;--line:#2c3542;
--card:#1a212a;--before:#f0788a;--after:#5cc3e6;--warn:#33290d;--warnline:#b98b0b}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:1040px;padding:2rem 1.2rem 4rem;background:var(--bg);color:var(--fg);
font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}h1{font-size:1.7rem;margin:0 0 .2rem}
h2{margin:2.6rem 0 .6rem;border-bottom:1px solid var(--line);padding-bottom:.3rem}
h3{margin:1.6rem 0 .4rem;font-size:1.02rem}p.sub,.note{color:var(--soft)}
.note{font-size:.85rem;margin:.3rem 0}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(170px,1fr));gap:.8rem;margin:1.2rem 0}
.card{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:.8rem 1rem}
.card b{display:block;font-size:1.35rem;font-variant-numeric:tabular-nums}
.card span{color:var(--soft);font-size:.85rem}
.warn{background:var(--warn);border-left:4px solid var(--warnline);border-radius:6px;padding:.5rem .9rem;
margin:.5rem 0}.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.88rem;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:.35rem .6rem;border-bottom:1px solid var(--line);vertical-align:top}
th{color:var(--soft);font-weight:600}svg{width:100%;height:auto;display:block;margin:.6rem 0}
svg text{fill:var(--fg);font:12px system-ui,sans-serif}svg .tick{fill:var(--soft);font-size:11px}
.grid{stroke:var(--line);stroke-dasharray:3 3}.frame{fill:none;stroke:var(--line)}
.before{fill:var(--before)}.after{fill:var(--after)}
.whisker{stroke:var(--fg);stroke-width:1;opacity:.5}
.line{fill:none;stroke:var(--after);stroke-width:2}.dot{fill:var(--after);opacity:.75}
.pair{display:flex;flex-wrap:wrap;gap:1rem}.pair>*{flex:1 1 300px}
.key i{display:inline-block;width:.8em;height:.8em;border-radius:2px;margin:0 .35em 0 .9em}
details{border:1px solid var(--line);border-radius:8px;margin:.5rem 0;padding:.45rem .8rem;
background:var(--card)}summary{cursor:pointer}
pre{white-space:pre-wrap;overflow-wrap:anywhere;font:.85rem/1.5 ui-monospace,Consolas,monospace;
border-left:3px solid var(--line);padding-left:.8rem;margin:.4rem 0}pre.b{border-color:var(--before)}
pre.a{border-color:var(--after)}
"""


def page(title: str, body: Iterable[str]) -> str:
    """Return a whole page; title and body are HTML, escaped by who made them."""
    head = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{title}</title><style>{_STYLE}</style></head><body>"
    )
    return head + "\n".join(body) + "</body></html>\n"
