"""What a guard is: what it is asked, in which words it answers, and what its labels mean (pure)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from mllm_protector.rewrite_prompts import shortened
from mllm_protector.text.normalise import replace_surrogates
from mllm_protector.types import Exchange, Image, Turn

__all__ = ["Dialogue", "Guard", "Labels", "Question", "Verdict", "defuse", "dialogue", "fill", "prompt_text"]

_PROMPTS = Path(__file__).parent / "prompts"
_HOLE = re.compile(r"\{(\w+)\}")
_TURNS = 6  # earlier turns that a guard is shown
# What a guard's layout or tokenizer could take for an end of the text it judges, or for its own answer.
_MARKS = re.compile(
    r"<(?=\|)|<(?=/?(?:s|bos|eos|pad|unk|think|score|image)>)|<(?=(?:BEGIN|END) [A-Z])"
    r"|<(?=(?:start|end)_of_)|\[(?=/?INST\]|RESULT\]|UNSAFE CATEGORY\])",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Dialogue:
    """What a guard reads.

    Attributes:
        turns: user and assistant in turn, a user's first; the last is the response, or a part of it.
        images: those of the query.
    """

    turns: tuple[Turn, ...]
    images: tuple[Image, ...] = ()

    @property
    def response(self) -> str:
        """What is judged."""
        return self.turns[-1].content

    @property
    def request(self) -> str:
        """Everything before the response as one text, for guards that know one question and one answer."""
        asked = self.turns[:-1]
        if len(asked) == 1:
            return asked[0].content
        return "\n\n".join(f"{turn.role.capitalize()}: {turn.content}" for turn in asked)

    def labelled(self, user: str, assistant: str) -> str:
        """The turns, each behind its speaker's name, with an empty line between two."""
        names = {"user": user, "assistant": assistant}
        return "\n\n".join(f"{names[turn.role]}: {turn.content}" for turn in self.turns)

    def messages(self) -> list[dict[str, str]]:
        """The turns as chat messages, for a template that the model brings along."""
        return [{"role": turn.role, "content": turn.content} for turn in self.turns]


@dataclass(frozen=True, slots=True)
class Question:
    """One thing that a guard is asked of a dialogue.

    Attributes:
        text: the whole input, up to where the answer begins; None where only the model's own template
            knows it.
        messages: the chat messages that the model's own template takes; None where it has none.
        settings: further variables of that template.
        codes: native hazard categories that the verdict speaks of; empty where it speaks of all.
    """

    text: Callable[[Dialogue], str] | None
    messages: Callable[[Dialogue], list[dict[str, str]]] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    codes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """The words of a verdict, in any case; spellings of one word share its beginning.

    Attributes:
        unsafe: mean that the response is harmful.
        safe: mean that it is not.
        between: mean neither.
        weight: share of ``between`` that counts as harmful, in [0, 1].
    """

    unsafe: str
    safe: str
    between: str = ""
    weight: float = 0.5

    @property
    def words(self) -> tuple[str, ...]:
        """All of them, in lower case."""
        return tuple(word.lower() for word in (self.unsafe, self.safe, self.between) if word)


@dataclass(frozen=True, slots=True)
class Labels:
    """How a guard names what is wrong.

    Attributes:
        before: what stands between the place of the verdict and the first label, the verdict included.
        prefix: what ``before`` ends with that belongs to a label's name.
        codes: label without prefix -> native hazard categories.
    """

    before: str
    prefix: str
    codes: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Guard:
    """A family of guards.

    Attributes:
        name: as in the registry.
        model: its hub id, taken where no other is given.
        questions: asked one by one; the harm of a response is that of the worst answer.
        verdict: the words it answers in.
        labels: how it names categories after a verdict, None if it does not.
        lead: what stands before the verdict in its answer.
        writes: tokens that the model may write itself before ``lead``; 0 puts ``lead`` into its mouth.
        answer: tokens of an answer that ends with its labels, asked of a chat endpoint.
        sees: whether it is shown images.
    """

    name: str
    model: str
    questions: tuple[Question, ...]
    verdict: Verdict
    labels: Labels | None = None
    lead: str = ""
    writes: int = 0
    answer: int = 16
    sees: bool = False


def dialogue(exchange: Exchange, response: str, longest: int) -> Dialogue:
    """Lay out an exchange for a guard: its last turns, the text in its images, its response.

    Args:
        exchange: the exchange.
        response: the part of its response to judge.
        longest: characters of every other text; the middle of a longer one is left out.
    """
    query = exchange.query
    request = query.prompt
    if query.image_text.strip():
        request = f"{request}\n\nText in the image: {query.image_text}".strip()
    history = [turn for turn in query.history if turn.role in ("user", "assistant")][-_TURNS:]
    turns = [Turn(t.role, defuse(shortened(t.content, longest))) for t in (*history, Turn("user", request))]
    while turns[0].role != "user":
        del turns[0]
    merged = [
        Turn(role, "\n\n".join(turn.content for turn in same))
        for role, same in groupby(turns, key=lambda turn: turn.role)
    ]
    return Dialogue((*merged, Turn("assistant", defuse(response))), query.images)


def defuse(text: str) -> str:
    """Return ``text`` with a space inside everything that a guard could take for a mark of its layout.

    Without it a response could close its own quotation and write the verdict itself.
    """
    return _MARKS.sub(lambda match: match[0] + " ", replace_surrogates(text))


def prompt_text(name: str) -> str:
    """Return a layout of ``prompts``; one line end at the end is the file's."""
    return (_PROMPTS / f"{name}.txt").read_text(encoding="utf-8").removesuffix("\n")


def fill(layout: str, **texts: str) -> str:
    """Put texts into the holes of a layout, once: a hole inside a text stays what it is."""
    return _HOLE.sub(lambda match: texts[match[1]], layout)
