"""``calibrate`` from labelled lines to a guard whose policy names a rate of false alarms."""

from __future__ import annotations

import json
import random
import shutil
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mllm_protector.assembly import build, build_detector
from mllm_protector.calibration import CalibratedDetector, load_calibration
from mllm_protector.checkpoints import CARD, EMBEDDED, MANIFEST, MODEL, TOKENIZER
from mllm_protector.cli.app import app
from mllm_protector.config import Config, load_config
from mllm_protector.errors import ConfigError, PolicyError
from mllm_protector.types import Action, Exchange, Query

WORDS = {"grey": 0.35, "dark": 0.7, "black": 0.95}
RATES = {"white": 0.02, "grey": 0.15, "dark": 0.4, "black": 0.8}
ANSWERS = {
    True: "You are a worthless fool, and I hope that somebody hurts you badly tonight.",
    False: "Water the tomatoes in the morning, and give them as much sun as you can.",
}


def write_lines(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Labelled lines that the scripted detector is too sure of."""
    rng, rows = random.Random(0), []
    for i in range(400):
        word = rng.choice(list(RATES))
        harmful = int(rng.random() < RATES[word])
        rows.append({"prompt": f"q{i}", "response": f"{word} {i}", "harmful": harmful, "source": "dev"})
    return write_lines(tmp_path / "dev.jsonl", rows)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration of the scripted detector."""
    path = tmp_path / "guard.yaml"
    options = json.dumps({"words": WORDS, "otherwise": 0.05})
    path.write_text(
        "detoxifiers: []\n"
        f'detector: {{name: "mllm_protector.testing:ScriptedDetector", options: {options}}}\n'
    )
    return path


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["calibrate", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    return result.output


def test_from_labelled_lines_to_a_guard_with_a_target(tmp_path: Path, data: Path, config: Path) -> None:
    out, plots = tmp_path / "calibration.json", tmp_path / "plots"
    ordinary = write_lines(
        tmp_path / "chat.jsonl",
        [{"prompt": f"c{i}", "response": "white" if i % 100 else "dark"} for i in range(400)],
    )
    said = run("--data", data, "--ordinary", ordinary, "--config", config, "-o", out, "--plots", plots)
    assert "target_fpr 0.01" in said and "at 0.5 after" in said and "AUROC" in said and "█" in said
    for name in ("reliability.png", "roc.png", "pr.png"):
        assert (plots / name).read_bytes().startswith(b"\x89PNG")
    file = load_calibration(out)
    harm = file.heads["harm"]
    assert harm.before is not None and harm.after is not None and harm.after.ece < harm.before.ece
    assert file.mixture == {"chat": 400, "dev": 400}
    assert not (tmp_path / "calibration.json.scores.jsonl").exists()

    config.write_text(config.read_text() + "calibration: calibration.json\npolicy: shop.yaml\n")
    (tmp_path / "shop.yaml").write_text("target_fpr: 0.01\naction: refuse\n")
    guard = build(load_config(config))
    assert isinstance(guard.detector, CalibratedDetector)
    black, dark, white = (
        guard.protect([Exchange(Query("q"), text)])[0].action for text in ("black", "dark", "white")
    )
    assert (black, dark, white) == (Action.REFUSE, Action.REFUSE, Action.ALLOW)  # 4 of 400 are dark: 1 %
    shown = CliRunner().invoke(app, ["policy", "show", str(tmp_path / "shop.yaml"), "--config", str(config)])
    assert "# harm, target_fpr 0.01: threshold " in shown.output and "4 of 400" in shown.output
    checked = CliRunner().invoke(app, ["policy", "validate", str(tmp_path / "shop.yaml")])
    assert "refuse from the harm that 1.00% of harmless answers reach" in checked.output


def test_an_interrupted_run_goes_on_and_a_cache_is_kept(
    tmp_path: Path, data: Path, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mllm_protector.testing import ScriptedDetector

    whole, calls = ScriptedDetector.detect, []

    def detect(self: ScriptedDetector, exchanges: list[Exchange], /) -> object:
        calls.append(len(exchanges))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return whole(self, exchanges)

    monkeypatch.setattr(ScriptedDetector, "detect", detect)
    arguments = ["calibrate", "--data", str(data), "--config", str(config), "-o", str(tmp_path / "c.json")]
    first = CliRunner().invoke(app, arguments)
    assert first.exit_code == 130 and "run the same command again" in first.output
    assert not (tmp_path / "c.json").exists()
    cache = tmp_path / "c.json.scores.jsonl"
    assert len(cache.read_text().splitlines()) == 64
    again = CliRunner().invoke(app, [*arguments, "--cache", str(cache), "--quiet"])
    assert again.exit_code == 0 and again.output == ""
    assert sum(calls[3:]) == 400 - 64
    assert cache.exists()


@pytest.mark.parametrize(
    ("extra", "code", "message"),
    [
        (["--method", "spline"], 2, "write auto, temperature, platt, isotonic"),
        (["--share", "0"], 2, "above 0, at most 1"),
        (["--target-fpr", "1.5"], 2, "between 0 and 1"),
        (["--detector", "embedded"], 2, "not both"),
        (["--leave-out", "dve"], 3, "did you mean 'dev'"),
        (["--leave-out", "dev"], 3, "no rows are left"),
        (["--data", "none.jsonl"], 3, "none.jsonl cannot be read"),
    ],
)
def test_mistakes_are_one_line(
    tmp_path: Path, data: Path, config: Path, extra: list[str], code: int, message: str
) -> None:
    base = ["calibrate", "--data", str(data), "--config", str(config), "-o", str(tmp_path / "c.json")]
    result = CliRunner(env={"COLUMNS": "200", "TERMINAL_WIDTH": "200"}).invoke(app, [*base, *extra])
    assert result.exit_code == code, result.output
    assert message in result.output
    assert not (tmp_path / "c.json").exists()


def test_an_existing_file_is_only_replaced_when_told_to(tmp_path: Path, data: Path, config: Path) -> None:
    out = tmp_path / "c.json"
    out.write_text("mine")
    base = ["calibrate", "--data", str(data), "--config", str(config), "-o", str(out), "--quiet"]
    assert CliRunner().invoke(app, base).exit_code == 8
    assert out.read_text() == "mine"
    assert CliRunner().invoke(app, [*base, "--overwrite"]).exit_code == 0
    assert load_calibration(out)


def test_plots_without_matplotlib_name_the_extra(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    arguments = [
        "calibrate",
        "--data",
        str(data),
        "-o",
        str(tmp_path / "c.json"),
        "--plots",
        str(tmp_path / "p"),
    ]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 5 and "pip install 'mllm-protector[train]'" in result.output


def test_the_embedded_detector_ships_calibrated_and_the_calibration_lies_in_its_folder(
    tmp_path: Path,
) -> None:
    shipped = build_detector(Config(), threads=1)
    assert isinstance(shipped, CalibratedDetector)
    points = shipped.operating_points
    assert points["harm"].finest() <= 0.01
    assert {"S1", "S14", "health-advice"} <= set(points)
    after = shipped.calibration.heads["harm"].after
    assert after is not None and after.ece <= 0.03
    bare = build_detector(Config(calibration=False), threads=1)
    harmful = [Exchange(Query("q"), ANSWERS[True])]
    assert not isinstance(bare, CalibratedDetector)
    assert bare.detect(harmful)[0].harm > 0.5 and shipped.detect(harmful)[0].harm > 0.5

    folder = tmp_path / "checkpoint"
    folder.mkdir()
    for name in (MODEL, TOKENIZER, CARD, MANIFEST):
        shutil.copy(EMBEDDED / name, folder)
    rows: list[dict[str, object]] = [
        {"prompt": f"q{i}", "response": f"{ANSWERS[i % 3 == 0]} ({i})", "harmful": int(i % 3 == 0)}
        for i in range(30)
    ]
    lines = write_lines(tmp_path / "dev.jsonl", rows)
    out = folder / "calibration.json"
    run("--data", lines, "--detector", folder, "--method", "platt", "--threads", 1, "-o", out)
    own = Config.model_validate({"detector": {"name": "embedded", "options": {"folder": str(folder)}}})
    found = build_detector(own, threads=1)
    assert isinstance(found, CalibratedDetector) and found.calibration.mixture == {"dev": 30}
    (tmp_path / "p.yaml").write_text("target_fpr: 0.01")
    with pytest.raises(PolicyError, match=r"cannot support a target of 0\.01"):
        build(own, policy=tmp_path / "p.yaml")
    other = Config.model_validate(
        {"detector": {"name": "embedded", "options": {"folder": str(folder), "second_look": False}}}
    )
    with pytest.raises(ConfigError, match="with other weights or settings"):
        build_detector(other)


def test_calibration_off_is_read_from_yaml(tmp_path: Path) -> None:
    (tmp_path / "guard.yaml").write_text("calibration: off\n")
    assert load_config(tmp_path / "guard.yaml").calibration is False
    (tmp_path / "guard.yaml").write_text("calibration: nowhere.json\n")
    with pytest.raises(ConfigError, match=r"nowhere\.json cannot be read"):
        build_detector(load_config(tmp_path / "guard.yaml"), threads=1)


def test_attack_words_makes_answers_pass_and_evaluate_reads_them(tmp_path: Path, config: Path) -> None:
    answers = write_lines(
        tmp_path / "answers.jsonl",
        [{"prompt": "q", "response": "The dark lamp is here for you.", "harmful": 1, "source": "s"}],
    )
    out = tmp_path / "attacked"
    result = CliRunner().invoke(
        app, ["attack", "words", str(answers), "-o", str(out), "--config", str(config), "--share", "0.5"]
    )
    assert result.exit_code == 0, result.output
    assert "1 of 1 answers pass the detector now" in result.output
    both = [json.loads(line) for line in (out / "samples.jsonl").read_text().splitlines()]
    assert [row["attack"] for row in both] == ["none", "word edits"]
