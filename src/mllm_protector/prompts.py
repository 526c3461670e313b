"""The one template that turns an exchange into model input, shared by training and inference.

The detector reads a BERT pair: ``[CLS] A [SEP] B [SEP]``. Segment A is what was asked (the last
earlier user turn if there is room, the prompt, the text read in the image); segment B is the
response, cut into overlapping windows so that every one of its tokens is seen. All functions work
on token ids, so that training and inference cannot drift apart; the template is saved with the weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields

from mllm_protector.errors import CheckpointError
from mllm_protector.types import Query

__all__ = ["PAIR_V1", "PairTemplate", "SegmentA", "Window", "fit_segment_a", "pair_windows", "segment_a"]

_SPECIAL_TOKENS = 3  # [CLS], [SEP], [SEP]


@dataclass(frozen=True, slots=True)
class PairTemplate:
    """How an exchange is laid out in tokens.

    Attributes:
        name: name and version of the layout.
        max_length: longest input in tokens, special tokens included.
        prompt_tokens: most tokens that segment A may take.
        overlap: tokens that two neighbouring windows of the response share.
        image_marker: text that stands before the text read in the image.
        cls_id: id of ``[CLS]``.
        sep_id: id of ``[SEP]``.
        pad_id: id used to pad a batch.
    """

    name: str = "pair-v1"
    max_length: int = 256
    prompt_tokens: int = 64
    overlap: int = 64
    image_marker: str = "[image]"
    cls_id: int = 101
    sep_id: int = 102
    pad_id: int = 0

    def __post_init__(self) -> None:
        if self.prompt_tokens < 2 or self.overlap < 0:
            raise CheckpointError("template: prompt_tokens must be at least 2 and overlap at least 0")
        if self.max_length - _SPECIAL_TOKENS - self.prompt_tokens <= self.overlap:
            raise CheckpointError("template: max_length must leave more room for the response than overlap")

    def to_dict(self) -> dict[str, str | int]:
        """The template as plain data, to be saved with the weights."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> PairTemplate:
        """Inverse of ``to_dict``; raises CheckpointError on an unknown, missing or mistyped key."""
        types = {f.name: (str if f.name in ("name", "image_marker") else int) for f in fields(cls)}
        wrong = sorted(set(data) ^ set(types))
        wrong += [key for key, kind in types.items() if key in data and type(data[key]) is not kind]
        if wrong:
            raise CheckpointError(f"template: keys {wrong} are unknown, missing or of the wrong type")
        return cls(**data)  # type: ignore[arg-type]  # types were checked above


PAIR_V1 = PairTemplate()


@dataclass(frozen=True, slots=True)
class SegmentA:
    """The texts of segment A; tokenise each without special tokens, then call ``fit_segment_a``.

    Attributes:
        history: the last earlier user turn, "" if there is none.
        request: the prompt.
        image: the marker and the text read in the image, "" if nothing was read.
    """

    history: str
    request: str
    image: str


@dataclass(frozen=True, slots=True)
class Window:
    """One model input.

    Attributes:
        input_ids: token ids, special tokens included; at most ``max_length``.
        token_type_ids: 0 for ``[CLS] A [SEP]``, 1 for ``B [SEP]``; same length.
        start: first token of the response in this window.
        stop: one past the last.
    """

    input_ids: tuple[int, ...]
    token_type_ids: tuple[int, ...]
    start: int
    stop: int


def segment_a(query: Query, template: PairTemplate = PAIR_V1) -> SegmentA:
    """The texts of segment A of ``query``."""
    turns = [turn.content for turn in query.history if turn.role == "user" and turn.content.strip()]
    image = query.image_text.strip()
    return SegmentA(
        history=turns[-1] if turns else "",
        request=query.prompt,
        image=f"{template.image_marker} {image}" if image else "",
    )


def fit_segment_a(
    history: Sequence[int], request: Sequence[int], image: Sequence[int], template: PairTemplate = PAIR_V1
) -> list[int]:
    """Token ids of segment A within ``template.prompt_tokens``.

    A part that is too long keeps its head and its tail. The image text always keeps up to half of the
    budget; the history only gets what the request and the image text leave over, and keeps its end.
    """
    budget = template.prompt_tokens
    for_image = min(len(image), max(budget // 2, budget - len(request)))
    kept = _head_and_tail(request, budget - for_image) + _head_and_tail(image, for_image)
    room = budget - len(kept)
    return list(history[max(0, len(history) - room) :] if room else []) + kept


def pair_windows(
    a_ids: Sequence[int], b_ids: Sequence[int], template: PairTemplate = PAIR_V1
) -> list[Window]:
    """Windows that together contain every token of the response, in order; at least one.

    Args:
        a_ids: segment A, as ``fit_segment_a`` returns it.
        b_ids: the whole response, without special tokens; may be empty.
        template: the layout.
    """
    head = (template.cls_id, *a_ids, template.sep_id)
    size = template.max_length - len(head) - 1
    windows, start = [], 0
    while True:
        stop = min(start + size, len(b_ids))
        tail = (*b_ids[start:stop], template.sep_id)
        windows.append(Window(head + tail, (0,) * len(head) + (1,) * len(tail), start, stop))
        if stop == len(b_ids):
            return windows
        start = stop - template.overlap


def _head_and_tail(ids: Sequence[int], budget: int) -> list[int]:
    """The first two thirds and the last third of ``budget`` tokens, or all if they fit."""
    if len(ids) <= budget:
        return list(ids)
    tail = budget // 3
    return list(ids[: budget - tail]) + list(ids[len(ids) - tail :])
