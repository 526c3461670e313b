"""The upstream's answer: which texts it holds, and how it looks when some of them may not go out. Pure.

Every string in a choice counts as text of the answer, whatever its key is called, unless the key is
known to hold none. So reasoning under a new name, refusals and arguments of tool calls are judged,
and a field that OpenAI adds tomorrow is too.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mllm_protector.data.records import planted_to_dicts
from mllm_protector.types import Action, Protection

__all__ = [
    "CONTENT",
    "Outcome",
    "choice_texts",
    "filter_results",
    "protector_object",
    "rewrite_choice",
    "unreadable",
]

CONTENT = "message.content"
"""Channel of the answer proper."""

Path = tuple[str | int, ...]

_NO_TEXT = frozenset(
    {
        "role",
        "id",
        "index",
        "type",
        "object",
        "finish_reason",
        "native_finish_reason",
        "stop_reason",
        "matched_stop",
        "tool_call_id",
        "call_id",
        "status",
        "format",
        "signature",
        "encrypted_content",
        "logprobs",
        "content_filter_results",
        "token_ids",
        "prompt_token_ids",
    }
)
_OPAQUE = frozenset({"data", "b64_json"})
_PLACES = 6


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done with one choice.

    Attributes:
        action: the most severe action over its channels.
        protections: channel -> what was done with that text.
        policy: name of the policy.
        request_id: ours.
        not_run: what could not be read or judged.
    """

    action: Action
    protections: Mapping[str, Protection]
    policy: str
    request_id: str
    not_run: tuple[str, ...] = ()

    @property
    def harm(self) -> float | None:
        """The highest P(harmful) over the channels, None if none was judged."""
        return max((p.harm for p in self.protections.values() if p.harm is not None), default=None)

    @property
    def untouched(self) -> bool:
        """True if all of its texts go out byte for byte."""
        return all(protection.unchanged for protection in self.protections.values())

    @property
    def worst(self) -> Protection | None:
        """The protection that counts: the most severe, then the most harmful; None if there was no text."""
        return max(self.protections.values(), key=lambda p: (p.action.severity, p.harm or 0.0), default=None)


def choice_texts(choice: Mapping[str, Any]) -> dict[str, str]:
    """Return channel -> text of a choice of an answer, or of a chunk of a stream (``delta``)."""
    texts: dict[str, str] = {}
    for path, text in _strings(choice, ()):
        if not _is_opaque(path, text):
            name = channel(choice, path)
            texts[name] = texts.get(name, "") + text
    return texts


def unreadable(choice: Mapping[str, Any]) -> list[str]:
    """Return the paths of what a choice holds that no text detector can judge (audio, images)."""
    return [_dotted(path) for path, text in _strings(choice, ()) if _is_opaque(path, text)]


def channel(choice: Mapping[str, Any], path: Path) -> str:
    """Name the text at ``path``: the same in an answer and in its stream.

    Elements of a list are told apart by their ``index`` key where they have one, as tool calls do.
    All of a list-valued content is one channel, like a string.
    """
    parts: list[str] = []
    node: Any = choice
    for step in path:
        node = node[step]
        if isinstance(step, int):
            own = node.get("index") if isinstance(node, Mapping) else None
            parts.append(str(own if isinstance(own, int) else step))
        else:
            parts.append("message" if step == "delta" else step)
    if parts[:2] == ["message", "content"] or parts == ["text"]:
        return CONTENT
    if parts[:2] == ["message", "tool_calls"] and len(parts) > 2:
        return ".".join(parts[:3])  # name and arguments of a call are one text
    return ".".join(parts)


def _strings(node: Any, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(node, str):
        if node:
            yield path, node
    elif isinstance(node, Mapping):
        for key, value in node.items():
            if key not in _NO_TEXT:
                yield from _strings(value, (*path, key))
    elif isinstance(node, list):
        for place, value in enumerate(node):
            yield from _strings(value, (*path, place))


def _is_opaque(path: Path, text: str) -> bool:
    return path[-1] in _OPAQUE or (text[:5].lower() == "data:" and "base64," in text[:100])


def _dotted(path: Path) -> str:
    return ".".join(map(str, path))


def rewrite_choice(choice: Mapping[str, Any], outcome: Outcome) -> dict[str, Any]:
    """Return a choice of an answer as it may go out, with the ``protector`` object that says why.

    A text that was rewritten stands where the old one stood. Where a text was refused, or arguments of
    a tool call would have to be rewritten, the message is nothing but the refusal.
    """
    new: dict[str, Any] = copy.deepcopy(dict(choice))
    new["protector"] = protector_object(outcome)
    changed = {name: p for name, p in outcome.protections.items() if not p.unchanged}
    refused = [p for name, p in changed.items() if p.action is Action.REFUSE or "tool_calls" in name]
    if "logprobs" in new:
        new["logprobs"] = None  # they spell the old text
    if refused:
        text = max(refused, key=lambda p: p.action.severity).response
        if "text" in new:
            new["text"] = text
        else:
            new["message"] = {"role": "assistant", "content": text}
        new["finish_reason"] = "content_filter"
        new["content_filter_results"] = filter_results(outcome)
        return new
    for name, protection in changed.items():
        written = False
        for path, _ in list(_strings(choice, ())):
            if channel(choice, path) == name:
                _put(new, path, "" if written else protection.response)
                written = True
    return new


def _put(node: Any, path: Path, text: str) -> None:
    for step in path[:-1]:
        node = node[step]
    node[path[-1]] = text


def protector_object(outcome: Outcome) -> dict[str, Any]:
    """Return the ``protector`` object of a choice."""
    worst = outcome.worst
    told: dict[str, Any] = {
        "action": outcome.action.value,
        "harm": _rounded(outcome.harm),
        "categories": {}
        if worst is None or worst.detection is None
        else {code: _rounded(value) for code, value in worst.detection.categories.items()},
        "recheck": None if worst is None or worst.recheck is None else _rounded(worst.recheck.harm),
        "attempts": [] if worst is None else [_attempt(a) for a in worst.attempts],
        "policy": outcome.policy,
        "request_id": outcome.request_id,
    }
    if worst is not None and worst.third_party_instruction:
        told["third_party_instruction"] = planted_to_dicts(worst.third_party_instruction)
    if outcome.not_run:
        told["not_run"] = list(outcome.not_run)
    return told


def _attempt(attempt: Any) -> dict[str, Any]:
    harm = None if attempt.detection is None else _rounded(attempt.detection.harm)
    return {"detoxifier": attempt.detoxifier, "harm": harm, "accepted": attempt.accepted}


_AZURE = {"hate": ("S10",), "self_harm": ("S11",), "sexual": ("S3", "S4", "S12"), "violence": ("S1", "S9")}


def filter_results(outcome: Outcome) -> dict[str, dict[str, Any]]:
    """Return ``content_filter_results`` in Azure's shape.

    Severity by probability: safe below 0.25, low below 0.5, medium below 0.75, high from there.
    """
    worst = outcome.worst
    known = {} if worst is None or worst.detection is None else worst.detection.categories
    results = {}
    for name, codes in _AZURE.items():
        probability = max((known.get(code, 0.0) for code in codes), default=0.0)
        severity = ("safe", "low", "medium", "high")[min(int(probability * 4), 3)]
        results[name] = {"filtered": probability >= 0.5, "severity": severity}
    if not any(result["filtered"] for result in results.values()):
        results["protector"] = {"filtered": True, "severity": "high"}  # none of Azure's four explains it
    return results


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _PLACES)
