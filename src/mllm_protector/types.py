"""The values that flow through the guard: frozen, comparable, and free of behaviour that does I/O.

Direction of flow: a ``Query`` and a response make an ``Exchange``; a harm detector turns it into a
``Detection``; a policy turns that into an ``Action``; a detoxifier answers a ``RewriteTask``; and
everything that happened is told by one ``Protection``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

__all__ = [
    "Action",
    "Attempt",
    "Detection",
    "Exchange",
    "Image",
    "PlantedInstruction",
    "Protection",
    "Query",
    "Recording",
    "RewriteTask",
    "Span",
    "Standard",
    "Turn",
]


def _probability(name: str, value: float) -> None:
    if not (isinstance(value, (int, float)) and math.isfinite(value) and 0.0 <= value <= 1.0):
        raise ValueError(f"{name} must be a probability in [0, 1], got {value!r}")


@dataclass(frozen=True, slots=True)
class Image:
    """One image as the model received it.

    Attributes:
        data: the encoded file (PNG, JPEG, ...), not pixels.
        media_type: its MIME type, such as ``image/png``.
    """

    data: bytes = field(repr=False)
    media_type: str


@dataclass(frozen=True, slots=True)
class Recording:
    """Sound, or a video with its sound, as the model received it.

    Attributes:
        data: the encoded file (WAV, MP3, MP4, ...), not samples.
        media_type: its MIME type, such as ``audio/wav``.
    """

    data: bytes = field(repr=False)
    media_type: str


@dataclass(frozen=True, slots=True)
class Turn:
    """One earlier message of the conversation.

    Attributes:
        role: ``user``, ``assistant`` or ``system``.
        content: its text.
    """

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Query:
    """What the model was asked.

    Attributes:
        prompt: the text of the request; may be empty when the request is in the image.
        images: the images sent along, in order.
        history: earlier turns, oldest first.
        image_text: what was read in the images (OCR, or a caption) and heard in the recordings, ""
            if nothing was; if it is given, nothing is read or transcribed again.
        recordings: sound and videos sent along, in order.
    """

    prompt: str
    images: tuple[Image, ...] = ()
    history: tuple[Turn, ...] = ()
    image_text: str = ""
    recordings: tuple[Recording, ...] = ()


@dataclass(frozen=True, slots=True)
class Exchange:
    """A query and the model's response to it: the unit of judgement."""

    query: Query
    response: str


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the response that was judged by itself.

    Attributes:
        start: first character, counted in code points of the response as delivered.
        end: one past the last character.
        harm: P(harmful) of that stretch in [0, 1].
    """

    start: int
    end: int
    harm: float

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.end:
            raise ValueError(f"span [{self.start}, {self.end}) is not a range")
        _probability("harm", self.harm)


@dataclass(frozen=True, slots=True)
class Detection:
    """What a harm detector says of one exchange.

    Attributes:
        harm: P(harmful) in [0, 1]; higher is worse.
        categories: hazard category code (see ``taxonomy``) -> probability in [0, 1].
        spans: where the harm is, by position; empty if nothing stood out or the detector cannot tell.
    """

    harm: float
    categories: Mapping[str, float] = field(default_factory=dict)
    spans: tuple[Span, ...] = ()

    def __post_init__(self) -> None:
        _probability("harm", self.harm)
        for code, value in self.categories.items():
            _probability(f"categories[{code!r}]", value)
        object.__setattr__(self, "categories", dict(self.categories))


class Action(StrEnum):
    """What a policy can order, mildest first (``severity`` gives the order)."""

    ALLOW = "allow"
    FLAG = "flag"
    DISCLAIM = "disclaim"
    DETOXIFY = "detoxify"
    REFUSE = "refuse"

    @property
    def severity(self) -> int:
        """0 for ALLOW to 4 for REFUSE."""
        return list(Action).index(self)

    @property
    def delivers_original(self) -> bool:
        """True where the response goes out byte for byte (ALLOW, FLAG)."""
        return self in (Action.ALLOW, Action.FLAG)


@dataclass(frozen=True, slots=True)
class Standard:
    """The standard of safety that a rewritten text has to meet, taken from a policy.

    Attributes:
        harm: the text's P(harmful) must be below this.
        categories: hazard category code -> limit that its probability must be below.
    """

    harm: float
    categories: Mapping[str, float] = field(default_factory=dict)

    def met_by(self, detection: Detection) -> bool:
        """True if every probability of ``detection`` is below its limit."""
        return detection.harm < self.harm and all(
            detection.categories.get(code, 0.0) < limit for code, limit in self.categories.items()
        )


@dataclass(frozen=True, slots=True)
class RewriteTask:
    """What a detoxifier is asked to mend.

    Attributes:
        exchange: the query and the harmful response.
        detection: what the detector said of it.
        hazards: hazard category codes that led to the rewrite, most probable first; may be empty.
        standard: what the rewrite will be held to.
        turn: 0 for the first attempt of this detoxifier, 1 for its second, ...
        previous: every attempt so far, in order, with why it was rejected.
        tone: how the policy wants it to sound, in words; "" leaves it open.
        max_words: most words that the policy lets a rewrite have, None for no limit.
        seconds: time left for this attempt, None for no limit.
    """

    exchange: Exchange
    detection: Detection
    hazards: tuple[str, ...] = ()
    standard: Standard = field(default_factory=lambda: Standard(harm=0.5))
    turn: int = 0
    previous: tuple[Attempt, ...] = ()
    tone: str = ""
    max_words: int | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at a safe text.

    Attributes:
        detoxifier: name of the back-end that wrote it (``disclaimer`` for the policy's own addition).
        response: the text it wrote, "" if it failed.
        detection: the judgement of that text, None if it was never judged.
        accepted: whether this is the text that was delivered.
        error: why it failed or was rejected, None if accepted.
    """

    detoxifier: str
    response: str
    detection: Detection | None
    accepted: bool
    error: str | None = None


