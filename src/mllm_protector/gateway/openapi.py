"""The OpenAPI document of the gateway: what its routes take and give, no more than is checked or kept.

Keys that go through untouched (``model``, ``temperature``, whatever a vendor adds) are left out: the
gateway takes anything there, and the upstream's own documentation says what they mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mllm_protector import __version__
from mllm_protector.gateway.settings import GatewaySettings

__all__ = ["document"]

Schema = dict[str, Any]

_PROBLEMS = {
    400: "The request is no HTTP, or its body no JSON; or, in strict mode, the answer was refused.",
    401: "No valid key.",
    403: "The key may not use that policy.",
    408: "The body did not arrive in time.",
    413: "The body is too large.",
    415: "The body is not plain application/json.",
    422: "A field is malformed or over a limit; `param` is its path.",
    429: "Too much at once; `retry-after` says when to come again.",
    500: "The gateway failed; nothing was let out.",
    503: "The guard failed, so the answer is held back.",
}
_UPSTREAM = {
    502: "The upstream cannot be reached, broke off, or answered what is no answer.",
    504: "The upstream stalled.",
    "default": "An error of the upstream, passed on.",
}
_TEXT: Schema = {"type": "string"}
_HARM: Schema = {"type": ["number", "null"], "minimum": 0, "maximum": 1}
_FREE: Schema = {"type": "object"}


def document(settings: GatewaySettings, policies: Sequence[str]) -> dict[str, Any]:
    """Return the document of a gateway with these settings, as JSON values.

    Args:
        settings: its limits stand in the schemas, and its keys make a key necessary.
        policies: names that requests may ask for.
    """
    schemas = _schemas(settings, policies)
    paths = {
        "/v1/chat/completions": _post(
            "Ask the protected model; what it answers is judged before it leaves",
            "ChatRequest",
            _ref("ChatCompletion"),
            {"text/event-stream": {"schema": _object({"data": _TEXT})}},
            _failures(_PROBLEMS | _UPSTREAM, "AnyError"),
        ),
        "/v1/models": {"get": _models()},
        "/v1/moderations": _post("Judge texts, in OpenAI's shape", "ModerationRequest", _ref("Moderations")),
        "/v1/protect": _post(
            "Guard one exchange or many",
            "ProtectRequest",
            {"anyOf": [_ref("Protection"), _object({"protections": _list(_ref("Protection"))})]},
        ),
        "/beta/litellm_basic_guardrail_api": _post(
            "litellm's generic guardrail", "GuardrailRequest", _ref("GuardrailAnswer")
        ),
        "/api/v1/text/contents": _post(
            "The detector contract of FMS Guardrails", "ContentsRequest", _list(_list(_ref("Span")))
        ),
        "/healthz": {"get": _get("Alive", _object({"status": _TEXT}))},
        "/readyz": {"get": _get("Ready: the models are warm", _object({"status": _TEXT}), 503, "Not ready.")},
        "/metrics": {"get": _get("Counters for Prometheus", _TEXT, kind="text/plain")},
        "/openapi.json": {"get": _get("This document", _FREE)},
    }
    told: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "mllm-protector gateway", "version": __version__},
        "paths": paths,
        "components": {"schemas": schemas},
    }
    if settings.keys:
        told["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        for path in paths:
            if path.startswith(("/v1/", "/api/", "/beta/")):
                for operation in paths[path].values():
                    operation["security"] = [{"key": []}]
    return told


def _schemas(settings: GatewaySettings, policies: Sequence[str]) -> dict[str, Schema]:
    limits = settings.limits
    policy = {"type": "string", "enum": sorted(policies)}
    # null stands for an absent key, as in the requests that OpenAI's clients write.
    own = {"type": ["object", "null"], "properties": {"policy": policy}, "additionalProperties": False}
    part = {"anyOf": [_TEXT, {"type": "object"}]}
    text_part = _object({"type": {"const": "text"}, "text": _TEXT})
    turn = _object({"role": {"enum": ["system", "user", "assistant"]}, "content": _TEXT})
    exchange = _object({"prompt": _TEXT, "response": _TEXT}) | {"properties": {
        "prompt": _TEXT, "response": _TEXT, "image_text": {"type": ["string", "null"]},
        "images": {"type": ["array", "null"], "items": {"type": "string", "pattern": "^data:image/"}},
        "history": {"type": ["array", "null"], "items": turn},
    }}  # fmt: skip
    message = {
        "type": "object", "required": ["role"],
        "properties": {
            "role": {"type": "string", "minLength": 1},
            "content": {"anyOf": [{"type": ["string", "null"]}, _list(part)]},
        },
    }  # fmt: skip
    return {
        "Policy": policy,
        "Error": _object({"error": _object(
            {"message": _TEXT, "type": _TEXT, "param": {"type": ["string", "null"]}, "code": _TEXT}
        )}),
        "AnyError": _object({"error": {"description": "As in Error, or whatever the upstream said."}}),
        "Message": message,
        "ChatRequest": {"type": "object", "required": ["messages"], "properties": {
            "messages": _list(_ref("Message"), 1, limits.messages),
            "n": {"type": ["integer", "null"], "minimum": 1, "maximum": limits.choices},
            "stream": {"type": ["boolean", "null"]}, "protector": own,
        }},
        "ChatCompletion": _object({"choices": _list(_ref("Choice"))}),
        "Choice": {"type": "object", "properties": {"protector": _ref("Told")}},
        "Told": _object({
            "action": _TEXT, "harm": _HARM, "recheck": _HARM, "categories": _FREE,
            "attempts": _list(_FREE), "policy": _TEXT, "request_id": _TEXT,
        }),
        "ModerationRequest": {"type": "object", "required": ["input"], "properties": {
            "input": {"anyOf": [_TEXT, _list({"anyOf": [_TEXT, text_part]}, 1, limits.batch)]},
            "protector": own,
        }},
        "Moderations": _object({"id": _TEXT, "model": _TEXT, "results": _list(_object({
            "flagged": {"type": "boolean"}, "categories": _FREE, "category_scores": _FREE, "harm": _HARM,
        }))}),
        "Exchange": exchange,
        "ProtectRequest": {"type": "object", "properties": {"protector": own}, "anyOf": [
            {"allOf": [_ref("Exchange"), {"type": "object", "properties": {"exchanges": False}}]},
            _object({"exchanges": _list(_ref("Exchange"), 1, limits.batch)}),
        ]},
        "Protection": _object({
            "action": _TEXT, "response": _TEXT, "harm": _HARM, "recheck": _HARM, "policy": _TEXT,
            "request_id": _TEXT,
        }),
        "GuardrailRequest": {"type": "object", "properties": {
            "texts": {"type": ["array", "null"], "items": _TEXT},
            "tool_calls": {"type": ["array", "null"], "items": _FREE},
            "structured_messages": {"type": ["array", "null"], "items": _ref("Message")},
            "request_data": {"type": ["object", "null"]},
            "input_type": {"type": ["string", "null"], "description": "`request` passes unjudged"},
            "protector": own,
        }},
        "GuardrailAnswer": {"type": "object", "required": ["action"], "properties": {
            "action": {"enum": ["NONE", "BLOCKED", "GUARDRAIL_INTERVENED"]}, "blocked_reason": _TEXT,
            "texts": _list(_TEXT),
        }},
        "ContentsRequest": {"type": "object", "required": ["contents"], "properties": {
            "contents": _list(_TEXT, 1, limits.batch), "protector": own,
        }},
        "Span": _object({
            "start": {"type": "integer"}, "end": {"type": "integer"}, "text": _TEXT, "detection": _TEXT,
            "detection_type": _TEXT, "score": _HARM,
        }),
    }  # fmt: skip


def _post(
    summary: str,
    takes: str,
    gives: Schema,
    also: Mapping[str, Any] | None = None,
    failures: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    asked = {"name": "x-protector-policy", "in": "header", "schema": _ref("Policy")}
    content = {"application/json": {"schema": gives}, **(also or {})}
    return {
        "post": {
            "summary": summary,
            "parameters": [asked],
            "requestBody": {"required": True, "content": {"application/json": {"schema": _ref(takes)}}},
            "responses": {
                "200": {"description": "Judged.", "content": content},
                **(failures or _failures(_PROBLEMS)),
            },
        }
    }


def _get(
    summary: str, gives: Schema, status: int = 0, why: str = "", kind: str = "application/json"
) -> dict[str, Any]:
    content = {kind: {"schema": gives}}
    responses = {"200": {"description": "As asked.", "content": content}}
    if status:
        responses[str(status)] = {"description": why, "content": content}
    return {"summary": summary, "responses": responses}


def _models() -> dict[str, Any]:
    operation = _get("The upstream's models", _FREE)
    operation["responses"] |= _failures({401: _PROBLEMS[401], **_UPSTREAM}, "AnyError")
    return operation


def _failures(problems: Mapping[Any, str], shape: str = "Error") -> dict[str, Any]:
    content = {"application/json": {"schema": _ref(shape)}}
    told = {str(status): {"description": why, "content": content} for status, why in problems.items()}
    if "400" in told:  # what is no HTTP is answered by the server, before the gateway sees it
        told["400"]["content"] = {**content, "text/plain": {"schema": _TEXT}}
    return told


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _list(items: Schema, least: int = 0, most: int | None = None) -> Schema:
    told: Schema = {"type": "array", "items": items}
    if least:
        told["minItems"] = least
    if most is not None:
        told["maxItems"] = most
    return told


def _object(properties: Mapping[str, Schema]) -> Schema:
    """An object with all of these, and whatever else."""
    return {"type": "object", "required": list(properties), "properties": dict(properties)}
