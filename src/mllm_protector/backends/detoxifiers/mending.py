"""Makes a text of what is left of a passage: nothing dangles, and what is kept is kept as it was.

Two steps. ``closure`` adds to the removed units those that would dangle without them: the list of a
removed intro, the intro of a removed list, a heading without a section, a sentence that only refers
to a removed one. ``render`` writes the rest, renumbers lists and takes connectives off sentences
whose predecessor is gone. Everything else stays character for character.
"""

from __future__ import annotations

import re

from mllm_protector.backends.detoxifiers.passages import Block, Passage

__all__ = ["closure", "render"]

_CONNECTIVE = re.compile(
    r"(?:(?:however|then|therefore|also|in addition|additionally|next|moreover|furthermore|after that"
    r"|afterwards"
    r"|instead|as a result|consequently|otherwise|similarly|likewise|thus|hence|still|nevertheless"
    r"|nonetheless"
    r"|that said|on the other hand|in contrast|by contrast|meanwhile|besides|second(?:ly)?|third(?:ly)?"
    r"|fourth"
    r"|fifth|lastly|once (?:this|that|you)(?:'s|'ve| is| have) (?:done|this|that)|besides that"
    r"|apart from that"
    r"|with that done|to do (?:this|that|so)|because of (?:this|that))\s*,\s+"
    r"|(?:then|also|but|and|so|yet|next|plus)\s+)(?=\S)",
    re.IGNORECASE,
)
_REFERENCE = re.compile(
    r"(?:this|that|these|those|such|it|they|doing (?:this|that|so)|for example|for instance|in this way"
    r"|this way"
    r"|that way|by doing (?:this|that|so)|if (?:this|that|so|not)|the (?:former|latter|above|same))\b[\s,]*",
    re.IGNORECASE,
)
_WEAK_REFERENCE = re.compile(r"(?:it|they|that|if)\b", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]{4,}")
_COMMON = frozenset(
    """
    this that these those such with from have will would could should been being they them their
    there then than what when where which while your yours about into also some more most other only
    very just make makes made does doing done because can't don't example instance however
    """.split()  # noqa: SIM905
)
_NUMBER_WORDS = (
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
)
_BOLD = re.compile(r"\*\*|__")


def closure(passage: Passage, removed: frozenset[int]) -> frozenset[int]:
    """Return ``removed`` and every unit that would dangle without it."""
    gone = set(removed)
    size = -1
    while size != len(gone):
        size = len(gone)
        for unit in sorted(gone):
            gone.update(passage.governs[unit])
        _drop_openers(passage, gone)
        _drop_split_markup(passage, gone)
        _drop_references(passage, gone)
    return frozenset(gone)


def _drop_openers(passage: Passage, gone: set[int]) -> None:
    """Remove intros and headings of which nothing is left to introduce, the innermost first."""
    for number in range(len(passage.units) - 1, -1, -1):
        if number in gone:
            continue
        block_at = passage.units[number].block
        block = passage.blocks[block_at]
        colon = number == block.units.stop - 1 and passage.words_of(number).rstrip("*_").endswith((":", "："))
        if not (colon or block.kind == "heading"):
            continue
        dependants = passage.governs[number]
        if not dependants and colon and block_at + 1 < len(passage.blocks):
            dependants = tuple(passage.blocks[block_at + 1].units)
        if dependants and gone.issuperset(dependants):
            gone.add(number)


def _drop_split_markup(passage: Passage, gone: set[int]) -> None:
    """Remove what shares a quotation, or the marker of a bold list item, with a removed sentence."""
    for block in passage.blocks:
        if len(block.units) < 2 or gone.isdisjoint(block.units):
            continue
        marker = passage.text[block.start : block.body]
        if block.kind == "item" and block.units.start in gone and re.search(r"[*_(]", marker.strip()[:-1]):
            gone.update(block.units)
            continue
        group: list[int] = []
        is_open = False
        for number in block.units:
            words = passage.words_of(number)
            opened = is_open
            is_open = _quote_open(words, is_open)
            group.append(number)
            if not is_open:
                if opened and not gone.isdisjoint(group):
                    gone.update(group)
                group = []


def _quote_open(words: str, is_open: bool) -> bool:
    if any(mark in words for mark in "“”„"):
        return words.rfind("“") > words.rfind("”") or (is_open and "”" not in words)
    return is_open ^ (words.count('"') % 2 == 1)


