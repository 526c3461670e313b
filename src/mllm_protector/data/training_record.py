"""The record that models are trained on: one exchange, and what is known of it.

One record judges one response. ``safe_response`` is what a detoxifier should write instead, so it stands
on harmful responses; the safe response of a pair is a record of its own. What is not known is None (in a
file: absent or null), and no loss is taken on it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from mllm_protector.data.jsonl import to_json
from mllm_protector.errors import InputError
from mllm_protector.suggest import nearest
from mllm_protector.taxonomy import CATEGORIES
from mllm_protector.types import Exchange, Query

__all__ = ["TrainingRecord"]


@dataclass(frozen=True, slots=True)
class TrainingRecord:
    """One exchange with its labels.

    Attributes:
        prompt: what was asked; "" where the response is a text that stands by itself.
        response: what was answered; "" where only the prompt is labelled (it teaches categories alone).
        harmful: whether the response is harmful; None if nobody said.
        categories: codes of ``taxonomy.CATEGORIES``; () if it has none, None if nobody said.
        safe_response: a safe and relevant answer to the same prompt, None if there is none.
        image_text: what was read in the images, or a description of them.
        source: name of the set it is from.
        licence: of that set, as its authors state it.
        weight: factor of its loss, above 0.
        place: file and row, for messages; says nothing about the record itself.

    Raises:
        InputError: a category is unknown, or the weight is no positive number.
    """

    prompt: str
    response: str
    harmful: bool | None
    categories: tuple[str, ...] | None = None
    safe_response: str | None = None
    image_text: str = ""
    source: str = ""
    licence: str = ""
    weight: float = 1.0
    place: str = field(default="", compare=False, repr=False)

    def __post_init__(self) -> None:
        for code in self.categories or ():
            if code not in CATEGORIES:
                raise InputError(f'"categories": unknown code {code!r}{nearest(code, CATEGORIES)}')
        if not (math.isfinite(self.weight) and self.weight > 0):
            raise InputError(f'"weight" is {self.weight}, but must be a number above 0')

    @property
    def group(self) -> str:
        """What all records of one question share: the text in the image, the prompt, or the response.

        The prompt of a typographic attack is the same for all of its questions, hence the image first.
        """
        return self.image_text or self.prompt or self.response

    @property
    def exchange(self) -> Exchange:
        """What a detector would see of it."""
        return Exchange(Query(self.prompt, image_text=self.image_text), self.response)

    def to_line(self) -> bytes:
        """Return the record as one line of JSON; what is not known is left out, ``harmful`` is null."""
        values: dict[str, object] = {
            "prompt": self.prompt,
            "response": self.response,
            "harmful": self.harmful,
        }
        if self.categories is not None:
            values["categories"] = list(self.categories)
        if self.safe_response is not None:
            values["safe_response"] = self.safe_response
        values |= {
            key: getattr(self, key) for key in ("image_text", "source", "licence") if getattr(self, key)
        }
        if self.weight != 1.0:
            values["weight"] = self.weight
        return to_json(values) + b"\n"
