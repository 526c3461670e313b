"""``data`` and ``synthesise`` from end to end: files, exit codes, and a model behind a real HTTP server."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from tests.serving import Running, Upstream, completion
from tests.tiny_models import save_tiny_llama
from typer.testing import CliRunner, Result

from mllm_protector.cli.app import app
from mllm_protector.data import load_records
from mllm_protector.testing import ScriptedChatModel
from mllm_protector.types import Query

ROWS: list[dict[str, Any]] = [
    {"prompt": f"How does a {word} work?", "response": f"A {word} turns.", "harmful": n % 2, "source": "set"}
    for n, word in enumerate(("lamp", "clock", "kettle", "bicycle", "telescope", "fan", "pump", "lathe"))
]


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def lines(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "not-a-key")
    lines(tmp_path / "a.jsonl", ROWS)
    return tmp_path


def test_check_writes_what_may_stay_and_says_what_it_found(here: Path) -> None:
    lines(here / "a.jsonl", [*ROWS, ROWS[0], {**ROWS[1], "harmful": 0}])
    lines(here / "test.jsonl", [{"question": "How does a kettle work?"}])
    result = call("data", "check", "a.jsonl", "--against", "test=test.jsonl", "--out", "clean.jsonl")
    assert result.exit_code == 0, result.output
    assert "exact duplicates" in result.stdout and "the same text with both labels" in result.stdout
    assert "record 3 (set): prompt is in test (exact, 1.00)" in result.stdout
    assert {r.prompt for r in load_records("clean.jsonl")} == {
        row["prompt"] for row in ROWS if "kettle" not in row["prompt"] and "clock" not in row["prompt"]
    }
    values = json.loads(call("data", "check", "a.jsonl", "--against", "test=test.jsonl", "--json").stdout)
    assert values["verdicts"] == {"kept": 6, "exact": 1, "near": 0, "contradictory": 2, "leaked": 1}
    assert values["leaks"] == [{"against": "test", "field": "prompt", "match": "exact", "count": 1}]
    assert values["contradictory"] == [2, 10]
    assert "both labels: records 2, 10\n" in result.stdout
    assert values["sources"]["set"]["harmful"] == 4 and values["words"]["prompt"]["median"] == 5
    assert call("data", "check", "a.jsonl", "--fail-on-flag", "-q").exit_code == 10
    lines(here / "a.jsonl", ROWS)
    assert call("data", "check", "a.jsonl", "--fail-on-flag", "-q").exit_code == 0


def test_what_exists_is_not_replaced_and_nothing_half_is_left(here: Path) -> None:
    assert call("data", "convert", "a.jsonl", "-o", "b.jsonl").exit_code == 0
    before = Path("b.jsonl").read_bytes()
    for command in ("check", "convert"):
        result = call("data", command, "a.jsonl", "-o", "b.jsonl")
        assert result.exit_code == 8 and "--overwrite" in result.stderr
    assert call("data", "convert", "a.jsonl", "-o", "b.jsonl", "--overwrite").exit_code == 0
    assert Path("b.jsonl").read_bytes() == before
    lines(here / "bad.jsonl", [*ROWS, {"prompt": 3, "response": "", "harmful": 1}])
    failed = call("data", "convert", "bad.jsonl", "-o", "c.jsonl")
    assert failed.exit_code == 3 and "line 9" in failed.stderr and '"prompt" is int 3' in failed.stderr
    assert not list(here.glob("c.jsonl*"))


def test_bad_rows_can_be_skipped(here: Path) -> None:
    lines(here / "bad.jsonl", [*ROWS, {"prompt": 3, "response": "", "harmful": 1}])
    for command in ("check", "convert"):
        out = f"{command}.jsonl"
        result = call("data", command, "bad.jsonl", "-o", out, "--on-bad-line", "skip")
        assert result.exit_code == 9 and result.stderr.count("skipped: ") == 1, result.output
        assert len(list(load_records(out))) == 8


def test_convert_takes_several_sources_and_tells_of_rows_without_a_record(here: Path) -> None:
    aegis = {
        "prompt": "REDACTED", "response": None, "prompt_label": "unsafe", "response_label": None,
        "violated_categories": "",
    }  # fmt: skip
    lines(here / "aegis.jsonl", [aegis, aegis | {"prompt": "May I?"}])
    result = call("data", "convert", "a.jsonl", "aegis.jsonl", "-o", "all.jsonl")
    assert result.exit_code == 0 and "1 rows give no record: redacted prompt" in result.stderr
    assert "9 records in all.jsonl" in result.stderr
    assert [r.source for r in load_records("all.jsonl")] == ["set"] * 8 + ["aegis-2"]


def test_split_by_question(here: Path) -> None:
    result = call("data", "split", "a.jsonl", "-o", "parts", "--part", "train=0.5", "--part", "dev=0.5")
    assert result.exit_code == 0, result.output
    train, dev = ([r.prompt for r in load_records(f"parts/{name}.jsonl")] for name in ("train", "dev"))
    assert sorted(train + dev) == sorted(row["prompt"] for row in ROWS) and train and dev
    lines(here / "more.jsonl", [{"prompt": f"New {n}?", "response": "", "harmful": None} for n in range(20)])
    call("data", "split", "more.jsonl", "a.jsonl", "-o", "again", "--part", "train=0.5", "--part", "dev=0.5")
    assert [r.prompt for r in load_records("again/dev.jsonl") if "New" not in r.prompt] == dev


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("check", "nothing.jsonl"), 3, "is not there"),
        (("check", "a.jsonl", "--source", "record"), 3, "did you mean 'records'"),
        (("check", "a.jsonl", "--source", "beavertails"), 3, "needs the column 'category', 'is_safe'"),
        (("check", "a.jsonl", "--against", "x"), 2, "NAME=PATH"),
        (("check", "a.jsonl", "--against", "x=a.jsonl", "--against", "x=a.jsonl"), 2, "given twice"),
        (("check", "empty.jsonl"), 3, "no records"),
        (("convert", "empty.jsonl", "-o", "b.jsonl"), 3, "no records"),
        (("split", "a.jsonl", "-o", "x", "--part", "train"), 2, "NAME=SHARE"),
        (("split", "a.jsonl", "-o", "x", "--part", "../x=1"), 2, "NAME=SHARE"),
        (("split", "a.jsonl", "-o", "x", "--part", "a=0.5", "--part", "a=0.5"), 2, "given twice"),
        (("split", "a.jsonl", "-o", "x", "--part", "a=0.7"), 3, "sum to 1"),
        (("split", "a.jsonl", "-o", "a.jsonl"), 8, "cannot be made"),
    ],
)
def test_what_cannot_begin_says_why_in_a_line(
    here: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    lines(here / "empty.jsonl", [])
    result = call("data", *arguments)
    assert result.exit_code == code, result.output
    assert words in " ".join(result.stderr.replace("│", " ").split())
    assert not Path("b.jsonl").exists()


def test_sources_are_listed_with_licence_and_columns() -> None:
    text = call("data", "sources").stdout
    assert "licence CC-BY-NC-4.0; hub PKU-Alignment/BeaverTails" in text
    assert "columns category, is_safe, prompt, response" in text
    assert len(json.loads(call("data", "sources", "--json").stdout)) == 13


SCENARIOS = """
prompts: {system: s, questions: "Q {scenario} {count} {batch}", harmful: "H {question}", safe: "S {question}"}
scenarios:
  - {name: locks, about: doors, categories: [S2]}
  - {name: crowds, about: people, categories: [S1]}
