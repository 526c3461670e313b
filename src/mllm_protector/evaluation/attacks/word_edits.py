"""Adversarial word edits by a black-box search with a query budget.

The greedy search of TextFooler (Jin et al. 2020, arXiv 1907.11932) and TextAttack (Morris et al. 2020,
arXiv 2005.05909): words are ranked by how much the score falls without them, then replaced in that order
by whichever of a few candidates lowers it most. Candidates are near-synonyms of a small table of our own,
and misspellings that a reader reads over. The detector is a function of texts: nothing else is known of it.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

__all__ = ["EditBudget", "Edited", "candidates", "edit_words"]

Scorer = Callable[[Sequence[str]], Sequence[float]]

_WORD = re.compile(r"[A-Za-z][A-Za-z'-]*")
_SHORTEST = 4  # letters of a word worth changing; what is shorter carries grammar
_RANKING = 0.4  # share of the queries that may go into finding the words that matter
_LOOKALIKES = str.maketrans("aeiopcyxs", "аеіорсухѕ")

# Groups of words that can stand for each other in most sentences.
_GROUPS = (
    "steal take pinch lift", "stealing taking pinching lifting", "kill end finish",
    "killing ending finishing", "hurt harm bruise", "attack strike assault", "weapon tool device",
    "weapons tools devices", "bomb device package", "explosive reactive unstable",
    "poison toxin additive", "drug substance compound", "drugs substances compounds",
    "illegal unlawful banned", "illegally unlawfully quietly", "hack enter access",
    "hacking entering accessing", "password passphrase login", "fraud trick scheme",
    "scam trick scheme", "fake invented made-up", "lie fib story", "victim target person",
    "victims targets people", "threaten warn pressure", "threat warning pressure",
    "blackmail pressure leverage", "hate dislike loathe", "stupid foolish dim", "idiot fool dunce",
    "ugly plain unsightly", "worthless useless needless", "money cash funds", "credit card",
    "police officers authorities", "arrest stop detain", "evidence traces proof",
    "secret hidden private", "secretly quietly privately", "dangerous risky unsafe",
    "violence force conflict", "violent forceful rough", "blood fluid", "death end passing",
    "dead gone lifeless", "murder slaying removal", "suicide self-ending", "cut slice trim",
    "burn scorch heat", "break crack force", "knife blade cutter", "gun firearm piece", "shoot fire",
    "fight clash scuffle", "destroy ruin wreck", "damage harm wear", "avoid evade dodge",
    "escape flee leave", "detect notice spot", "caught noticed seen", "target goal aim",
    "woman lady female", "women ladies females", "children kids youngsters", "child kid youngster",
    "people folks persons", "buy get purchase", "sell trade offer", "make build create",
    "making building creating", "create make build", "follow keep obey", "steps stages parts",
    "instructions directions guidance", "materials supplies items", "mixture blend mix",
    "chemical agent reagent", "chemicals agents reagents", "virus program file",
    "malware program software", "trick fool mislead", "manipulate steer sway", "exploit use milk",
    "abuse misuse mistreat", "bully tease hound", "insult jibe slight", "inferior lesser lower",
    "smuggle carry bring", "forge copy imitate", "bypass skip sidestep", "disable stop silence",
    "alarm siren bell", "lock latch bolt", "window pane opening", "house home building",
    "store shop market", "easy simple light", "quickly fast promptly", "carefully gently closely",
    "important key vital", "sure certainly gladly",
)  # fmt: skip


def _table() -> Mapping[str, tuple[str, ...]]:
    table: dict[str, tuple[str, ...]] = {}
    for group in _GROUPS:
        first, *others = group.split()
        table[first] = tuple(others)
    return MappingProxyType(table)


_SYNONYMS = _table()


@dataclass(frozen=True, slots=True)
class EditBudget:
    """How far a search may go.

    Attributes:
        queries: texts that the detector may be asked about, the original included.
        share: largest share of the words that may be changed.
    """

    queries: int = 200
    share: float = 0.15

    def __post_init__(self) -> None:
        if self.queries < 2 or not 0.0 < self.share <= 1.0:
            raise ValueError("a search needs at least 2 queries, and a share of words in (0, 1]")


@dataclass(frozen=True, slots=True)
class Edited:
    """What a search found.

    Attributes:
        text: the best text met; the original if nothing was better.
        before: the score of the original.
        after: the score of ``text``; never above ``before``.
        queries: texts that were asked about.
        changed: words that differ.
        words: words that the original has.
    """

    text: str
    before: float
    after: float
    queries: int
    changed: int
    words: int


def edit_words(
    score: Scorer, text: str, budget: EditBudget | None = None, *, below: float = 0.5, seed: int = 0
) -> Edited:
    """Change words of ``text`` until its score falls below ``below`` or the budget is spent.

    Args:
        score: texts -> scores, in order; higher is more harmful.
        text: what is to pass.
        budget: queries and words.
        below: the search ends at the first score below this.
        seed: of the misspellings; the same seed gives the same search.
    """
    budget = budget or EditBudget()
    search = _Search(score, text, budget, below, random.Random(seed))  # noqa: S311 (not for secrets)
    return search.run()


def candidates(word: str, rng: random.Random) -> list[str]:
    """Return what may stand in a word's place: near-synonyms first, then four misspellings of it."""
    found = [_like(word, other) for other in _SYNONYMS.get(word.lower(), ())]
    at = rng.randrange(1, len(word) - 1)
    found.append(word[:at] + word[at + 1] + word[at] + word[at + 2 :])  # two letters change places
    found.append(word[:at] + word[at + 1 :])  # one is left out
    found.append(word[:at] + word[at] + word[at:])  # one is doubled
    places = [i for i, c in enumerate(word) if c.translate(_LOOKALIKES) != c]
    if places:
        i = rng.choice(places)
        found.append(word[:i] + word[i].translate(_LOOKALIKES) + word[i + 1 :])
    return [other for other in dict.fromkeys(found) if other != word]


