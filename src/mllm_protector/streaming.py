"""Holds streamed answers back until they are judged. Pure: no I/O, no clock, no model.

A stream is a sequence of pieces. Each belongs to one choice of the answer and carries text of any
number of channels (content, reasoning, arguments of a tool call). The caller pushes pieces, has the
checks that are ``due`` judged, tells the outcome, and gets back the pieces that may go out:

* A piece goes out only when every character of it lies in a judged and allowed window that, unless
  the channel has ended or another one took over, reaches ``look_ahead`` characters further.
* The last piece of a choice goes out only after each of its channels was judged as a whole.
* Pieces of a choice keep their order; none is changed, lost or sent twice.
* The characters judged are at most three times those received: windows are allowed to cost twice
  the text, and the check of the whole costs it once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, TypeVar

from mllm_protector.text.sentences import sentences

__all__ = ["Check", "Held", "Hold", "Mode", "Piece", "StreamGuard"]

_P = TypeVar("_P")


class Mode(StrEnum):
    """When text may leave."""

    FULL = "full"
    """Only after the whole answer was judged."""

    WINDOW = "window"
    """Sentence by sentence, each judged with what stands before it and a look ahead."""


@dataclass(frozen=True, slots=True)
class Hold:
    """How much is held back; all counts are characters.

    Attributes:
        mode: ``window`` or ``full``.
        first: text wanted before the first check; each later check wants as much again as was judged
            before, up to ``step``.
        step: most new text between two checks.
        context: released text that a window judges again, so that harm across its edge is seen.
        look_ahead: text beyond a released character that has to be judged with it.
    """

    mode: Mode = Mode.WINDOW
    first: int = 120
    step: int = 480
    context: int = 240
    look_ahead: int = 80

    def __post_init__(self) -> None:
        if min(self.first, self.step) < 1 or min(self.context, self.look_ahead) < 0:
            raise ValueError("first and step must be at least 1, context and look_ahead at least 0")


@dataclass(frozen=True, slots=True)
class Piece(Generic[_P]):
    """One upstream event of one choice.

    Attributes:
        choice: the index of the choice.
        texts: channel -> text that this event adds to it.
        payload: what the caller wants back when the piece may go out.
        last: True if it ends its choice (it has a finish reason).
    """

    choice: int
    texts: Mapping[str, str]
    payload: _P
    last: bool = False


@dataclass(frozen=True, slots=True)
class Check:
    """A text to be judged.

    Attributes:
        choice: whose.
        channel: which text of it.
        start: first character of ``text`` within the channel.
        text: what to judge.
        upto: characters of the channel that may go out if it is allowed.
        final: True if ``text`` is the whole channel and the choice has ended.
    """

    choice: int
    channel: str
    start: int
    text: str
    upto: int
    final: bool


@dataclass(frozen=True, slots=True)
class Held:
    """What a choice held when it was cut.

    Attributes:
        released: channel -> text that went out.
        held: channel -> text that did not, and never will.
        pieces: number of pieces dropped.
    """

    released: Mapping[str, str]
    held: Mapping[str, str]
    pieces: int


class _Channel:
    """One text: what was received, judged and released of it."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.tail = ""  # the text from ``base`` on: all that windows need
        self.base = 0
        self.length = 0
        self.judged = 0
        self.cleared = 0  # allowed to go out
        self.sent = 0  # went out
        self.work = 0
        self.busy = False
        self.whole = False

    def add(self, text: str) -> None:
        self.parts.append(text)
        self.tail += text
        self.length += len(text)

    def text(self) -> str:
        self.parts = ["".join(self.parts)]
        return self.parts[0]

    def window(self, hold: Hold, *, flush: bool) -> tuple[int, int] | None:
        """Return the start of the next window and what it would clear, None if none is due."""
        if hold.mode is Mode.FULL or self.cleared == self.length:
            return None
        new = self.length - self.judged
        if not flush and new < max(hold.first, min(hold.step, self.judged)):
            return None
        start = max(0, self.cleared - hold.context)
        if self.work + self.length - start > 2 * self.length:
            return None
        upto = self.length if flush else self._boundary(hold.look_ahead)
        return None if upto <= self.cleared else (start, upto)

    def _boundary(self, look_ahead: int) -> int:
        """The last sentence end that leaves ``look_ahead`` characters behind it."""
        held = self.tail[self.cleared - self.base :]
        ends = [end for _, end in sentences(held) if end <= len(held) - look_ahead]
        return self.cleared + (ends[-1] if ends else 0)

    def clear(self, upto: int, context: int) -> None:
        self.cleared = max(self.cleared, upto)
        base = max(self.base, self.cleared - context)
        self.tail, self.base = self.tail[base - self.base :], base


