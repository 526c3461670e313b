"""An explanation: what it consists of, and how it looks on the terminal."""

from __future__ import annotations

from dataclasses import dataclass, replace

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from mllm_protector.cli.render import category_name, excerpt, plain, top_categories
from mllm_protector.cli.word_diff import word_diff
from mllm_protector.policy import Policy
from mllm_protector.protector import Protector
from mllm_protector.text.sentences import split_sentences
from mllm_protector.types import Exchange, Protection

__all__ = ["Explanation", "explain_exchange", "show"]

_BAR = 24
_MOST_SENTENCES = 500


@dataclass(frozen=True, slots=True)
class Explanation:
    """What ``explain`` shows.

    Attributes:
        protection: what was done with the exchange.
        sentences: text of a sentence, and P(harmful) of it alone as a response to the same query.
        left_out: how many sentences were not judged by themselves.
    """

    protection: Protection
    sentences: tuple[tuple[str, float], ...]
    left_out: int


def explain_exchange(protector: Protector, exchange: Exchange) -> Explanation:
    """Protect the exchange, and judge each sentence of its response by itself."""
    protection = protector.protect([exchange])[0]
    pieces = split_sentences(exchange.response)
    shown = pieces[:_MOST_SENTENCES]
    alone = [replace(exchange, response=piece) for piece in shown]
    harms = [d.harm for d in protector.detect(alone)]
    return Explanation(protection, tuple(zip(shown, harms, strict=True)), len(pieces) - len(shown))


def show(explanation: Explanation, policy: Policy, console: Console | None = None) -> None:
    """Print the exchange, its sentences by harm, its categories, the decision and what was delivered."""
    console = console or Console(highlight=False)
    protection = explanation.protection
    query = protection.exchange.query
    _heading(console, "Prompt")
    console.print(Padding(Text(plain(query.prompt) or "(none)"), (0, 2)))
    if query.image_text:
        console.print(Padding(Text(f"in the image: {plain(query.image_text)}", style="dim"), (0, 2)))
    _heading(console, "Response, sentence by sentence")
    console.print(_sentences(explanation, policy.threshold))
    if protection.detection is not None:
        _heading(console, f"Harm of the whole: {protection.detection.harm:.2f}")
        console.print(_categories(protection, policy))
    _heading(console, f"Policy {policy.name}: {protection.action.value}")
    _decision(console, protection)
    if not protection.unchanged:
        _heading(console, "Delivered (struck out: what went; underlined: what came)")
        console.print(Padding(_difference(protection), (0, 2)))


def _difference(protection: Protection) -> Text:
    """The delivered text against the original, word by word; colour is never the only sign."""
    text = Text()
    styles = {"same": "", "gone": "red strike", "new": "green underline"}
    for part in word_diff(protection.exchange.response, protection.response):
        text.append(plain(part.text), style=styles[part.kind])
    return text


def _heading(console: Console, text: str) -> None:
    console.print(Text(f"\n{text}", style="bold"))


def _sentences(explanation: Explanation, threshold: float) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", no_wrap=True)
    table.add_column()
    for sentence, harm in explanation.sentences:
        style = _style(harm, threshold)
        table.add_row(f"  {harm:.2f}", Text(plain(sentence.strip()) or "(blank)", style=style))
    if explanation.left_out:
        table.add_row("", f"... and {explanation.left_out} more sentences")
    if not explanation.sentences:
        table.add_row("", "(empty)")
    return table


def _style(harm: float, threshold: float) -> str:
    if harm >= threshold:
        return "white on red"
    return "black on yellow" if harm >= threshold / 2 else "black on green"


def _categories(protection: Protection, policy: Policy) -> Table:
    assert protection.detection is not None
    table = Table.grid(padding=(0, 2))
    ranked = top_categories(protection.detection.categories, least=0.05)[:8]
    for code, value in ranked:
        rule = policy.categories.get(code)
        note = "" if rule is None else f"{rule.action.value} from {rule.threshold:.2f}"
        table.add_row(
            f"  {category_name(code)}", "\u2588" * max(1, round(value * _BAR)), f"{value:.2f}", note
        )
    if not ranked:
        table.add_row("  no hazard category stands out")
    return table


def _decision(console: Console, protection: Protection) -> None:
    lines = [f"ordered: {protection.ordered.value}, because {protection.reason}"]
    for attempt in protection.attempts:
        harm = "not judged" if attempt.detection is None else f"harm {attempt.detection.harm:.2f}"
        outcome = "accepted" if attempt.accepted else attempt.error or "rejected"
        lines.append(f"tried {attempt.detoxifier}: {harm}, {outcome}")
    if protection.error:
        lines.append(f"went wrong: {excerpt(protection.error, 300)}")
    for line in lines:
        console.print(Padding(Text(line), (0, 2)))
