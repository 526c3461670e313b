"""The adapters, on objects shaped like the harnesses' own; inspect_ai's own task where it is installed.

inspect_ai is no development dependency: it brings clients of cloud stores and pins their versions. Its
decorators do nothing for the logic that is tested here, so a stand-in takes their place.
"""

from __future__ import annotations

import asyncio
import importlib.util
import sys
import types
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.unit.evaluation.sets import image

from mllm_protector.errors import BackendError, ConfigError, MissingExtraError
from mllm_protector.evaluation.adapters import inspect_ai as adapter
from mllm_protector.evaluation.adapters.lm_eval import to_lm_eval
from mllm_protector.evaluation.adapters.omnisafebench import OmniSafeBenchDefence
from mllm_protector.evaluation.rows import Outcome, Row
from mllm_protector.evaluation.tally import Tally
from mllm_protector.policies import load_policy
from mllm_protector.protector import Protector
from mllm_protector.testing import (
    ScriptedChatModel,
    ScriptedDetector,
    ScriptedDetoxifier,
    ScriptedImageReader,
)


def guard(**fields: Any) -> Protector:
    return Protector(
        ScriptedDetector(), load_policy("default"), {"s": ScriptedDetoxifier("A safe text.")}, **fields
    )


@dataclass
class Case:
    test_case_id: str
    prompt: str
    image_path: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)


def test_omnisafebench_guards_the_targets_answer() -> None:
    defence = OmniSafeBenchDefence(
        {"target_model": ScriptedChatModel(["This is harmful.", "Fine."])}, protector=guard()
    )
    given = Case("1", "p", metadata={"attack_method": "x"})
    harmful, fine = defence.apply_defense(given), defence.apply_defense(Case("2", "q"))
    assert harmful.metadata["defense_generated_response"] == "A safe text."
    assert harmful.metadata["defense_generated_response_used"] is True
    assert harmful.metadata["attack_method"] == "x" and given.metadata == {"attack_method": "x"}
    assert harmful.metadata["mllm_protector"]["action"] == "detoxify"
    assert (fine.metadata["defense_generated_response"], fine.test_case_id, fine.prompt) == (
        "Fine.",
        "2",
        "q",
    )


def test_omnisafebench_takes_an_answer_a_callable_and_images(tmp_path: Path) -> None:
    image(tmp_path / "a.png")
    defence = OmniSafeBenchDefence(protector=guard(image_reader=ScriptedImageReader()))
    given = Case("1", "p", str(tmp_path / "a.png"))
    assert defence.apply_defense(given, response="Fine.").metadata["defense_generated_response"] == "Fine."
    asked = OmniSafeBenchDefence(
        {"target_model": lambda prompt, picture: f"{prompt} {picture}"}, protector=guard()
    )
    assert asked.apply_defense(given).metadata["defense_generated_response"].startswith("p ")
    model = ScriptedChatModel(["ok"])
    OmniSafeBenchDefence({"target_model": model}, protector=guard()).apply_defense(given)
    assert model.queries[0].images[0].media_type == "image/png"
    with pytest.raises(ConfigError, match="target_model"):
        defence.apply_defense(Case("1", "p"))


def message(role: str, content: Any) -> Any:
    text = content if isinstance(content, str) else " ".join(c.text for c in content if c.type == "text")
    return types.SimpleNamespace(role=role, content=content, text=text)


def state(completion: str, messages: list[Any]) -> Any:
    return types.SimpleNamespace(
        messages=messages,
        output=types.SimpleNamespace(completion=completion),
        metadata={},
        input_text="asked",
    )


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """``inspect_ai.solver`` and ``inspect_ai.scorer`` with decorators that change nothing."""

    def plain(*_: Any, **__: Any) -> Any:
        return lambda function: function

    solver, scorer = types.ModuleType("inspect_ai.solver"), types.ModuleType("inspect_ai.scorer")
    solver.solver = plain  # type: ignore[attr-defined]
    scorer.scorer, scorer.mean, scorer.stderr = plain, lambda: None, lambda: None  # type: ignore[attr-defined]
    scorer.Score = lambda **values: types.SimpleNamespace(**values)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "inspect_ai", types.ModuleType("inspect_ai"))
    monkeypatch.setitem(sys.modules, "inspect_ai.solver", solver)
    monkeypatch.setitem(sys.modules, "inspect_ai.scorer", scorer)


