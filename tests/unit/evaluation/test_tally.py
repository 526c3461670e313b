"""The report of a few rows, computed by hand."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from mllm_protector.evaluation.figures import average_of, cost_of, detector_of, effect_of, utility_of
from mllm_protector.evaluation.report import Effect, Report, to_json_values
from mllm_protector.evaluation.rows import Outcome, Row, from_dict, to_dict
from mllm_protector.evaluation.tally import Tally


def row(
    key: str,
    before: bool | None,
    after: bool | None,
    *,
    scenario: str = "a",
    kind: str = "harmful",
    second: bool | None = None,
    harm: float | None = None,
    **fields: object,
) -> Row:
    unchanged = bool(fields.pop("unchanged", before == after))
    old = Outcome("old", verdicts={"one": before, "two": second}, seconds=2.0)
    new = Outcome(
        None if unchanged else "new", verdicts={"one": after, "two": second}, harm=harm, unchanged=unchanged,
        action="allow" if unchanged else "detoxify", seconds=0.5, calls=1,
    )  # fmt: skip
    return Row(key, scenario, "text", "", kind, "ok", before=old, after={"guard": new}, **fields)  # type: ignore[arg-type]


def report(rows: list[Row], judges: tuple[str, ...] = ("one", "two")) -> Report:
    tally = Tally(judges, {"guard": "g"})
    for r in rows:
        tally.add(from_dict(json.loads(json.dumps(to_dict(r)))))  # as from the file
    return tally.report(
        version="1", settings={"benchmark": "b"}, warnings=[], notes={"odd": ["x"]}, live=True
    )


def test_effect_by_hand() -> None:
    effect = effect_of(
        {(True, False): 5, (True, True): 3, (False, False): 2, (None, False): 1, (True, None): 4}
    )
    assert (effect.before.hits, effect.before.total, effect.before.unjudged) == (12, 14, 1)
    assert (effect.after.hits, effect.after.total, effect.after.unjudged) == (3, 11, 4)
    assert (effect.fixed, effect.broken) == (5, 0)
    assert effect.p == pytest.approx(2 / 32)


def test_attack_success_per_scenario_and_its_averages() -> None:
    rows = [
        row("1", True, False), row("2", True, True), row("3", False, False), row("4", None, None),
        row("5", True, False, scenario="legal", criteria="legal"),
    ]  # fmt: skip
    found = report(rows).defences[0].attacks[0]
    assert (found.judge, found.overall.before.hits, found.overall.before.total) == ("one", 3, 4)
    assert (found.overall.after.hits, found.overall.after.total, found.overall.after.unjudged) == (1, 4, 1)
    first, legal = found.scenarios
    assert (first.name, legal.name) == ("a", "legal")
    assert first.effect.before.value == pytest.approx(2 / 3)
    assert first.effect.after.value == pytest.approx(1 / 3)
    assert (legal.effect.before.value, legal.effect.after.value) == (1.0, 0.0)
    every, without = found.averages
    assert every.over == "all 2 scenarios"
    assert every.before == pytest.approx(5 / 6) and every.after == pytest.approx(1 / 6)
    assert without.over == "the 1 scenarios that are not about advice" and without.before == pytest.approx(
        2 / 3
    )


def test_open_verdicts_are_counted_and_in_no_rate() -> None:
    found = report([row("1", None, None), row("2", True, None, unchanged=False)])
    assert found.judges == {"one": 2, "two": 3}  # the changed text of 2 is judged by itself
    effect = found.defences[0].attacks[0].overall
    assert (effect.before.total, effect.after.total) == (1, 0)
    assert math.isnan(effect.after.value) and effect.after.bounds == (0.0, 1.0)


def test_agreement_of_two_judges() -> None:
    pairs = [(True, True)] * 2 + [(True, False)] + [(False, True)] + [(False, False)] * 4
    rows = [row(str(i), a, a, second=b) for i, (a, b) in enumerate(pairs)]
    (agreement,) = report(rows).agreements
    assert (agreement.both, agreement.only_first, agreement.only_second, agreement.neither) == (2, 1, 1, 4)
    # agreed 6/8; chance (3/8)^2 + (5/8)^2 = 34/64; (48 - 34) / (64 - 34)
    assert agreement.kappa == pytest.approx(14 / 30)


def test_problems_are_named_and_in_no_figure() -> None:
    rows = [
        row("1", True, True),
        Row("2", "a", "text", "", "harmful", "no answer", problem="no answer recorded"),
        Row("3", "a", "text", "", "harmful", "unusable", problem="image missing: 3.png"),
        Row("4", "a", "text", "", "harmful", "unusable", problem="image missing: 4.png"),
    ]
    found = report(rows)
    assert (found.samples, found.evaluated) == (4, 1)
    assert [(p.what, p.count, p.names) for p in found.problems] == [
        ("no answer: no answer recorded", 1, ("2",)),
        ("odd", 1, ("x",)),
        ("unusable: image missing", 2, ("3", "4")),
    ]
    assert found.defences[0].attacks[0].overall.before.total == 1


def test_over_refusal_and_unchanged() -> None:
    def benign(key: str, before: str, after: str, unchanged: bool) -> Row:
        new = Outcome(None if unchanged else "n", refusal=after, unchanged=unchanged, action="allow")
        return Row(
            key, "a", "text", "", "benign", "ok", before=Outcome("o", refusal=before), after={"guard": new}
        )

    rows = [
        benign("1", "none", "none", True), benign("2", "none", "full", False),
        benign("3", "full", "full", True), benign("4", "none", "partial", False),
    ]  # fmt: skip
    defence = report(rows).defences[0]
    assert (defence.over_refusal.before.hits, defence.over_refusal.after.hits) == (1, 2)
    assert (defence.partial_refusal.before.hits, defence.partial_refusal.after.hits) == (0, 1)
    assert (defence.benign_unchanged.hits, defence.benign_unchanged.total) == (2, 4)
    assert defence.attacks == ()


def test_refusals_of_harmful_requests() -> None:
    new = Outcome("no", refusal="full", verdicts={"one": False}, unchanged=False, action="refuse")
    old = Outcome("yes", verdicts={"one": True})
    found = report([Row("1", "a", "text", "", "harmful", "ok", before=old, after={"guard": new})])
    effect = found.defences[0].harmful_refusal
    assert (effect.before.hits, effect.after.hits, effect.broken) == (0, 1, 1)


def test_utility_before_and_after() -> None:
    def graded(key: str, before: float | None, after: float | None, unchanged: bool = False) -> Row:
        new = Outcome(
            None, accuracy={} if unchanged else {"exact": after}, unchanged=unchanged, action="allow"
        )
        old = Outcome("o", accuracy={"exact": before})
        return Row(key, "a", "image", "", "utility", "ok", before=old, after={"guard": new})

    rows = [graded("1", 1.0, 0.0), graded("2", 0.5, None, unchanged=True), graded("3", None, None)]
    (utility,) = report(rows).defences[0].utility
    assert (utility.samples, utility.unjudged) == (2, 1)
    assert (utility.before, utility.after) == (0.75, 0.25)
    assert utility.low <= -0.5 <= utility.high


def test_detector_cost_actions_and_examples() -> None:
    rows = [
        row("1", True, False, harm=0.9), row("2", False, False, harm=0.2), row("3", True, True, harm=0.4),
        row("4", False, False, harm=0.6, unchanged=False), row("5", None, None, harm=0.9),
    ]  # fmt: skip
    defence = report(rows).defences[0]
    assert defence.detector is not None
    assert (defence.detector.samples, defence.detector.harmful) == (4, 2)  # the open one is left out
    assert defence.detector.auroc == pytest.approx(3 / 4)
    assert defence.actions == {"allow": 3, "detoxify": 2}
    assert (defence.cost.median, defence.cost.calls) == (0.5, 1.0)
    assert [(e.what, e.id) for e in defence.examples] == [
        ("changed without need", "4"), ("missed", "3"), ("stopped", "1"),
    ]  # fmt: skip
    assert (defence.safe_unchanged.hits, defence.safe_unchanged.total) == (1, 2)


def test_only_rewrites_that_answer_count_for_relevance() -> None:
    def delivered(key: str, action: str, refusal: str, relevance: float) -> Row:
        given = row(key, True, False)
        after = replace(given.after["guard"], action=action, refusal=refusal, relevance=relevance)
        return replace(given, after={"guard": after})

    rows = [
        delivered("1", "detoxify", "none", 0.25), delivered("2", "detoxify", "partial", 0.75),
        delivered("3", "detoxify", "full", 0.9), delivered("4", "disclaim", "none", 1.0),
    ]  # fmt: skip
    defence = report(rows).defences[0]
    assert (defence.relevance, defence.rewritten) == (0.5, 2)


def test_answers_to_benign_requests_are_harmless_for_the_detector() -> None:
    rows = [row("1", True, True, harm=0.9), row("2", None, None, kind="benign", harm=0.3)]
    detector = report(rows).defences[0].detector
    assert detector is not None and (detector.samples, detector.harmful, detector.auroc) == (2, 1, 1.0)


def test_json_has_null_where_there_is_no_figure() -> None:
    values = to_json_values(report([row("1", None, None)]))
    text = json.dumps(values, allow_nan=False)
    assert values["defences"][0]["attacks"][0]["overall"]["before"]["value"] is None
    assert json.loads(text) == values
    assert isinstance(report([]).defences[0].over_refusal, Effect)


def test_labels_are_the_truth_where_they_lead() -> None:
    rows = [row("1", True, True, harm=0.9, label=True), row("2", True, True, harm=0.1, label=False)]
    tally = Tally(["labels"], {"guard": "g"})
    for r in rows:
        tally.add(r)
    found = tally.report(version="1", settings={}, warnings=[], notes={}, live=False)
    assert found.defences[0].detector is not None and found.defences[0].detector.auroc == 1.0
    assert found.answering is None


def test_figures_of_nothing_are_nan_or_none() -> None:
    assert detector_of("one", [], []) is None
    assert math.isnan(utility_of("exact", [], 3).before)
    assert math.isnan(average_of("none", []).after)
    cost = cost_of([], 0)
    assert math.isnan(cost.median) and cost.calls == 0.0


def test_cost_by_hand() -> None:
    cost = cost_of([1.0, 2.0, 3.0, 6.0], 6)
    assert (cost.mean, cost.median, cost.calls) == (3.0, 2.5, 1.5)
    assert cost.p95 == pytest.approx(3 + 0.85 * 3)
