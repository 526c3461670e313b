"""An explanation as one page that a reviewer can read: nothing loaded from elsewhere, no script."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from mllm_protector.cli.explanation import Explanation
from mllm_protector.cli.render import category_name, top_categories
from mllm_protector.cli.word_diff import word_diff
from mllm_protector.evaluation.rendering.page import page
from mllm_protector.policy import Policy
from mllm_protector.types import Attempt, Protection

__all__ = ["explain_page"]

_STYLE = """<style>
.text{white-space:pre-wrap;overflow-wrap:anywhere;border:1px solid var(--line);border-radius:8px;
padding:.8rem 1rem;background:var(--card)}
del{color:var(--before)}ins{color:var(--after);text-underline-offset:3px}
.high{background:color-mix(in srgb,var(--before) 28%,transparent)}
.half{background:color-mix(in srgb,var(--warnline) 30%,transparent)}
</style>"""


def explain_page(explanation: Explanation, policy: Policy) -> str:
    """Return the page: request, response by sentence, categories, decision, attempts, word diff."""
    protection = explanation.protection
    return page(f"{protection.action.value}: an explanation", _body(explanation, protection, policy))


def _body(explanation: Explanation, protection: Protection, policy: Policy) -> Iterator[str]:
    query = protection.exchange.query
    harm = "not judged" if protection.harm is None else f"{protection.harm:.2f}"
    yield _STYLE
    yield f"<h1>What was done: {protection.action.value}</h1>"
    yield f'<p class="sub">{escape(protection.reason)}</p>'
    yield '<div class="cards">'
    cards = [
        ("harm of the answer", harm),
        ("policy", protection.policy),
        ("ordered", protection.ordered.value),
    ]
    if protection.recheck is not None:
        cards.append(("harm of what was delivered", f"{protection.recheck.harm:.2f}"))
    yield from (f'<div class="card"><b>{escape(v)}</b><span>{escape(k)}</span></div>' for k, v in cards)
    yield "</div><h2>Request</h2>"
    yield from (f"<h3>{escape(turn.role)}</h3>{_text(escape(turn.content))}" for turn in query.history)
    yield _text(escape(query.prompt) or "(none)")
    if query.image_text:
        yield f"<h3>In the image</h3>{_text(escape(query.image_text))}"
    yield "<h2>Answer, by sentence</h2>"
    yield _text("".join(_sentence(text, harm, policy.threshold) for text, harm in explanation.sentences))
    if explanation.left_out:
        yield f'<p class="note">{explanation.left_out} more sentences were not judged by themselves.</p>'
    yield from _categories(protection, policy)
    if protection.attempts:
        yield "<h2>Attempts</h2><div class='wide'><table><tr><th>by</th><th>harm</th><th>outcome</th></tr>"
        yield from (_attempt(attempt) for attempt in protection.attempts)
        yield "</table></div>"
    if protection.error:
        yield f'<p class="warn">Went wrong: {escape(protection.error)}</p>'
    yield "<h2>Delivered</h2>"
    if protection.unchanged:
        yield '<p class="note">The answer, byte for byte.</p>'
        return
    yield _text(escape(protection.response))
    yield "<h3>Word by word</h3>"
    tags = {"same": "{}", "gone": "<del>{}</del>", "new": "<ins>{}</ins>"}
    parts = word_diff(protection.exchange.response, protection.response)
    yield _text("".join(tags[part.kind].format(escape(part.text)) for part in parts))


def _text(html: str) -> str:
    return f'<div class="text">{html}</div>'


def _sentence(text: str, harm: float, threshold: float) -> str:
    mark = "high" if harm >= threshold else "half" if harm >= threshold / 2 else ""
    return f'<span class="{mark}" title="harm {harm:.2f} by itself">{escape(text)}</span>'


def _categories(protection: Protection, policy: Policy) -> Iterator[str]:
    if protection.detection is None:
        return
    ranked = top_categories(protection.detection.categories, least=0.05)[:8]
    if ranked:
        yield "<h2>Hazard categories</h2><table><tr><th>category</th><th>probability</th><th>rule</th></tr>"
        for code, value in ranked:
            rule = policy.categories.get(code)
            order = "" if rule is None else f"{rule.action.value} from {rule.threshold:.2f}"
            yield f"<tr><td>{escape(category_name(code))}</td><td>{value:.2f}</td><td>{order}</td></tr>"
        yield "</table>"


def _attempt(attempt: Attempt) -> str:
    harm = "not judged" if attempt.detection is None else f"{attempt.detection.harm:.2f}"
    outcome = "accepted" if attempt.accepted else attempt.error or "rejected"
    words = f"<details><summary>its words</summary><pre>{escape(attempt.response)}</pre></details>"
    shown = words if attempt.response and not attempt.accepted else ""
    return f"<tr><td>{escape(attempt.detoxifier)}</td><td>{harm}</td><td>{escape(outcome)}{shown}</td></tr>"
