"""How an exchange becomes the tokens of a trained model, in training and inference alike (pure).

The text of the template is cut at its two fields; the pieces are tokenised one by one and joined, so that
token ids do not depend on what stands beside them. What is longer than the context:

* the prompt (with the user turn before it and the text of the image) keeps the first two thirds and the
  last third of its budget, which is ``prompt_tokens`` or what the response leaves over, whichever is more;
* the response is cut into overlapping windows. Training reads the first one, inference all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields

from mllm_protector.errors import CheckpointError
from mllm_protector.text.normalise import normalise, replace_surrogates
from mllm_protector.types import Exchange, Query

__all__ = ["PAPER_TEXT", "REWRITE_TEXT", "TextTemplate", "Windows", "windows"]

PAPER_TEXT = "Question: {prompt}\n\nAnswer: {response}"
"""Layout of the paper's detector."""

REWRITE_TEXT = "Question: {prompt}\n\nAnswer: {response}\n\nSafe answer:"
"""Layout of the joint model: the verdict is read at its end, and the rewrite goes on from there."""

_IDS = ("start_ids", "end_ids")


@dataclass(frozen=True, slots=True)
class TextTemplate:
    """How an exchange is laid out.

    Attributes:
        text: holds ``{prompt}`` and, behind it, ``{response}``, each once.
        image: how the text that was read in images joins the prompt; holds ``{prompt}`` and ``{image_text}``.
        max_length: longest input in tokens, special tokens included.
        prompt_tokens: tokens that a prompt may always take.
        overlap: tokens that two neighbouring windows of a response share.
        normalise: undo obfuscation (``text.normalise``) before tokenising.
        start_ids: special tokens in front, such as ``[CLS]`` or ``<s>``.
        end_ids: special tokens behind, such as ``[SEP]`` or ``</s>``.
        pad_id: id that fills up a batch.
    """

    text: str = PAPER_TEXT
    image: str = "{prompt}\n[image] {image_text}"
    max_length: int = 512
    prompt_tokens: int = 256
    overlap: int = 64
    normalise: bool = True
    start_ids: tuple[int, ...] = ()
    end_ids: tuple[int, ...] = ()
    pad_id: int = 0

    def __post_init__(self) -> None:
        if self.text.count("{prompt}") != 1 or self.text.count("{response}") != 1:
            raise CheckpointError("template: text must hold {prompt} and {response} once each")
        if self.text.index("{prompt}") > self.text.index("{response}"):
            raise CheckpointError("template: {prompt} must stand before {response}")
        if self.image.count("{prompt}") != 1 or self.image.count("{image_text}") != 1:
            raise CheckpointError("template: image must hold {prompt} and {image_text} once each")
        if self.overlap < 0 or self.prompt_tokens < 2 or self.max_length < self.prompt_tokens + self.overlap:
            raise CheckpointError(
                "template: max_length must be at least prompt_tokens + overlap, prompt_tokens at least 2"
            )

    def pieces(self) -> tuple[str, str, str]:
        """The fixed texts before the prompt, between prompt and response, and behind the response."""
        before, rest = self.text.split("{prompt}")
        between, after = rest.split("{response}")
        return before, between, after

    def asked(self, query: Query) -> str:
        """The prompt of ``query`` behind the last earlier user turn, with what was read in its images."""
        earlier = [turn.content for turn in query.history if turn.role == "user" and turn.content.strip()]
        prompt = "\n".join((*earlier[-1:], query.prompt))
        image = query.image_text.strip()
        if not image:
            return prompt
        # Field by field: either text may hold braces.
        before, rest = self.image.split("{prompt}")
        middle, after = rest.split("{image_text}")
        return f"{before}{prompt}{middle}{image}{after}"

    def to_dict(self) -> dict[str, object]:
        """The template as JSON data."""
        return asdict(self) | {name: list(getattr(self, name)) for name in _IDS}

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> TextTemplate:
        """Inverse of ``to_dict``; raises CheckpointError on an unknown, missing or mistyped key."""
        kinds = {f.name: type(getattr(_DEFAULT, f.name)) for f in fields(cls)} | dict.fromkeys(_IDS, list)
        wrong = sorted(set(data) ^ set(kinds))
        wrong += [key for key, kind in kinds.items() if key in data and type(data[key]) is not kind]
        if wrong:
            raise CheckpointError(f"template: keys {wrong} are unknown, missing or of the wrong type")
        given = {key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}
        return cls(**given)  # type: ignore[arg-type]  # types were checked above


_DEFAULT = TextTemplate()


@dataclass(frozen=True, slots=True)
class Windows:
    """The model inputs of one exchange.

    Attributes:
        ids: token ids of each window, special tokens included; at least one window.
        prompt_cut: True if the middle of the prompt was left out.
    """

    ids: tuple[tuple[int, ...], ...]
    prompt_cut: bool

    @property
    def cut(self) -> bool:
        """True if the first window does not hold everything."""
        return self.prompt_cut or len(self.ids) > 1


def windows(exchange: Exchange, template: TextTemplate, encode: Callable[[str], Sequence[int]]) -> Windows:
    """Lay out an exchange.

    Args:
        exchange: what to judge.
        template: the layout.
        encode: text -> token ids without special tokens.

    Raises:
        CheckpointError: the fixed texts leave no room for a response.
    """
    tidy = normalise if template.normalise else replace_surrogates
    before, between, after = (tuple(encode(piece)) if piece else () for piece in template.pieces())
    prompt = encode(tidy(template.asked(exchange.query)))
    response = tuple(encode(tidy(exchange.response)))
    fixed = len(template.start_ids) + len(before) + len(between) + len(after) + len(template.end_ids)
    room = template.max_length - fixed
    budget = max(template.prompt_tokens, room - len(response))
    head = (*template.start_ids, *before, *_ends(prompt, budget), *between)
    size = room - min(len(prompt), budget)
    if size <= template.overlap and size < len(response):
        raise CheckpointError("template: no room is left for the response; raise max_length")
    found, start = [], 0
    while True:
        stop = min(start + size, len(response))
        found.append((*head, *response[start:stop], *after, *template.end_ids))
        if stop == len(response):
            return Windows(tuple(found), len(prompt) > budget)
        start = stop - template.overlap


def _ends(ids: Sequence[int], budget: int) -> tuple[int, ...]:
    if len(ids) <= budget:
        return tuple(ids)
    tail = budget // 3
    return (*ids[: budget - tail], *ids[len(ids) - tail :])
