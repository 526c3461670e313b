"""The table that ``protect --table`` shows: one row per exchange of a written file."""

from __future__ import annotations

import json
import os.path
from itertools import islice
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mllm_protector.cli.render import category_name, excerpt, plain, top_categories

__all__ = ["show_table"]

_ROWS = 200
_WIDEST = 300
_WIDTH_IN_FILES = 120
_SHARED = 40  # a shared beginning longer than this is cut, so that the change is seen
_STYLES = {"allow": "green", "flag": "yellow", "disclaim": "yellow", "detoxify": "magenta", "refuse": "red"}


def show_table(out: Path, console: Console | None = None) -> None:
    """Show the first rows of a file that ``protect`` wrote."""
    console = console or Console(highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, _WIDTH_IN_FILES)
    table = Table(box=SIMPLE_HEAD, pad_edge=False, expand=True, show_lines=False)
    for name, width in (("exchange", 22), ("done", 11), ("response as it was, and as delivered", None)):
        table.add_column(name, no_wrap=True, overflow="ellipsis", width=width, ratio=None if width else 1)
    with out.open("rb") as stream:
        for number, line in enumerate(islice(stream, _ROWS), start=1):
            _add_row(table, number, json.loads(line))
        more = sum(1 for _ in stream)
    console.print(table)
    if more:
        console.print(f"... and {more} more in {out}")


def _add_row(table: Table, number: int, record: dict[str, Any]) -> None:
    """One exchange takes one line if it was left alone, two if not."""
    protection = record["protection"]
    action, before, after = protection["action"], record["response"], protection["response"]
    style = _STYLES.get(action, "")
    name = Text(plain(str(record.get("id", number))))
    done = Text(action, style=style)
    start = _change(before, after)
    texts = Text(excerpt(before[start:], _WIDEST) or "(empty)")
    if action == "allow" and protection["harm"] is not None:
        done.append(f"  {protection['harm']:.2f}", style="dim")
    else:
        name.append(f"\n{_hazard(protection)}", style="dim")
        done.append(f"\n{_harm(protection['harm'], protection['recheck'])}")
        texts.stylize("dim")
        shown = excerpt(after[start:], _WIDEST) if after != before else "(as it was)"
        texts.append(f"\n{shown}", style=style)
    table.add_row(name, done, texts, end_section=action != "allow")


def _change(before: str, after: str) -> int:
    """Return where to begin showing two texts so that their difference is in sight; 0 if they are equal."""
    if before == after:
        return 0
    shared = len(os.path.commonprefix([before, after]))  # noqa: RUF071 (characters are meant)
    return 0 if shared <= _SHARED else before.rfind(" ", 0, shared - _SHARED // 2) + 1


def _harm(harm: float | None, recheck: float | None) -> str:
    before = "?" if harm is None else f"{harm:.2f}"
    return before if recheck is None else f"{before} \u2192 {recheck:.2f}"


def _hazard(protection: dict[str, Any]) -> str:
    if protection["harm"] is None:
        return "not judged"
    ranked = top_categories(protection["categories"], least=0.0)
    return category_name(ranked[0][0]) if ranked else ""
