"""From the probabilities of tokens to that of a verdict, and of labels (pure; see design/023)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mllm_protector.backends.detectors.guards.guard import Verdict

__all__ = ["NextToken", "harm_of", "spread", "stripped"]

_SHORTEST = 2  # characters of a beginning that stands for its word: a lone letter may begin anything
_MARKERS = str.maketrans({"\u2581": " ", "\u0120": " ", "\u010a": "\n"})  # spaces of raw vocabularies


@dataclass(frozen=True, slots=True)
class NextToken:
    """What may come next.

    Attributes:
        probabilities: text of a token -> its probability; all, or the likeliest.
        rest: what a token that is not among them can have at most.
    """

    probabilities: Mapping[str, float]
    rest: float = 0.0

    @classmethod
    def of(cls, log_probabilities: Iterable[tuple[str, float]]) -> NextToken:
        """From the likeliest tokens and their log p: none of the others is likelier than the last of them."""
        found: dict[str, float] = {}
        least, total = 1.0, 0.0
        for text, value in log_probabilities:
            p = math.exp(min(0.0, value))
            found[text] = found.get(text, 0.0) + p
            least, total = min(least, p), total + p
        return cls(found, min(least, max(0.0, 1.0 - total)) if found else 1.0)


def stripped(token: str) -> str:
    """The letters of a token, in lower case."""
    return token.translate(_MARKERS).strip().lower()


def harm_of(found: NextToken, verdict: Verdict) -> float | None:
    """Return p(unsafe) / (p(unsafe) + p(safe)); None if neither word is among the tokens.

    Every spelling counts (case, a space before it, its first piece). A word that is not among the
    likeliest tokens is taken to be as likely as it can be, which draws the result towards one half.
    """
    mass = dict.fromkeys(verdict.words, 0.0)
    for token, p in found.probabilities.items():
        text = stripped(token)
        meant = [word for word in mass if text and word.startswith(text)]
        if len(meant) == 1 and (len(text) >= _SHORTEST or text == meant[0]):
            mass[meant[0]] += p
    between = mass.get(verdict.between.lower(), 0.0)
    unsafe, safe = mass[verdict.unsafe.lower()], mass[verdict.safe.lower()]
    if unsafe + safe + between <= 0.0:
        return None
    unsafe, safe = (p if p > 0.0 else found.rest for p in (unsafe, safe))
    return (unsafe + verdict.weight * between) / (unsafe + between + safe)


def spread(found: NextToken, begun: str, labels: Sequence[str]) -> dict[str, float]:
    """Return how likely each continuation of a label is, as shares of 1; empty if none is there.

    Args:
        found: what may follow ``begun``.
        begun: the label's first characters, as far as they are written.
        labels: all labels, in lower case.

    Returns:
        longer beginning (or whole label) -> share; ``begun`` itself if it is whole and may end here.
    """
    shares: dict[str, float] = {}
    for token, p in found.probabilities.items():
        text = token.translate(_MARKERS).lower()
        longer = begun + (text if begun else text.strip())
        if longer != begun and any(label.startswith(longer) for label in labels):
            shares[longer] = shares.get(longer, 0.0) + p
    total = sum(shares.values())
    if begun in labels:  # whatever else comes next ends the label
        return {**shares, begun: max(0.0, 1.0 - total)}
    return {longer: p / total for longer, p in shares.items()} if total > 0.0 else {}