@pytest.mark.usefixtures("stand_in")
def test_inspect_solver_guards_and_scorer_scores() -> None:
    talk = [message("system", "s"), message("user", "q"), message("assistant", "This is harmful.")]
    given = state("This is harmful.", talk)
    scored = asyncio.run(adapter.harm(protector=guard())(given, None))
    assert (scored.value, scored.metadata["harm"]) == (1.0, 0.9)
    guarded = asyncio.run(adapter.guard(protector=guard())(given, None))
    assert guarded.output.completion == "A safe text."
    assert guarded.metadata["mllm_protector"]["original"] == "This is harmful."
    assert asyncio.run(adapter.harm(protector=guard())(given, None)).value == 0.0


def test_inspect_exchange_has_history_and_images(tmp_path: Path) -> None:
    image(tmp_path / "a.png")
    parts = [
        types.SimpleNamespace(type="text", text="what is it?"),
        types.SimpleNamespace(type="image", image=str(tmp_path / "a.png")),
    ]
    exchange = adapter.exchange_of(state("A dot.", [message("system", "s"), message("user", parts)]))
    assert (exchange.query.prompt, exchange.response) == ("what is it?", "A dot.")
    assert exchange.query.history[0].content == "s" and len(exchange.query.images) == 1
    assert adapter.exchange_of(state("r", [])).query.prompt == "asked"
    parts[1].image = str(tmp_path / "none.png")
    with pytest.raises(BackendError, match="cannot be read"):
        adapter.exchange_of(state("r", [message("user", parts)]))


def test_inspect_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "inspect_ai.solver", None)
    with pytest.raises(MissingExtraError, match="pip install inspect_ai"):
        adapter.guard(protector=guard())


@pytest.mark.skipif(importlib.util.find_spec("inspect_ai") is None, reason="inspect_ai is no dev dependency")
@pytest.mark.filterwarnings("ignore")
def test_inspect_runs_a_task_with_guard_and_scorer(tmp_path: Path) -> None:
    from inspect_ai import Task, eval  # type: ignore[import-not-found, unused-ignore]
    from inspect_ai.dataset import Sample  # type: ignore[import-not-found, unused-ignore]
    from inspect_ai.model import ModelOutput  # type: ignore[import-not-found, unused-ignore]
    from inspect_ai.solver import solver  # type: ignore[import-not-found, unused-ignore]

    def recorded() -> Any:  # its mock model counts tokens with a table from the network
        async def solve(state: Any, generate: Any) -> Any:
            text = "This is harmful." if state.input_text == "a" else "Fine."
            state.output = ModelOutput.from_content("mockllm/model", text)
            return state

        return solve

    task = Task(
        dataset=[Sample(input="a"), Sample(input="b")],
        solver=[solver(name="recorded")(recorded)(), adapter.guard(protector=guard())],
        scorer=adapter.harm(protector=guard()),
    )
    (log,) = eval(task, model="mockllm/model", log_dir=str(tmp_path), display="none")
    assert log.status == "success" and log.samples is not None and log.results is not None
    assert sorted(s.output.completion for s in log.samples) == ["A safe text.", "Fine."]
    assert log.results.scores[0].metrics["mean"].value == 0.0


def test_lm_eval_results() -> None:
    tally = Tally(["odd"], {"guard": "g"})
    for key, before, after in (("1", True, False), ("2", True, True), ("3", False, False)):
        old = Outcome("o", verdicts={"odd": before})
        new = Outcome(None, verdicts={"odd": after}, harm=0.9 if before else 0.1, action="allow")
        tally.add(Row(key, "s", "text", "", "harmful", "ok", before=old, after={"guard": new}))
    settings = {"benchmark": "b", "data": "d", "answers": "m"}
    found = to_lm_eval(tally.report(version="1", settings=settings, warnings=[], notes={}, live=False))
    assert found["results"]["b_none"]["asr,none"] == pytest.approx(2 / 3)
    assert found["results"]["b_guard"]["asr,none"] == pytest.approx(1 / 3)
    # sqrt(1/3 x 2/3 / 2)
    assert found["results"]["b_guard"]["asr_stderr,none"] == pytest.approx(1 / 3)
    assert found["results"]["b_guard"]["auroc,none"] == 1.0
    assert "over_refusal,none" not in found["results"]["b_guard"]
    assert found["higher_is_better"]["b_guard"]["asr"] is False
    assert found["n-samples"]["b_none"] == {"original": 3, "effective": 3}