"""
TOPICS = ("gardens", "bicycles", "letterboxes", "telephones", "warehouses", "fireplaces")


class Writer:
    """A model behind HTTP that writes, answers and judges; it may fail from some request on."""

    def __init__(self) -> None:
        self.upstream = Upstream()
        self.upstream.handler = self.answer
        self.fails_from = 10**9
        self.app = self.upstream.app

    @property
    def asked(self) -> int:
        return len(self.upstream.requests)

    def answer(self, _: Request) -> Response:
        body = self.upstream.requests[-1]
        if self.asked > self.fails_from:
            return JSONResponse({"error": "down"}, status_code=400)
        return JSONResponse(completion([self.write(body["messages"][-1]["content"])]))

    @staticmethod
    def write(prompt: str) -> str:
        if "answer to judge" in prompt:
            verdict = "harmful" if "harmful answer about" in prompt else "safe"
            return json.dumps({"reason": "so it is", "verdict": verdict})
        kind, _, rest = prompt.partition(" ")
        if kind == "Q":
            scenario = rest.split()[0]
            return json.dumps([f"Ruin {topic}, {scenario} {topic}?" for topic in TOPICS])
        return f"{'harmful' if kind == 'H' else 'Better'} answer about {rest}"


def synthesise(url: str, *arguments: str) -> Result:
    base = ("synthesise", "--model", "openai:toy", "--base-url", f"{url}/v1", "--scenarios", "mine.yaml")
    return call(*base, "--model-option", "retries=0", "--model-option", "prices=[1.0, 2.0]", *arguments)


def test_a_model_behind_http_writes_and_is_judged(here: Path) -> None:
    (here / "mine.yaml").write_text(SCENARIOS)
    writer = Writer()
    with Running(writer.app) as server:
        result = synthesise(server.url, "-o", "made.jsonl", "--count", "6", "--licence", "CC0")
        asked = writer.asked
        report = json.loads(Path("made.jsonl.report.json").read_text())
        again = synthesise(
            server.url, "-o", "made.jsonl", "--count", "6", "--licence", "CC0", "--overwrite", "--json"
        )
    assert result.exit_code == 0, result.output
    made = list(load_records("made.jsonl"))
    assert [(r.harmful, r.categories) for r in made] == [(True, ("S2",)), (False, ())] * 3 + [
        (True, ("S1",)), (False, ()),
    ] * 3  # fmt: skip
    assert {r.licence for r in made} == {"CC0"} and made[0].safe_response == made[1].response
    assert asked == 2 + 2 * 6 + 2 * 6, "lists, answers, verdicts"
    assert f"12 records in made.jsonl; {asked} requests, {asked} + {2 * asked} tokens" in result.stderr
    assert report == json.loads(again.stdout) and report["licence"] == "CC0"
    assert writer.asked == asked, "what was answered is not asked again"
    assert report["usage"]["cost"] == pytest.approx(asked * (1 * 1.0 + 2 * 2.0) / 1e6)
    sent = writer.upstream.requests
    assert {r["temperature"] for r in sent if "answer to judge" not in r["messages"][-1]["content"]} == {0.9}
    assert {r["temperature"] for r in sent if "answer to judge" in r["messages"][-1]["content"]} == {0.0}


def test_an_interrupted_run_goes_on_to_the_same_records(here: Path) -> None:
    (here / "mine.yaml").write_text(SCENARIOS)
    writer = Writer()
    with Running(writer.app) as server:
        writer.fails_from = 9
        failed = synthesise(server.url, "-o", "made.jsonl", "--count", "8", "--workers", "2")
        assert failed.exit_code == 6 and "it goes on from here" in failed.stderr, failed.output
        assert not Path("made.jsonl").exists()
        writer.fails_from = 10**9
        before = writer.asked
        assert synthesise(server.url, "-o", "made.jsonl", "--count", "8", "--workers", "2").exit_code == 0
        resumed = writer.asked - before
        whole = synthesise(server.url, "-o", "whole.jsonl", "--count", "8", "--workers", "3", "--json")
    assert Path("made.jsonl").read_bytes() == Path("whole.jsonl").read_bytes()
    usage = json.loads(Path("made.jsonl.report.json").read_text())["usage"]
    assert usage["requests"] == json.loads(whole.stdout)["usage"]["requests"] == resumed + 9


class Interrupting(ScriptedChatModel):
    """Somebody presses Ctrl-C while the answers are written."""

    def generate(self, queries: Sequence[Query], /) -> list[str]:
        if not queries[0].prompt.startswith("Q"):
            raise KeyboardInterrupt
        return super().generate(queries)


def test_ctrl_c_says_how_to_go_on(here: Path) -> None:
    (here / "mine.yaml").write_text(SCENARIOS)
    result = call(
        "synthesise", "--model", f"{__name__}:Interrupting",
        "--model-option", "responses=['[\"Ruin gardens?\"]']", "--scenarios", "mine.yaml",
        "-o", "made.jsonl", "--workers", "1",
    )  # fmt: skip
    assert result.exit_code == 130 and "run the same command again to go on" in result.stderr, result.output
    assert not Path("made.jsonl").exists() and Path("made.jsonl.answers.sqlite").exists()
    assert json.loads(Path("made.jsonl.usage.json").read_text())["estimated"] is True


def test_a_local_model_writes_and_judges_itself(here: Path) -> None:
    """A tiny model with random weights: every reply is noise, and all of it is counted."""
    (here / "mine.yaml").write_text(SCENARIOS)
    save_tiny_llama(here / "tiny")
    result = call(
        "synthesise", "--model", "transformers:tiny", "--model-option", "max_new_tokens=8", "--count", "2",
        "--scenarios", "mine.yaml", "-o", "made.jsonl",
    )  # fmt: skip
    assert result.exit_code == 6, result.output
    assert "no question was kept (list of questions: not parsable 6)" in result.stderr


def test_a_budget_ends_the_run_and_a_larger_one_goes_on(here: Path) -> None:
    (here / "mine.yaml").write_text(SCENARIOS)
    with Running(Writer().app) as server:
        first = synthesise(server.url, "-o", "made.jsonl", "--count", "8", "--budget-tokens", "30")
        assert first.exit_code == 0 and "budget is spent" in first.stderr
        assert len(list(load_records("made.jsonl"))) == 8, "the first scenario's"
        more = synthesise(
            server.url, "-o", "made.jsonl", "--count", "8", "--budget-tokens", "999", "--overwrite"
        )
    assert more.exit_code == 0 and "budget" not in more.stderr
    assert len(list(load_records("made.jsonl"))) == 16


def test_a_configuration_file_and_any_chat_model(here: Path) -> None:
    (here / "sub").mkdir()
    (here / "sub" / "mine.yaml").write_text(SCENARIOS)
    (here / "run.yaml").write_text(
        "model: mllm_protector.testing:ScriptedChatModel\n"
        "model_options: {responses: ['[\"Ruin gardens?\"]', 'Yes gardens.', 'No gardens.']}\n"
        "judges: [refusal]\nscenarios: sub/mine.yaml\ncount: 1\nworkers: 1\n"
    )
    result = call("synthesise", "--config", "run.yaml", "-o", "made.jsonl")
    assert result.exit_code == 6, result.output
    assert "no question was kept (safe answer: judged harmful 1" in result.stderr
    (here / "run.yaml").write_text("model: a:b\ncounts: 3\n")
    wrong = call("synthesise", "--config", "run.yaml", "-o", "made.jsonl")
    assert wrong.exit_code == 4 and "did you mean 'count'" in wrong.stderr


@pytest.mark.parametrize(
    ("config", "arguments", "code", "words"),
    [
        ("", (), 2, "--model KIND:NAME"),
        ("model: 3", (), 4, "`model` must be str"),
        ("count: 0", (), 4, "`count` must be above 0"),
        ("[", (), 4, "not valid YAML"),
        ("3", (), 4, "a mapping of keys"),
        ("model: opennai:x", (), 4, "did you mean 'openai'"),
        ("model: openai:x", ("--scenarios", "nothing.yaml"), 3, "cannot be read"),
        ("model: openai:x\nbase_url: http://localhost:1/v1\njudges: [oracle]", (), 4, "unknown judge"),
        ("model: openai:x", ("-o", "a.jsonl"), 8, "--overwrite"),
    ],
)
def test_what_cannot_be_synthesised_says_why(
    here: Path, config: str, arguments: tuple[str, ...], code: int, words: str
) -> None:
    (here / "run.yaml").write_text(config)
    given = ("--config", "run.yaml") if config else ()
    result = call("synthesise", *given, "-o", "made.jsonl", *arguments)
    assert result.exit_code == code, result.output
    assert words in " ".join(result.stderr.replace("│", " ").split())
    assert not Path("made.jsonl").exists()


def test_the_scenarios_that_ship_can_be_printed_edited_and_used(here: Path) -> None:
    result = call("synthesise", "--show-scenarios")
    assert result.exit_code == 0 and "scenarios:" in result.stdout
    from mllm_protector.data.synthesis.scenarios import load_script

    (here / "mine.yaml").write_text(result.stdout)
    assert load_script(here / "mine.yaml").scenarios == load_script().scenarios