@dataclass(frozen=True, slots=True)
class PlantedInstruction:
    """Words in an image or a recording that speak to the model, as a third party plants them.

    Attributes:
        start: first character, in code points of ``Query.image_text``.
        end: one past the last.
        text: the words.
        signs: what gave it away, such as ``override`` or ``addressed`` (see ``planted``).
    """

    start: int
    end: int
    text: str
    signs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Protection:
    """Everything that was done with one exchange, and why.

    Attributes:
        exchange: what came in.
        action: what was done in the end (a rewrite that could not be made safe ends as REFUSE).
        response: what the user may see.
        detection: the judgement of the original response; None if the detector failed.
        recheck: the judgement of the delivered text if it was rewritten; None otherwise.
        attempts: every rewrite tried, in order, with its score.
        error: what failed on the way, None if nothing did.
        policy: name of the policy applied.
        ordered: what the policy ordered at first; differs from ``action`` when rewriting failed.
        reason: one line for people: which rule led to the action.
        hazards: hazard category codes that led to it, most probable first.
        third_party_instruction: instructions to the model found in the images and recordings; empty if
            there were none, nothing was read, or the policy ignores them.
    """

    exchange: Exchange
    action: Action
    response: str
    detection: Detection | None = None
    recheck: Detection | None = None
    attempts: tuple[Attempt, ...] = ()
    error: str | None = None
    policy: str = ""
    ordered: Action = Action.ALLOW
    reason: str = ""
    hazards: tuple[str, ...] = ()
    third_party_instruction: tuple[PlantedInstruction, ...] = ()

    @property
    def harm(self) -> float | None:
        """P(harmful) of the original response, None if it could not be judged."""
        return None if self.detection is None else self.detection.harm

    @property
    def detoxifier(self) -> str | None:
        """Name of the back-end whose text was delivered, None if none was."""
        return next((a.detoxifier for a in self.attempts if a.accepted), None)

    @property
    def unchanged(self) -> bool:
        """True if the response goes out byte for byte."""
        return self.action.delivers_original
