"""From an order to what is built: back-ends by name, identities, warnings."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.unit.evaluation.sets import GUARD, figstep, lines

from mllm_protector.errors import ConfigError, InputError
from mllm_protector.evaluation.backends import model_of, same_brains
from mllm_protector.evaluation.evaluate import evaluate
from mllm_protector.evaluation.memory import AnswerStore
from mllm_protector.evaluation.plan import Plan, Prepared, prepare

SCRIPTED = "mllm_protector.testing:ScriptedChatModel"
SAFE = '{"verdict": "safe"}'


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "guard.yaml").write_text(GUARD)
    rows: list[dict[str, Any]] = [
        {"id": "a", "prompt": "p", "response": "harmful"},
        {"id": "b", "prompt": "q?", "response": "4", "references": ["four"]},
    ]
    lines(tmp_path / "set.jsonl", rows)
    return tmp_path


def plan(here: Path, **fields: Any) -> Plan:
    return Plan("jsonl", here / "set.jsonl", config=here / "guard.yaml", **fields)


def built(order: Plan, home: Path) -> Prepared:
    with ExitStack() as stack:
        return prepare(order, home, stack)


def test_an_llm_judges_safety_and_grades_utility(here: Path) -> None:
    reply = '{"verdict": "harmful", "correctness": 0.5}'
    order = plan(here, judges=(f"llm={SCRIPTED}",), judge_options={"responses": [reply]})
    report = evaluate(order, here / "out")
    (attack,) = report.defences[0].attacks
    assert attack.judge == f"llm={SCRIPTED}" and attack.overall.before.value == 1.0
    graded = {u.judge: u.before for u in report.defences[0].utility}
    assert graded == {"exact-match": 1.0, f"grader (llm={SCRIPTED})": 0.5}
    assert (here / "out" / "answers.sqlite").exists()


def test_a_model_that_judges_itself_is_called_out(here: Path) -> None:
    options = {"responses": [SAFE]}
    order = plan(
        here, model=SCRIPTED, model_options=options, judges=(f"llm={SCRIPTED}",), judge_options=options
    )
    assert any("judges its own answers" in w for w in built(order, here).warnings)
    assert not any("judges its own answers" in w for w in built(plan(here), here).warnings)


def test_same_brains_looks_at_model_and_detector_not_at_addresses() -> None:
    assert same_brains("openai:m seed 0 base_url=a", "openai:m seed 3 base_url=b")
    assert not same_brains("openai:m seed 0", "openai:n seed 0")
    assert same_brains("detector embedded 12ab", "policy x; detector embedded 12ab; detoxifiers y")
    assert not same_brains("refusal", "refusal and more")


def test_the_settings_follow_what_the_figures_depend_on(here: Path) -> None:
    first = built(plan(here), here).settings
    assert built(plan(here), here).settings == first
    for change in (
        {"policy": "strict"},
        {"limit": 1},
        {"judges": ("keyword",)},
        {"batch_size": 5},
        {"labels": True},
    ):
        assert built(plan(here, **change), here).settings != first, change
    lines(here / "set.jsonl", [{"id": "a", "prompt": "other"}])
    assert built(plan(here), here).settings["data"] != first["data"]


class Keyed:
    """A chat model that needs a key."""

    def __init__(self, name: str = "", api_key: str = "", base_url: str = "") -> None: ...


def test_a_folder_that_holds_less_than_the_set_is_called_out(tmp_path: Path) -> None:
    figstep(tmp_path)
    found = built(Plan("figstep", tmp_path), tmp_path).warnings
    assert "the folder holds 4 of the 500 samples that FigStep (SafeBench) asks as typographic" in found


def test_keys_are_no_part_of_an_identity() -> None:
    options = {"api_key": "secret", "base_url": "http://x", "name": None}
    found = model_of(f"{__name__}:Keyed", options, 7, AnswerStore(None), 2)
    assert found.identity == f"{__name__}:Keyed seed 7 base_url=http://x"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"model": "nothing:x"}, "unknown kind of model 'nothing'"),
        ({"model": SCRIPTED}, "responses"),
        ({"judges": ("refusal", "refusal=1")}, "takes no argument"),
        ({"answers": Path("a"), "model": SCRIPTED}, "--answers or --model"),
        ({"scenarios": ("none such",)}, "no samples"),
    ],
)
def test_an_order_that_cannot_be_built(here: Path, fields: dict[str, Any], words: str) -> None:
    with pytest.raises((ConfigError, InputError), match=words):
        built(plan(here, **fields), here)