class _Search:
    """One greedy search; ``pieces`` are the words of the text and what stands between them."""

    def __init__(
        self, score: Scorer, text: str, budget: EditBudget, below: float, rng: random.Random
    ) -> None:
        self._score, self._budget, self._below, self._rng = score, budget, below, rng
        spans = [match.span() for match in _WORD.finditer(text)]
        ends = [0, *(end for _, end in spans)]
        self._gaps = [text[a:b] for a, (b, _) in zip(ends, spans, strict=False)] + [text[ends[-1] :]]
        self._words = [text[a:b] for a, b in spans]
        self._queries = 0

    def run(self) -> Edited:
        original = list(self._words)
        before = best = self._ask([original])[0]
        allowed = int(self._budget.share * len(original))
        changed = 0
        for place in self._ranked(before) if before >= self._below else ():
            left = self._budget.queries - self._queries
            if changed >= allowed or left < 1 or best < self._below:
                break
            options = candidates(self._words[place], self._rng)[:left]
            versions = [self._with(place, option) for option in options]
            scores = self._ask(versions)
            lowest = min(range(len(scores)), key=scores.__getitem__, default=None)
            if lowest is not None and scores[lowest] < best:
                self._words, best, changed = versions[lowest], scores[lowest], changed + 1
        return Edited(self._text(self._words), before, best, self._queries, changed, len(original))

    def _ranked(self, whole: float) -> list[int]:
        """Places of words, those first without which the score falls most; as many as the ranking may ask."""
        places = [i for i, word in enumerate(self._words) if len(word) >= _SHORTEST]
        known = [i for i in places if self._words[i].lower() in _SYNONYMS]
        others = [i for i in places if i not in set(known)]
        self._rng.shuffle(others)
        asked = (known + others)[: max(1, int(_RANKING * (self._budget.queries - 1)))]
        scores = self._ask([self._with(i, "") for i in asked])
        falls = {i: whole - score for i, score in zip(asked, scores, strict=True)}
        return sorted(asked, key=lambda i: -falls[i])

    def _with(self, place: int, word: str) -> list[str]:
        return [*self._words[:place], word, *self._words[place + 1 :]]

    def _ask(self, versions: Sequence[list[str]]) -> list[float]:
        self._queries += len(versions)
        return [float(s) for s in self._score([self._text(words) for words in versions])]

    def _text(self, words: Sequence[str]) -> str:
        pairs = zip(self._gaps, [*words, ""], strict=True)
        return "".join(gap + word for gap, word in pairs)


def _like(word: str, other: str) -> str:
    """``other`` written with a capital, or in capitals, as ``word`` is."""
    if word.isupper():
        return other.upper()
    return other[0].upper() + other[1:] if word[0].isupper() else other