@dataclass(slots=True)
class _Choice(Generic[_P]):
    """The channels of a choice and the pieces that wait, with the channel ends each waits for."""

    channels: dict[str, _Channel] = field(default_factory=dict)
    waiting: deque[tuple[_P, dict[str, int], bool]] = field(default_factory=deque)
    speaking: str = ""
    ended: bool = False
    cut: bool = False

    def ready(self, ends: Mapping[str, int], last: bool) -> bool:
        if last and not all(channel.whole for channel in self.channels.values()):
            return False
        return all(self.channels[name].cleared >= end for name, end in ends.items())


class StreamGuard(Generic[_P]):
    """Holds the pieces of one streamed answer, all its choices, until they are judged.

    Args:
        hold: how much is held back.
    """

    def __init__(self, hold: Hold | None = None) -> None:
        self.hold = Hold() if hold is None else hold
        self._choices: dict[int, _Choice[_P]] = {}

    @property
    def received(self) -> int:
        """Characters received so far, all choices and channels."""
        return sum(c.length for choice in self._choices.values() for c in choice.channels.values())

    @property
    def work(self) -> int:
        """Characters handed out to be judged so far."""
        return sum(c.work for choice in self._choices.values() for c in choice.channels.values())

    @property
    def done(self) -> bool:
        """True if every choice has ended or was cut, and nothing waits."""
        return all(c.cut or (c.ended and not c.waiting) for c in self._choices.values())

    @property
    def open_choices(self) -> list[int]:
        """Choices that were neither cut nor have ended."""
        return [index for index, c in self._choices.items() if not (c.cut or c.ended)]

    def push(self, piece: Piece[_P]) -> list[_P]:
        """Take a piece; return what may go out at once (pieces without text, nothing before them waiting).

        Pieces of a choice that was cut are dropped.

        Raises:
            ValueError: text came after the choice's last piece.
        """
        choice = self._choices.setdefault(piece.choice, _Choice())
        if choice.cut:
            return []
        ends = {}
        for name, text in piece.texts.items():
            if not text:
                continue
            if choice.ended:
                raise ValueError(f"choice {piece.choice} went on after its finish_reason")
            choice.channels.setdefault(name, _Channel()).add(text)
            choice.speaking = name
            ends[name] = choice.channels[name].length
        choice.waiting.append((piece.payload, ends, piece.last))
        choice.ended = choice.ended or piece.last
        return self._drain(choice)

    def end(self) -> None:
        """Say that nothing more will come: choices without a last piece end here."""
        for choice in self._choices.values():
            choice.ended = True

    def due(self) -> list[Check]:
        """Return the texts to judge now; each is handed out once, one at a time per channel."""
        checks = []
        for index, choice in self._choices.items():
            for name, channel in choice.channels.items() if not choice.cut else ():
                if channel.busy or channel.whole:
                    continue
                check = self._check(index, choice, name, channel)
                if check is not None:
                    channel.busy = True
                    channel.work += len(check.text)
                    channel.judged = check.start + len(check.text)
                    checks.append(check)
        return checks

    def allow(self, check: Check) -> list[_P]:
        """Take the news that ``check`` was allowed; return the pieces that may go out, in order."""
        choice = self._choices[check.choice]
        if choice.cut:
            return []
        channel = choice.channels[check.channel]
        channel.busy, channel.whole = False, check.final
        channel.clear(check.upto, self.hold.context)
        return self._drain(choice)

    def cut(self, choice: int) -> Held:
        """End a choice here: what it holds is dropped and handed back, what comes later is dropped."""
        state = self._choices[choice]
        released, held = {}, {}
        for name, channel in state.channels.items():
            text = channel.text()
            released[name], held[name] = text[: channel.sent], text[channel.sent :]
        pieces = len(state.waiting)
        state.waiting.clear()
        state.cut = True
        return Held(released, held, pieces)

    def _check(self, index: int, choice: _Choice[_P], name: str, channel: _Channel) -> Check | None:
        if choice.ended:
            return Check(index, name, 0, channel.text(), channel.length, final=True)
        window = channel.window(self.hold, flush=name != choice.speaking)
        if window is None:
            return None
        start, upto = window
        return Check(index, name, start, channel.tail[start - channel.base :], upto, final=False)

    def _drain(self, choice: _Choice[_P]) -> list[_P]:
        out = []
        while choice.waiting and choice.ready(choice.waiting[0][1], choice.waiting[0][2]):
            payload, ends, _ = choice.waiting.popleft()
            for name, end in ends.items():
                choice.channels[name].sent = end
            out.append(payload)
        return out
