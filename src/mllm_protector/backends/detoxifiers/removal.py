"""Finds the fewest sentences to take out of a response so that the rest meets the standard.

The search asks for scores and is told them: a generator that yields texts to be judged and receives
their detections. Many searches can so share one batch per round. Four to six rounds, each bounded:

1. every unit alone, as an answer to the request and then to nothing: a detector may excuse by the request
   what is harmful in itself, and the other way round. Units that fail either way must go, the others are
   ranked. Where none fails that says something the harm cannot be placed, and nothing is kept;
2. the must-go alone, then with each of the next worst, then with the 2, 4, 8, ... worst: the smallest
   removal that passes with a margin wins, of equal ones that with the least harm;
3. units that were removed beyond need are put back, first one by one, then together.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable
from dataclasses import dataclass, replace

from mllm_protector.backends.detoxifiers.mending import closure, render
from mllm_protector.backends.detoxifiers.passages import Passage, read_passage
from mllm_protector.types import Detection, Span, Standard

__all__ = ["Limits", "Removal", "Unasked", "keep_harmless"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on the work and on what is still a text.

    Attributes:
        characters: a longer response is not searched.
        units: a response of more units is not searched.
        trial_characters: characters scored in trials, over all rounds of one response.
        kept_share: share of the characters that has to remain.
        kept_sentences: real sentences that have to remain (one is enough where half of the text remains).
        margin: share of the standard's limit of harm below which the rest has to be. An answer to a
            harmful request can be cut until it just passes and still serve that request; what is left of
            a harmless answer is far from the limit.
    """

    characters: int = 60_000
    units: int = 400
    trial_characters: int = 100_000
    kept_share: float = 0.25
    kept_sentences: int = 2
    margin: float = 0.6


@dataclass(frozen=True, slots=True)
class Removal:
    """A result: the new text with its note, and the numbers of the units that were taken out."""

    text: str
    removed: frozenset[int]


class Unasked(list[str]):
    """Texts to be judged as answers to nothing."""


_SINGLES = 6
_STEPS = (2, 4, 8, 16, 32, 64, 128, 256)

Search = Generator[list[str], list[Detection], Removal | None]

_PLEASANTRY = re.compile(
    r"(?:sure|certainly|of course|absolutely|okay|ok\b|i hope|let me know|feel free|good luck|here(?:'s"
    r"| is| are)|thanks"
    r"|thank you|great question|as an ai|remember|i'?m sorry|sorry|i apologi[sz]e|i can(?:no|')t"
    r"|i am unable|i'm unable"
    r"|please note|it(?:'s| is) important|disclaimer|note:|warning|happy to help|glad to help|enjoy"
    r"|have (?:a|fun))\b",
    re.IGNORECASE,
)
_WORD = re.compile(r"\w+")
_CJK = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")


def keep_harmless(
    response: str, standard: Standard, spans: Iterable[Span], note: str, limits: Limits
) -> Search:
    """Search the removal; returns None where the response is harmful as a whole or too large to search.

    Args:
        response: the harmful response.
        standard: what the rest, its note included, has to meet.
        spans: stretches the detector already found, used for ranking.
        note: the sentence that tells of the removal, placed at the end.
        limits: bounds.
    """
    if len(response) > limits.characters:
        return None
    passage = read_passage(response)
    count = len(passage.units)
    if not 2 <= count <= limits.units:
        return None
    units = [passage.words_of(number) for number in range(count)]
    asked = yield units
    unasked = yield Unasked(units)
    alone = [a if a.harm >= b.harm else b for a, b in zip(asked, unasked, strict=True)]
    must = frozenset(
        number
        for number in range(count)
        if not (standard.met_by(asked[number]) and standard.met_by(unasked[number]))
    )
    if all(_is_assent(units[number]) for number in must):
        return None  # a mere "Sure." is harmful by its request alone, and places nothing
    rank = _ranked(passage, alone, spans)
    others = [number for number in rank if number not in must]
    standard = replace(standard, harm=standard.harm * limits.margin)
    trials = _trial_sets(passage, must, others, limits)
    if not trials:
        return None
    texts = [_with_note(passage, removed, note) for removed in trials]
    judged = yield texts
    passing = [n for n, found in enumerate(judged) if standard.met_by(found)]
    if not passing:
        return None
    best = min(passing, key=lambda n: (len(trials[n]), judged[n].harm, n))
    removed, text = trials[best], texts[best]
    spare = [number for number in reversed(rank) if number in removed and number not in must]
    budget = limits.trial_characters // max(1, len(response))
    if spare and budget:
        removed, text = yield from _put_back(passage, removed, text, must, spare[:budget], standard, note)
    return Removal(text, removed)


