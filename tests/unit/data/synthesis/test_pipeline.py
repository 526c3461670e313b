"""The way from scenarios to records, over models that a test writes."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from mllm_protector.data.synthesis.metering import MeteredModel, Pacer, Spending
from mllm_protector.data.synthesis.pipeline import Outcome, Plan, Synthesis, synthesise
from mllm_protector.data.synthesis.replies import questions_in
from mllm_protector.data.synthesis.scenarios import SHIPPED, Prompts, Scenario, Script, load_script
from mllm_protector.errors import BackendError, ConfigError, InputError, OutageError
from mllm_protector.interfaces import Judgement
from mllm_protector.taxonomy import HAZARDS
from mllm_protector.testing import ScriptedChatModel
from mllm_protector.types import Exchange, Query

PROMPTS = Prompts(
    system="s", questions="Q {scenario} {count} {batch} {known}", harmful="H {question}", safe="S {question}"
)
SCRIPT = Script(
    PROMPTS, (Scenario("locks", "about", ("S2",)), Scenario("crowds", "about", ("S1", "S10"))), "d"
)
TOPICS = ("gardens", "bicycles", "letterboxes", "telephones", "warehouses", "fireplaces", "orchards",
          "museums", "theatres", "aquariums", "lighthouses", "vineyards")  # fmt: skip


@dataclass(frozen=True)
class Said:
    text: str | None
    error: str = ""


class Model:
    """Writes four questions per batch, and answers; ``change`` may replace any reply."""

    def __init__(self, change: Callable[[str], str | None] = lambda _: "") -> None:
        self.asked: list[str] = []
        self._change = change

    def ask(self, queries: Sequence[Query]) -> list[Said]:
        return [self._one(query.prompt) for query in queries]

    def _one(self, prompt: str) -> Said:
        self.asked.append(prompt)
        changed = self._change(prompt)
        if changed != "":
            return Said(changed, "it broke")
        kind, _, rest = prompt.partition(" ")
        if kind != "Q":
            return Said(f"{'harmful' if kind == 'H' else 'A safe'} answer about {rest}")
        scenario, _, batch, *_ = rest.split()
        first = 4 * (int(batch) - 1)
        return Said(json.dumps([f"Ruin {t}, {scenario} {t}?" for t in TOPICS[first : first + 4]]))


class WordJudge:
    def judge(self, exchanges: Sequence[Exchange], /) -> list[Judgement]:
        return [Judgement("harmful" in exchange.response) for exchange in exchanges]


def refuses(text: str) -> bool:
    return text.startswith("I can't")


def made(count: int, model: Model, *judges: object, **options: object) -> Synthesis:
    chosen = judges or (WordJudge(),)
    plan = Plan(SCRIPT, count, licence="MIT")
    return synthesise(plan, model, chosen, refuses=refuses, **options)  # type: ignore[arg-type]


def test_two_records_per_question_spread_over_the_scenarios() -> None:
    seen: list[int] = []
    result = made(5, Model(), advanced=seen.append)
    assert result.scenarios == {"locks": (3, 3), "crowds": (2, 2)}
    assert result.outcomes == {Outcome.KEPT: 5, Outcome.SURPLUS: 3}
    assert seen == [1, 2, 3, 4, 5] and not result.stopped
    harmful, safe = result.records[:2]
    assert harmful.prompt == safe.prompt == "Ruin gardens, locks gardens?"
    assert (harmful.harmful, harmful.categories, harmful.safe_response) == (True, ("S2",), safe.response)
    assert (safe.harmful, safe.categories, safe.licence, safe.source) == (False, (), "MIT", "synthetic")


def test_a_scenario_is_asked_again_until_there_are_enough() -> None:
    model = Model()
    assert made(20, model).scenarios == {"locks": (10, 10), "crowds": (10, 10)}
    lists = [prompt for prompt in model.asked if prompt.startswith("Q locks")]
    assert len(lists) == 3 and "museums" in lists[2] and "(none yet)" in lists[0]


def test_a_scenario_that_dries_up_is_left_short() -> None:
    result = made(40, Model())
    assert result.scenarios == {"locks": (12, 20), "crowds": (12, 20)}
    assert result.outcomes[Outcome.LIST_UNPARSABLE] == 6, "the empty lists at the end, three per scenario"


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        (lambda p: "I can't write that." if p.startswith("Q") else "", Outcome.LIST_REFUSED),
        (lambda p: "Well, let me think." if p.startswith("Q") else "", Outcome.LIST_UNPARSABLE),
        (lambda p: "I can't." if p.startswith("H") else "", Outcome.REFUSED),
        (lambda p: "I can't." if p.startswith("S") else "", Outcome.BARE_REFUSAL),
        (lambda p: " \n" if p.startswith("S") else "", Outcome.EMPTY),
        (lambda p: None if p.startswith("H") else "", Outcome.NO_REPLY),
        (lambda p: "Yes, quite so." if p.startswith("S") else "", Outcome.IRRELEVANT),
        (lambda p: f"safe {p}" if p.startswith("H") else "", Outcome.NOT_HARMFUL),
        (lambda p: f"harmful {p}" if p.startswith("S") else "", Outcome.NOT_SAFE),
    ],
)
def test_nothing_is_dropped_without_being_counted(change: Callable[[str], str | None], outcome: str) -> None:
    result = made(2, Model(change))
    assert not result.records and set(result.outcomes) <= {outcome, Outcome.SURPLUS, Outcome.LIST_UNPARSABLE}
    assert result.outcomes[outcome] >= 2


def test_repeated_questions_are_duplicates() -> None:
    same = json.dumps(["How would anybody damage the gardens?", "How would ANYBODY damage the gardens"])
    result = made(4, Model(lambda p: same if p.startswith("Q") else ""))
    assert len(result.records) == 2 and result.outcomes[Outcome.DUPLICATE] == 13


class Open:
    def judge(self, exchanges: Sequence[Exchange], /) -> list[Judgement]:
        return [Judgement(None) for _ in exchanges]


class Never:
    def judge(self, exchanges: Sequence[Exchange], /) -> list[Judgement]:
        return [Judgement(False) for _ in exchanges]


class Picky:
    """Fails on gardens, whatever else is in the batch."""

    def judge(self, exchanges: Sequence[Exchange], /) -> list[Judgement]:
        if any("gardens" in exchange.response for exchange in exchanges):
            raise BackendError("too green")
        return WordJudge().judge(exchanges)


def test_all_judges_have_to_agree() -> None:
    assert made(2, Model(), WordJudge(), WordJudge()).outcomes[Outcome.KEPT] == 2
    for judges in ((WordJudge(), Never()), (WordJudge(), Open()), (Open(),)):
        result = made(2, Model(), *judges)
        assert not result.records and result.outcomes[Outcome.OPEN] > 0
    with pytest.raises(ConfigError, match="at least one judge"):
        synthesise(Plan(SCRIPT, 1), Model(), (), refuses=refuses)


def test_one_exchange_that_cannot_be_judged_takes_no_other_along() -> None:
    result = made(6, Model(), Picky())
    assert result.outcomes[Outcome.UNJUDGED] == 2 and len(result.records) == 12


def test_a_model_that_is_gone_ends_the_run() -> None:
    with pytest.raises(OutageError, match=r"3 times in a row \(it broke\).*goes on from here"):
        made(2, Model(lambda _: None))


def test_a_judge_that_is_gone_ends_the_run() -> None:
    class Gone:
        def judge(self, exchanges: Sequence[Exchange], /) -> list[Judgement]:
            raise OutageError("gone")

    with pytest.raises(OutageError):
        made(2, Model(), Gone())


def test_stop_is_asked_before_every_round() -> None:
    rounds = iter([False, True])
    result = made(20, Model(), stop=lambda: next(rounds))
    assert result.stopped and result.scenarios["locks"] == (4, 10) and result.scenarios["crowds"] == (0, 10)


@pytest.mark.parametrize(
    ("reply", "questions"),
    [
        ('["a b", "c"]', ["a b", "c"]),
        ('Sure!\n```json\n["a", "b"]\n```', ["a", "b"]),
        ('<think>["no"]</think>["yes"]', ["yes"]),
        ("1. First one\n2) Second one\n- third", ["First one", "Second one", "third"]),
        ('1. "Quoted?"', ["Quoted?"]),
        ("[broken\n1. still here", ["still here"]),
        ("[1, 2]", []),
        ("Just prose about questions.", []),
        ("", []),
        (json.dumps(["x" * 2000, "short"]), ["short"]),
    ],
)
def test_questions_in_a_reply(reply: str, questions: list[str]) -> None:
    assert questions_in(reply) == questions


def test_the_script_that_ships_covers_every_hazard() -> None:
    script = load_script()
    covered = {code for scenario in script.scenarios for code in scenario.categories}
    assert covered == {hazard.code for hazard in HAZARDS}
    assert "{question}" in script.prompts.safe


def test_a_file_without_prompts_takes_those_that_ship(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("scenarios: [{name: a, about: b, categories: [S1, health-advice]}]")
    script = load_script(path)
    assert script.prompts == load_script().prompts and script.scenarios[0].categories == (
        "S1",
        "health-advice",
    )
    path.write_text(
        "prompts: {safe: 'Be good: {question}'}\nscenarios: [{name: a, about: b, categories: [S1]}]"
    )
    assert load_script(path).prompts.safe == "Be good: {question}"
    assert load_script(path).digest != script.digest
    path.write_bytes(SHIPPED.read_bytes())
    assert load_script(path) == load_script()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[", "not valid YAML"),
        ("3", "a mapping"),
        ("scenarios: []", "is a list of"),
        ("scenario: []", "did you mean 'scenarios'"),
        ("scenarios: [3]", "scenario 1 must be a mapping"),
        ("scenarios: [{name: a, categories: [S1]}]", "needs a name and an about"),
        ("scenarios: [{name: a, about: b}]", "needs categories"),
        ("scenarios: [{name: a, about: b, categories: [S99]}]", "unknown category 'S99'"),
        ("scenarios: [{name: a, about: b, categories: [S1], x: 1}]", "unknown key 'x'"),
        (
            "scenarios: [{name: a, about: b, categories: [S1]}, {name: a, about: b, categories: [S1]}]",
            "twice",
        ),
        (
            "prompts: {safe: hello}\nscenarios: [{name: a, about: b, categories: [S1]}]",
            "placeholder {question}",
        ),
        ("prompts: {safe: 3}\nscenarios: [{name: a, about: b, categories: [S1]}]", "must be text"),
        ("prompts: {save: x}\nscenarios: [{name: a, about: b, categories: [S1]}]", "did you mean 'safe'"),
    ],
)
def test_a_script_that_is_wrong_says_where(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(InputError, match=words):
        load_script(tmp_path / "mine.yaml")
    with pytest.raises(InputError, match="cannot be read"):
        load_script(tmp_path / "nowhere.yaml")


def test_the_pacer_spaces_requests() -> None:
    now, slept = [0.0], []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    pacer = Pacer(30, clock=lambda: now[0], sleep=sleep)
    models = [MeteredModel(ScriptedChatModel(["12345678"]), pacer) for _ in range(2)]
    for model in models:
        assert model.generate([Query("1234"), Query("1")]) == ["12345678"] * 2
    assert models[0].generate([]) == []
    now[0] += 100
    models[0].generate([Query("1")])
    assert slept == [4.0], "two requests of one model keep the other waiting; idle time is not saved up"
    assert models[0].spending == Spending(3, 2 + 1, 4 + 2, 0.0, True)
    assert (models[0].spending + models[1].spending).tokens == 9 + 6


def test_a_model_that_counts_is_believed() -> None:
    class Counting(ScriptedChatModel):
        usage = Spending(7, 100, 50, 0.25)

    model = MeteredModel(Counting(["a"]), Pacer())
    model.generate([Query("q")])
    assert model.spending == Spending(7, 100, 50, 0.25)
