"""``evaluate`` and ``compare`` from end to end, on small folders."""

from __future__ import annotations

import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from tests.unit.evaluation.sets import GUARD, figstep, lines, mm_safetybench
from typer.testing import CliRunner, Result

from mllm_protector.cli.app import app
from mllm_protector.errors import OutputError
from mllm_protector.evaluation.evaluate import evaluate
from mllm_protector.evaluation.plan import Plan

ODD = "tests.unit.evaluation.sets:Odd"
ROWS: list[dict[str, Any]] = [
    {"id": "a", "prompt": "How to paint?", "response": "This is harmful.", "category": "x", "harmful": 1},
    {"id": "b", "prompt": "How to saw?", "response": "Fine.", "category": "x", "harmful": 0},
    {"id": "c", "prompt": "How to glue?", "response": "harmful <script>alert(1)</script>", "category": "<y>"},
    {"id": "d", "prompt": "What is it?", "response": "I can't help with that.", "kind": "benign"},
    {"id": "e", "prompt": "How many?", "response": "It is 4.", "references": ["4"]},
    {"id": "f", "prompt": "No answer to this.", "category": "x"},
]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a scripted guard and a small set."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "guard.yaml").write_text(GUARD)
    lines(tmp_path / "set.jsonl", ROWS)
    return tmp_path


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["evaluate", *arguments, "--config", "guard.yaml"])


def own(*arguments: str) -> Result:
    return call("--benchmark", "jsonl", "--data", "set.jsonl", "--judge", ODD, *arguments)


def loaded(out: str) -> dict[str, Any]:
    return dict(json.loads((Path(out) / "report.json").read_text()))


def test_recorded_answers_give_the_whole_report(here: Path) -> None:
    result = own("-o", "out")
    assert result.exit_code == 0, result.output
    report = loaded("out")
    assert (report["samples"], report["evaluated"]) == (6, 5)
    assert report["kinds"] == {"benign": 1, "harmful": 3, "utility": 1}
    assert report["problems"] == [{"what": "no answer: no answer recorded", "count": 1, "names": ["f"]}]
    defence = report["defences"][0]
    overall = defence["attacks"][0]["overall"]
    assert (overall["before"]["hits"], overall["after"]["hits"], overall["fixed"]) == (2, 0, 2)
    assert defence["over_refusal"]["before"]["value"] == 1.0
    assert defence["benign_unchanged"]["value"] == 1.0
    assert defence["utility"][0]["before"] == 1.0
    assert "1 of 6 samples are in no figure" in report["warnings"]
    assert "attack success" in result.stdout and "66.7 %" in result.stdout
    assert "report.html" in result.stderr
    markdown = Path("out/report.md").read_text()
    assert "| none | 66.7 %" in markdown and "&lt;y&gt;" in markdown and "<script>" not in markdown


