"""Routes that judge texts without asking a model: moderations, protect, litellm's and FMS's contracts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from mllm_protector.data.records import protection_to_dict, to_exchange
from mllm_protector.errors import BackendError, RecordError
from mllm_protector.gateway.media import Seen
from mllm_protector.gateway.messages import Json
from mllm_protector.gateway.problems import RequestError, guard_unavailable
from mllm_protector.gateway.wire import chat_query
from mllm_protector.protector import Protector
from mllm_protector.taxonomy import LABEL_SETS
from mllm_protector.types import Action, Detection, Exchange, Query

if TYPE_CHECKING:
    from mllm_protector.gateway.app import Call, Gateway

__all__ = ["contents", "litellm", "moderations", "protect"]

_OPENAI = LABEL_SETS["openai-moderation"]


async def moderations(gateway: Gateway, _: Request, call: Call) -> Response:
    """OpenAI's moderation shape, answered by the harm detector."""
    given = call.body.get("input")
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not texts:
        raise _wrong("input", "must be a string or a list of strings")
    texts = [_input_text(text, place) for place, text in enumerate(texts)]
    found = await _detect(gateway, call, [Exchange(Query(""), text) for text in texts])
    threshold = call.protector.policy.threshold
    results = [_moderation(detection, threshold) for detection in found]
    return Json({"id": f"modr-{call.origin.request_id}", "model": "mllm-protector", "results": results})


def _input_text(item: Any, place: int) -> str:
    if isinstance(item, Mapping) and item.get("type") == "text":
        item = item.get("text")
    if not isinstance(item, str):
        raise _wrong(f"input[{place}]", "must be a string or a text part; images are not judged here")
    return item


def _moderation(detection: Detection, threshold: float) -> dict[str, Any]:
    scores = {
        label: max((detection.categories.get(code, 0.0) for code in codes), default=0.0)
        for label, codes in _OPENAI.items()
    }
    return {
        "flagged": detection.harm >= threshold,
        "categories": {label: score >= threshold for label, score in scores.items()},
        "category_scores": scores,
        "harm": detection.harm,
    }


async def protect(gateway: Gateway, _: Request, call: Call) -> Response:
    """One or many exchanges in, protections out."""
    single = "exchanges" not in call.body
    records = [call.body] if single else call.body["exchanges"]
    exchanges = [_exchange(record, place) for place, record in enumerate(_limited(gateway, records))]
    not_run = [_unread(exchange.query, call.protector) for exchange in exchanges]
    gateway.media.account([part for parts in not_run for part in parts])
    found = await gateway.guard.protect(call.protector, exchanges)
    for n, (protection, parts) in enumerate(zip(found, not_run, strict=True)):
        await gateway.guard.record(call.origin, [(n, "response", protection)], parts)
    told = [protection_to_dict(p) for p in found]
    for record, parts in zip(told, not_run, strict=True):
        record["policy"], record["request_id"] = call.protector.policy.name, call.origin.request_id
        record["not_run"] = parts
    return Json(told[0] if single else {"protections": told})


def _unread(query: Query, protector: Protector) -> list[str]:
    """Return what is sent along and nothing here reads."""
    missing = {
        "images: no image_reader is configured": query.images and protector.image_reader is None,
        "recordings: no transcriber is configured": query.recordings and protector.transcriber is None,
    }
    return [] if query.image_text else [part for part, unread in missing.items() if unread]


def _limited(gateway: Gateway, items: Any) -> list[Any]:
    most = gateway.settings.limits.batch
    if not isinstance(items, list) or not items:
        raise _wrong("body", "must hold a list of at least one item")
    if len(items) > most:
        raise _wrong("body", f"holds {len(items)} items; at most {most} are taken at once")
    return items


def _exchange(record: Any, place: int) -> Exchange:
    if not isinstance(record, dict):
        raise _wrong(f"exchanges[{place}]", "must be an object with prompt and response")
    known = {k: v for k, v in record.items() if k != "protector"}
    for key in ("images", "recordings"):
        media = known.get(key)
        for reference in media if isinstance(media, list) else ():
            if not isinstance(reference, str) or not reference.startswith("data:"):
                fault = "must be data: URLs; files of this machine are not read"
                raise _wrong(f"exchanges[{place}].{key}", fault)
    try:
        return to_exchange(known, base=Path("/nowhere"))
    except RecordError as error:
        raise _wrong(f"exchanges[{place}]", str(error)) from error