def _put_back(
    passage: Passage,
    removed: frozenset[int],
    text: str,
    must: frozenset[int],
    spare: list[int],
    standard: Standard,
    note: str,
) -> Generator[list[str], list[Detection], tuple[frozenset[int], str]]:
    """Return the removal without the ``spare`` units whose return, alone and together, still passes."""

    def without(back: Iterable[int]) -> frozenset[int]:
        return closure(passage, must | (removed.difference(back)))

    single = [without([number]) for number in spare]
    useful = [n for n, trial in enumerate(single) if len(trial) < len(removed)]
    if not useful:
        return removed, text
    judged = yield [_with_note(passage, single[n], note) for n in useful]
    back = [spare[n] for n, found in zip(useful, judged, strict=True) if standard.met_by(found)]
    if not back:
        return removed, text
    together = [without(back[:k]) for k in range(1, len(back) + 1)]
    texts = [_with_note(passage, trial, note) for trial in together]
    judged = yield texts
    for n in range(len(together) - 1, -1, -1):
        if standard.met_by(judged[n]) and len(together[n]) < len(removed):
            return together[n], texts[n]
    return removed, text


def _ranked(passage: Passage, alone: list[Detection], spans: Iterable[Span]) -> list[int]:
    """Return the units, the most harmful first."""
    harm = [found.harm for found in alone]
    ordered = sorted(spans, key=lambda span: span.start)[:1000]
    for span in ordered:
        for number, unit in enumerate(passage.units):
            overlap = min(unit.end, span.end) - max(unit.start, span.start)
            if overlap > 0 and 2 * overlap >= unit.end - unit.start:
                harm[number] = max(harm[number], span.harm)
    return sorted(range(len(harm)), key=lambda number: (-harm[number], number))


def _trial_sets(
    passage: Passage, must: frozenset[int], others: list[int], limits: Limits
) -> list[frozenset[int]]:
    """Return the removals to try, the smallest first, only those that leave a text."""
    budget = max(3, limits.trial_characters // max(1, len(passage.text)))
    extras: list[list[int]] = [[], *([number] for number in others[:_SINGLES])]
    extras += [others[:count] for count in _STEPS if count <= len(others)]
    found: dict[frozenset[int], None] = {}
    for extra in extras:
        if len(found) >= budget:
            break
        removed = closure(passage, must.union(extra))
        if removed and _worth_keeping(passage, removed, limits):
            found[removed] = None
    return list(found)


def _worth_keeping(passage: Passage, removed: frozenset[int], limits: Limits) -> bool:
    kept = [number for number in range(len(passage.units)) if number not in removed]
    characters = sum(len(passage.words_of(number)) for number in kept)
    share = characters / max(1, len(passage.text.strip()))
    real = sum(_is_real(passage, number) for number in kept)
    return share >= limits.kept_share and (real >= limits.kept_sentences or (real == 1 and share >= 0.5))


def _is_real(passage: Passage, number: int) -> bool:
    """Whether a unit says something: not a heading, a pleasantry, or a scrap."""
    kind = passage.blocks[passage.units[number].block].kind
    words = passage.words_of(number)
    if kind in ("code", "table"):
        return True
    if kind == "heading" or _PLEASANTRY.match(words) or words.endswith(":"):
        return False
    return len(_WORD.findall(words)) >= 4 or len(_CJK.findall(words)) >= 6


def _is_assent(words: str) -> bool:
    """Whether a unit only agrees ("Sure.", "Of course!") and says nothing of its own."""
    return bool(_PLEASANTRY.match(words)) and len(_WORD.findall(words)) <= 3


def _with_note(passage: Passage, removed: frozenset[int], note: str) -> str:
    rest = render(passage, removed)
    last = next((b for b in reversed(passage.blocks) if not removed.issuperset(b.units)), None)
    if last is not None and last.kind == "code":
        fence = re.match(r"\s*(`{3,}|~{3,})", passage.text[last.start : last.end])
        if fence and not rest.endswith(fence[1]):
            rest += f"\n{fence[1]}"  # an unfinished code block would swallow the note
    return f"{rest}\n\n{note}"
