"""What one line of a file means: an exchange going in, a judgement coming out.

Input keys: ``prompt`` and ``response`` (strings, required; ``""`` is allowed), ``images`` (a list of
paths or data URIs), ``recordings`` (the same), ``image_text`` (what was read and heard in them),
``history`` (a list of ``{"role", "content"}``). ``null`` stands for an optional key that is absent. Any
other key is passed through untouched.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import NoReturn, TypeVar

from mllm_protector.data.images import load_image
from mllm_protector.data.recordings import load_recording
from mllm_protector.errors import InputError, RecordError
from mllm_protector.types import (
    Attempt,
    Detection,
    Exchange,
    Image,
    PlantedInstruction,
    Protection,
    Query,
    Recording,
    Turn,
)

__all__ = [
    "CHECK_KEYS",
    "PROTECT_KEYS",
    "detection_to_dict",
    "planted_to_dicts",
    "protection_to_dict",
    "to_exchange",
]

CHECK_KEYS = ("detection", "flagged")
"""Keys that ``check`` adds."""

PROTECT_KEYS = ("protection",)
"""Keys that ``protect`` adds."""

MAX_MEDIA_BYTES = 100 * 1024 * 1024
"""All images of one exchange together, and all its recordings."""

_ROLES = ("system", "user", "assistant")
_PLACES = 6
_EXAMPLES = {"images": "photo.png", "recordings": "voice.wav"}
_Medium = TypeVar("_Medium", Image, Recording)


def to_exchange(
    record: Mapping[str, object], *, base: Path, reserved: Collection[str] = (), line: int = 0
) -> Exchange:
    """Read an exchange from a JSON object.

    Args:
        record: the object.
        base: the folder that relative image paths start from.
        reserved: keys that must not be there, because the result is going to carry them.
        line: its line number, for messages.

    Raises:
        RecordError: a key is missing, of the wrong type or reserved, or an image cannot be used.
    """
    for key in reserved:
        if key in record:
            raise RecordError(
                f'the key "{key}" is there already; rename it, or use the original file', line=line
            )
    query = Query(
        prompt=_text(record, "prompt", line),
        images=_media(record, "images", load_image, base, line),
        history=_history(record, line),
        image_text=_text(record, "image_text", line, required=False),
        recordings=_media(record, "recordings", load_recording, base, line),
    )
    return Exchange(query, _text(record, "response", line))


def detection_to_dict(detection: Detection) -> dict[str, object]:
    """Return a detection as JSON values; probabilities to six decimals."""
    return {
        "harm": round(detection.harm, _PLACES),
        "categories": _rounded(detection.categories),
        "spans": [
            {"start": span.start, "end": span.end, "harm": round(span.harm, _PLACES)}
            for span in detection.spans
        ],
    }


def protection_to_dict(protection: Protection) -> dict[str, object]:
    """Return a protection as JSON values.

    ``harm`` is that of the original response, ``recheck`` that of the text delivered in its place;
    each is null where nothing was judged. The texts of rejected attempts are left out: they failed.
    """
    detection = protection.detection
    return {
        "action": protection.action.value,
        "response": protection.response,
        "harm": _harm(detection),
        "recheck": _harm(protection.recheck),
        "categories": {} if detection is None else _rounded(detection.categories),
        "attempts": [_attempt(attempt) for attempt in protection.attempts],
        "detoxifier": protection.detoxifier,
        "error": protection.error,
        "third_party_instruction": planted_to_dicts(protection.third_party_instruction),
    }


def planted_to_dicts(found: Sequence[PlantedInstruction]) -> list[dict[str, object]]:
    """Return planted instructions as JSON values."""
    return [{"start": p.start, "end": p.end, "text": p.text, "signs": list(p.signs)} for p in found]


def _attempt(attempt: Attempt) -> dict[str, object]:
    return {
        "detoxifier": attempt.detoxifier,
        "harm": _harm(attempt.detection),
        "accepted": attempt.accepted,
        "error": attempt.error,
    }


def _harm(detection: Detection | None) -> float | None:
    return None if detection is None else round(detection.harm, _PLACES)


def _rounded(categories: Mapping[str, float]) -> dict[str, float]:
    return {code: round(value, _PLACES) for code, value in categories.items()}


def _text(record: Mapping[str, object], key: str, line: int, *, required: bool = True) -> str:
    if key not in record and required:
        raise RecordError(f'the key "{key}" is missing; write "{key}": "" if there is none', line=line)
    value = record.get(key)
    if isinstance(value, str):
        return value
    if value is None and not required:
        return ""
    _wrong(key, value, 'a string; write "" if there is none' if required else "a string", line)


def _media(
    record: Mapping[str, object], key: str, load: Callable[..., _Medium], base: Path, line: int
) -> tuple[_Medium, ...]:
    value = record.get(key)
    if value is None:
        return ()
    if not isinstance(value, list):
        _wrong(key, value, f'a list; write ["{_EXAMPLES[key]}"]', line)
    media: list[_Medium] = []
    for place, reference in enumerate(value):
        if not isinstance(reference, str):
            _wrong(f"{key}[{place}]", reference, "a path or a data URI", line)
        try:
            media.append(load(reference, base=base))
        except InputError as error:
            raise RecordError(f"{key}[{place}]: {error}", line=line) from error
        if sum(len(medium.data) for medium in media) > MAX_MEDIA_BYTES:
            raise RecordError(f"{key}: over {MAX_MEDIA_BYTES >> 20} MB together; send fewer", line=line)
    return tuple(media)


def _history(record: Mapping[str, object], line: int) -> tuple[Turn, ...]:
    value = record.get("history")
    if value is None:
        return ()
    if not isinstance(value, list):
        _wrong("history", value, 'a list of {"role", "content"}', line)
    turns: list[Turn] = []
    for place, turn in enumerate(value):
        name = f"history[{place}]"
        if not isinstance(turn, dict):
            _wrong(name, turn, 'an object {"role", "content"}', line)
        role, content = turn.get("role"), turn.get("content")
        if role not in _ROLES:
            _wrong(f"{name}.role", role, "one of " + ", ".join(_ROLES), line)
        if not isinstance(content, str):
            _wrong(f"{name}.content", content, "a string", line)
        turns.append(Turn(role, content))
    return tuple(turns)


def _wrong(key: str, value: object, expected: str, line: int) -> NoReturn:
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    shown = ascii(value[:40]) if isinstance(value, str) else names.get(type(value), "a number")
    raise RecordError(f'"{key}" is {shown}, but must be {expected}', line=line)


def media_bytes(exchange: Exchange) -> int:
    """How many bytes of images and recordings an exchange holds; batches are bounded by it."""
    query = exchange.query
    return sum(len(i.data) for i in query.images) + sum(len(r.data) for r in query.recordings)