async def litellm(gateway: Gateway, _: Request, call: Call) -> Response:
    """litellm's generic guardrail: answers are judged and rewritten; requests pass (output is guarded)."""
    texts = _strings(call.body, "texts")
    calls = [str(c.get("function")) for c in _objects(call.body, "tool_calls")]
    data, kind = call.body.get("request_data"), call.body.get("input_type")
    if not isinstance(data, dict | None):
        raise _wrong("request_data", "must be an object")
    if not isinstance(kind, str | None):
        raise _wrong("input_type", "must be a string")
    if kind == "request":
        return Json({"action": "NONE"})
    messages = _objects(call.body, "structured_messages") or (data or {}).get("messages")
    if not messages and isinstance(images := call.body.get("images"), list):
        messages = [{"role": "user", "content": [{"type": "image_url", "image_url": i} for i in images]}]
    seen = Seen(Query(""))
    if messages:
        query = chat_query({"messages": messages}, gateway.settings.limits)
        parts = await gateway.media.parts(call.protector, messages)
        seen = await gateway.media.read(call.protector, query, parts)
        gateway.media.account(seen.not_run[len(parts.not_run) :])
    found = await gateway.guard.protect(call.protector, [Exchange(seen.query, t) for t in [*texts, *calls]])
    judged = [(n, "response", p) for n, p in enumerate(found)]
    await gateway.guard.record(call.origin, judged, seen.not_run)
    answers, tools = found[: len(texts)], found[len(texts) :]
    refused = [p for p in answers if p.action is Action.REFUSE] + [p for p in tools if not p.unchanged]
    if refused:
        return Json({"action": "BLOCKED", "blocked_reason": refused[0].response})
    if all(p.unchanged for p in answers):
        return Json({"action": "NONE"})
    return Json({"action": "GUARDRAIL_INTERVENED", "texts": [p.response for p in answers]})


def _strings(body: Mapping[str, Any], key: str) -> list[str]:
    return _items(body, key, str, "strings")


def _objects(body: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    return _items(body, key, dict, "objects")


def _items(body: Mapping[str, Any], key: str, kind: type, name: str) -> list[Any]:
    items = body.get(key)
    if items is None:
        return []
    if not isinstance(items, list) or not all(isinstance(item, kind) for item in items):
        raise _wrong(key, f"must be a list of {name}")
    return items


async def contents(gateway: Gateway, _: Request, call: Call) -> Response:
    """The detector contract of FMS Guardrails: spans with scores, per text."""
    texts = _limited(gateway, call.body.get("contents"))
    if not all(isinstance(text, str) for text in texts):
        raise _wrong("contents", "must be a list of strings")
    found = await _detect(gateway, call, [Exchange(Query(""), text) for text in texts])
    return Json([_spans(t, d, call.protector.policy.threshold) for t, d in zip(texts, found, strict=True)])


def _spans(text: str, detection: Detection, threshold: float) -> list[dict[str, Any]]:
    if detection.harm < threshold:
        return []
    best = max(detection.categories, key=lambda c: detection.categories[c], default="harm")
    places = [(s.start, s.end, s.harm) for s in detection.spans] or [(0, len(text), detection.harm)]
    return [
        {
            "start": start, "end": end, "text": text[start:end], "detection": best,
            "detection_type": "harm", "score": score,
        }
        for start, end, score in places
    ]  # fmt: skip


async def _detect(gateway: Gateway, call: Call, exchanges: list[Exchange]) -> list[Detection]:
    if len(exchanges) > gateway.settings.limits.batch:
        raise _wrong("body", f"holds more than {gateway.settings.limits.batch} texts")
    try:
        return await gateway.batcher.detect(call.protector, exchanges)
    except BackendError as error:
        gateway.metrics.failures.labels("detector").inc()
        raise guard_unavailable("the detector failed") from error


def _wrong(path: str, fault: str) -> RequestError:
    return RequestError(422, "invalid_request", f"{path} {fault}", param=path)
