"""The OpenAPI document is true: generated requests, right and wrong, get what it says and never a 500."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance
from tests.serving import Running, Upstream

from mllm_protector import Protector
from mllm_protector.gateway.app import create_app
from mllm_protector.gateway.openapi import document
from mllm_protector.gateway.settings import GatewaySettings, gateway_settings
from mllm_protector.policies import load_policy
from mllm_protector.testing import ScriptedDetector, ScriptedDetoxifier


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    model = Upstream()
    protector = Protector(ScriptedDetector(), load_policy("default"), {"scripted": ScriptedDetoxifier()})
    with Running(model.app) as upstream:
        section = {"upstream": upstream.url, "stream": {"heartbeat": 60}}
        with Running(create_app(protector, gateway_settings(section))) as server:
            yield server.url


@pytest.fixture(scope="module")
def api(url: str) -> schemathesis.BaseSchema:
    return schemathesis.openapi.from_url(f"{url}/openapi.json")


_OPERATIONS = [
    (path, method)
    for path, item in document(GatewaySettings(), ["default"])["paths"].items()
    for method in item
]
_CASES = [
    pytest.param(path, method, mode, id=f"{path}-{mode.value}")
    for path, method in _OPERATIONS
    for mode in GenerationMode
    if method == "post" or mode is GenerationMode.POSITIVE  # nothing is wrong about a plain GET
]


@pytest.mark.parametrize(("path", "method", "mode"), _CASES)
def test_generated_requests(
    api: schemathesis.BaseSchema, path: str, method: str, mode: GenerationMode
) -> None:
    @settings(
        max_examples=15, derandomize=True, deadline=None, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=api[path][method].as_strategy(generation_mode=mode))
    def told_the_truth(case: schemathesis.Case[Any]) -> None:
        # An image that follows the pattern is seldom one that can be opened.
        told: Any = [positive_data_acceptance] if path == "/v1/protect" and "images" in str(case.body) else []
        case.call_and_validate(excluded_checks=told)

    told_the_truth()


def test_every_route_is_documented(api: schemathesis.BaseSchema) -> None:
    app = create_app(Protector(ScriptedDetector(), load_policy("default")), GatewaySettings())
    served = {(route.path, method.lower()) for route in app.routes for method in route.methods - {"HEAD"}}  # type: ignore[attr-defined]
    assert served == set(_OPERATIONS)


def test_keys_and_limits_are_the_configurations_own() -> None:
    told = document(
        GatewaySettings(keys=({"name": "a", "key_env": "A"},), limits={"choices": 3}),  # type: ignore[arg-type]
        ["strict", "default"],
    )
    assert told["paths"]["/v1/protect"]["post"]["security"] == [{"key": []}]
    assert "security" not in told["paths"]["/healthz"]["get"]
    assert told["components"]["schemas"]["ChatRequest"]["properties"]["n"]["maximum"] == 3
    assert told["components"]["schemas"]["Policy"]["enum"] == ["default", "strict"]