class _Page(HTMLParser):
    """Collects what a page would load, and checks that its tags close."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.outside: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.outside += [str(v) for k, v in attrs if k in ("src", "href") or "url(" in str(v)]
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_stands_alone_and_folds_harm_away(here: Path) -> None:
    own("-o", "out")
    text = Path("out/report.html").read_text()
    page = _Page()
    page.feed(text)
    assert page.outside == [] and "script" not in page.tags and "http" not in text.replace("http-equiv", "")
    assert {"svg", "details", "table"} <= set(page.tags)
    assert "prefers-color-scheme:dark" in text
    assert "&lt;script&gt;" in text
    before_details = text[: text.index("<details>")]
    assert "This is harmful." not in before_details


def test_the_report_is_the_same_after_an_interruption(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [ROWS[i % 3] | {"id": str(i)} for i in range(40)]
    lines(here / "set.jsonl", rows)
    plan = Plan("jsonl", Path("set.jsonl"), judges=(ODD,), config=Path("guard.yaml"), batch_size=7)
    evaluate(plan, Path("whole"))

    class Stops:
        def started(self, done: int, total: int, /) -> None: ...
        def advanced(self, done: int, /) -> None:
            if done == 21:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(plan, Path("resumed"), watcher=Stops())
    assert not Path("resumed/report.json").exists()
    evaluate(plan, Path("resumed"))
    untimed = [
        re.sub(r'"(mean|median|p95)": [-\d.e]+', "", Path(f"{o}/report.json").read_text())
        for o in ("whole", "resumed")
    ]
    assert untimed[0] == untimed[1]


def test_a_run_that_lost_only_its_report_makes_it_again(here: Path) -> None:
    lines(here / "answers.jsonl", [{"id": "a", "response": "harmful"}, {"id": "zz", "response": "?"}])
    own("-o", "out", "--answers", "answers.jsonl")
    first = Path("out/report.json").read_text()
    Path("out/report.json").unlink()
    assert own("-o", "out", "--answers", "answers.jsonl").exit_code == 0
    assert Path("out/report.json").read_text() == first
    assert "answers to ids that are not evaluated" in first


def test_another_run_in_the_folder_is_not_overwritten(here: Path) -> None:
    assert own("-o", "out").exit_code == 0
    again = own("-o", "out")
    assert again.exit_code == OutputError.exit_code and "--overwrite" in again.stderr
    assert own("-o", "out", "--overwrite", "-q").stdout == ""


def test_figstep_with_recorded_answers(here: Path) -> None:
    figstep(here / "figstep")
    lines(
        here / "answers.jsonl",
        [{"id": f"ForbidQI_{c}_{t}", "response": "harmful"} for c in (1, 2) for t in (1, 2)],
    )
    result = call(
        "--benchmark",
        "figstep",
        "--data",
        "figstep",
        "--answers",
        "answers.jsonl",
        "--judge",
        ODD,
        "-o",
        "out",
    )
    assert result.exit_code == 0, result.output
    (attack,) = loaded("out")["defences"][0]["attacks"]
    assert {g["name"] for g in attack["scenarios"]} == {"Illegal Activity", "Legal Opinion"}
    assert [a["scenarios"] for a in attack["averages"]] == [2, 1]


def test_a_live_model_is_asked_once_and_defences_are_compared(here: Path) -> None:
    mm_safetybench(here / "mm", scenarios=("01-Illegal_Activitiy",))
    model = "mllm_protector.testing:ScriptedChatModel"
    arguments = (
        "--benchmark", "mm-safetybench", "--data", "mm", "--model", model,
        "--model-option", "responses=[This is harmful., No.]", "--judge", ODD, "--workers", "1",
    )  # fmt: skip
    defences = [x for name in ("none", "protector", "refuse-only", "self-check") for x in ("--defence", name)]
    result = call(*arguments, *defences, "-o", "out")
    assert result.exit_code == 0, result.output
    report = loaded("out")
    assert [d["name"] for d in report["defences"]] == ["protector", "refuse-only", "self-check"]
    assert report["answering"]["calls"] == 0 and report["evaluated"] == 4
    assert {g["name"] for g in report["defences"][0]["attacks"][0]["modalities"]} == {
        "text",
        "SD",
        "TYPO",
        "SD+TYPO",
    }
    assert Path("out/answers.sqlite").exists()


def test_recorded_answers_and_a_model_for_the_defences_that_ask_again(here: Path) -> None:
    lines(here / "answers.jsonl", [{"id": key, "response": f"{key} harmful"} for key in "abc"])
    result = own(
        "--answers", "answers.jsonl", "--model", "mllm_protector.testing:ScriptedChatModel", "--workers", "1",
        "--model-option", "responses=[I won't.]", "--defence", "system-prompt", "-o", "out",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    (attack,) = loaded("out")["defences"][0]["attacks"]
    assert (attack["overall"]["before"]["hits"], attack["overall"]["after"]["hits"]) == (3, 0)
    assert loaded("out")["defences"][0]["cost"]["calls"] == 1.0


def test_a_limit_and_a_modality(here: Path) -> None:
    mm_safetybench(here / "mm", questions=3, scenarios=("01-Illegal_Activitiy",))
    lines(
        here / "answers.jsonl", [{"id": f"01-Illegal_Activitiy/SD/{i}", "response": "ok"} for i in range(3)]
    )
    base = ("--benchmark", "mm-safetybench", "--data", "mm", "--answers", "answers.jsonl", "--judge", ODD)
    assert call(*base, "--modality", "SD", "--limit", "2", "-o", "out").exit_code == 0
    report = loaded("out")
    assert (report["samples"], report["evaluated"]) == (2, 2)
    assert "a draw of 2 samples, not the whole set" in report["warnings"]
    nothing = call(*base, "--modality", "odd", "-o", "other")
    assert nothing.exit_code == 4 and "no samples of that modality" in nothing.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--benchmark", "figstp", "--data", "x", "-o", "o"), 3, "did you mean 'figstep'"),
        (("--benchmark", "figstep", "--data", "x", "-o", "o"), 3, "https://github.com/ThuCCSLab/FigStep"),
        (("--benchmark", "figstep"), 2, "evaluate list"),
        (
            ("--benchmark", "jsonl", "--data", "set.jsonl", "--judge", "llm", "-o", "o"),
            4,
            "which model judges",
        ),
        (("--benchmark", "jsonl", "--data", "set.jsonl", "--judge", "oracle", "-o", "o"), 4, "unknown judge"),
        (
            ("--benchmark", "jsonl", "--data", "set.jsonl", "--judge", "refusal=x", "-o", "o"),
            4,
            "no argument",
        ),
        (
            ("--benchmark", "jsonl", "--data", "set.jsonl", "--defence", "magic", "-o", "o"),
            4,
            "unknown defence",
        ),
        (("--benchmark", "jsonl", "--data", "set.jsonl", "--defence", "self-check", "-o", "o"), 4, "--model"),
        (("--benchmark", "jsonl", "--data", "set.jsonl", "--model-option", "x", "-o", "o"), 2, "KEY=VALUE"),
        (
            ("--benchmark", "jsonl", "--data", "set.jsonl", "--answers", "nope", "-o", "o"),
            3,
            "cannot be opened",
        ),
        (("--benchmark", "jsonl", "--data", "set.jsonl", "-o", "set.jsonl"), 8, "cannot be made"),
    ],
)
def test_what_cannot_begin_says_why_in_a_line(
    here: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    result = call(*arguments)
    assert result.exit_code == code, result.output
    assert words in " ".join(result.stderr.replace("│", " ").split())


def test_list_names_every_benchmark_with_source_and_licence(here: Path) -> None:
    result = CliRunner().invoke(app, ["evaluate", "list"])
    assert result.exit_code == 0
    assert "arXiv 2311.17600" in result.stdout and "CC BY-NC 4.0" in result.stdout
    cards = json.loads(CliRunner().invoke(app, ["evaluate", "list", "--json"]).stdout)
    assert len(cards) == 13 and all(card["url"] for card in cards)


def test_the_guards_own_detector_as_judge_is_called_out(here: Path) -> None:
    call("--benchmark", "jsonl", "--data", "set.jsonl", "-o", "out", "--limit", "2")
    assert any("no judge was given" in w for w in loaded("out")["warnings"])
    CliRunner().invoke(
        app, ["evaluate", "--benchmark", "jsonl", "--data", "set.jsonl", "-o", "own", "--judge", "detector"]
    )
    assert any("too good by construction" in w for w in loaded("own")["warnings"])


def test_compare_runs_of_the_same_data(here: Path) -> None:
    own("-o", "one")
    own("-o", "two", "--defence", "refuse-only")
    result = CliRunner().invoke(app, ["compare", "one", "two", "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert [(c["run"], c["defence"]) for c in found["contenders"]] == [
        ("one", "none"), ("one", "protector"), ("two", "none"), ("two", "refuse-only"),
    ]  # fmt: skip
    assert found["contenders"][1]["better"] == 2 and found["contenders"][1]["p"] == 0.5
    assert list(found["differing"]) == ["defences"]
    table = CliRunner().invoke(app, ["compare", "one", "two"])
    assert "refuse-only" in table.stdout and "What differs" in table.stdout


def test_compare_refuses_what_is_not_alike(here: Path) -> None:
    own("-o", "one")
    call("--benchmark", "jsonl", "--data", "set.jsonl", "--judge", "refusal", "-o", "judged")
    lines(here / "set.jsonl", ROWS[:3])
    own("-o", "other")
    for run, key in (("judged", "judges"), ("other", "data")):
        result = CliRunner().invoke(app, ["compare", "one", run])
        assert result.exit_code == 3 and f"differ in {key}" in result.stderr
    missing = CliRunner().invoke(app, ["compare", "one", "nothing"])
    assert missing.exit_code == 3 and "no finished run" in missing.stderr
    assert CliRunner().invoke(app, ["compare", "one", "--judge", "who"]).exit_code == 3


def test_a_full_disk_leaves_no_half_report(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    result = own("-o", "out")
    assert result.exit_code == 8
    assert not list(Path("out").glob("report*"))