def _drop_references(passage: Passage, gone: set[int]) -> None:
    """Remove sentences that open with a reference to a removed sentence right before them."""
    for number in range(1, len(passage.units)):
        block = passage.blocks[passage.units[number].block]
        if number in gone or number - 1 not in gone or block.kind not in ("paragraph", "item"):
            continue
        if block.kind == "item" and number == block.units.start:
            continue  # a list item stands by itself
        words = passage.words_of(number)
        stripped = words[_connective_length(words) :]
        reference = _REFERENCE.match(stripped)
        if reference is None:
            continue
        earlier = number - 1
        while earlier in gone:
            earlier -= 1
        same_block = earlier >= 0 and passage.units[earlier].block == passage.units[number].block
        about = _content(stripped)
        to_removed = len(about & _content(passage.words_of(number - 1)))
        to_kept = len(about & _content(passage.words_of(earlier))) if earlier >= 0 else 0
        weak = _WEAK_REFERENCE.match(stripped) is not None and earlier >= 0
        if to_removed > to_kept or (to_removed == to_kept and not (same_block or weak)):
            gone.add(number)


def _content(words: str) -> set[str]:
    return {w[:6] for w in _WORD.findall(words.lower()) if w not in _COMMON}


def _connective_length(words: str) -> int:
    match = _CONNECTIVE.match(words)
    return match.end() if match else 0


def render(passage: Passage, removed: frozenset[int]) -> str:
    """Return the text without ``removed``, lists renumbered, connectives mended, ends trimmed."""
    numbers = _renumbered(passage, removed)
    out: list[str] = []
    gap = ""
    for at, block in enumerate(passage.blocks):
        following = passage.text[block.end : block.end + block.gap]
        kept = [number for number in block.units if number not in removed]
        if not kept:
            gap = max(gap, following, key=len)
            continue
        if out:
            if not out[-1].endswith("\n"):
                out.append("\n")
            out.append(gap)
        out.append(_render_block(passage, block, kept, removed, numbers.get(at)))
        gap = following
    return "".join(out).strip("\n").rstrip()


def _render_block(
    passage: Passage, block: Block, kept: list[int], removed: frozenset[int], number: int | None
) -> str:
    text = passage.text
    if len(kept) == len(block.units):
        whole = text[block.start : block.end]
        first = block.units.start
        if number is not None and block.number is not None:
            a, b = (edge - block.start for edge in block.number)
            whole = f"{whole[:a]}{number}{whole[b:]}"
        if block.kind == "paragraph" and first - 1 in removed:
            whole = _without_connective(whole)
        return _recounted(passage, block, whole, removed)
    marker = text[block.start : block.body]
    if number is not None and block.number is not None:
        a, b = (edge - block.start for edge in block.number)
        marker = f"{marker[:a]}{number}{marker[b:]}"
    body = ""
    for unit in block.units:
        words = text[passage.units[unit].start : passage.units[unit].end]
        if unit in removed:
            space = words[len(words.rstrip()) :]
            if "\n" in space and body and not body.endswith("\n"):
                body = body.rstrip() + space
            continue
        body += _without_connective(words) if unit - 1 in removed else words
    if text[block.start : block.end].endswith("\n"):
        body = body.rstrip() + "\n"
    if len(_BOLD.findall(body)) % 2:
        body = _BOLD.sub("", body)
    return _recounted(passage, block, marker + body, removed)


def _without_connective(words: str) -> str:
    lead = len(words) - len(words.lstrip())
    length = _connective_length(words[lead:])
    if not length:
        return words
    rest = words[lead + length :]
    return words[:lead] + rest[0].upper() + rest[1:]


def _renumbered(passage: Passage, removed: frozenset[int]) -> dict[int, int]:
    """Return the new number of each kept numbered block that follows a removed one in its list."""
    numbers: dict[int, int] = {}
    before: dict[tuple[str, int], tuple[int, int]] = {}
    for at, block in enumerate(passage.blocks):
        if block.number is None:
            continue
        own = int(passage.text[slice(*block.number)])
        key = (block.kind, block.depth)
        old, new = before.get(key, (-1, -1))
        if own != old + 1:
            new = own - 1
        if not removed.issuperset(block.units):
            new += 1
            if new != own:
                numbers[at] = new
        before[key] = (own, new)
    return numbers


def _recounted(passage: Passage, block: Block, words: str, removed: frozenset[int]) -> str:
    """Correct "these five steps:" where the list that follows has lost items."""
    if not words.rstrip().rstrip("*_").endswith(":"):
        return words
    governed = passage.governs[block.units.stop - 1]
    heads = {
        passage.units[u].block for u in governed if passage.blocks[passage.units[u].block].kind == "item"
    }
    depth = min((passage.blocks[at].depth for at in heads), default=0)
    items = [passage.blocks[at] for at in heads if passage.blocks[at].depth == depth]
    left = sum(not removed.issuperset(item.units) for item in items)
    if left == len(items) or not 2 <= left < len(_NUMBER_WORDS) or len(items) >= len(_NUMBER_WORDS):
        return words
    for old, new in ((_NUMBER_WORDS[len(items)], _NUMBER_WORDS[left]), (str(len(items)), str(left))):
        words = re.sub(rf"\b{old}\b", new, words, count=1)
    return words
