"""Each trainer, from rows to an exported checkpoint that ``protect`` loads; and bad input."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from tests.tiny_models import save_tiny_bert, save_tiny_llama
from tests.unit.training.material import SMALL, records, rows, write_rows
from typer.testing import CliRunner

from mllm_protector.assembly import build
from mllm_protector.backends.detectors.checkpoint import CheckpointDetector
from mllm_protector.backends.detectors.joint import JointDetector
from mllm_protector.backends.detoxifiers.joint import JointDetoxifier
from mllm_protector.backends.detoxifiers.prompted import transformers_detoxifier
from mllm_protector.cli.app import app
from mllm_protector.config import BackendConfig, Config
from mllm_protector.data import TrainingRecord
from mllm_protector.errors import CheckpointError, ConfigError, OutputError, TrainingError
from mllm_protector.networks.joint import JointModel
from mllm_protector.networks.manifest import load_trained
from mllm_protector.training import detector, detoxifier, joint
from mllm_protector.training.base import Base
from mllm_protector.training.detector import DetectorSettings
from mllm_protector.training.detoxifier import DetoxifierSettings, encode_pairs, teachable
from mllm_protector.training.export import export
from mllm_protector.training.harm_rows import (
    encode,
    harm_outputs,
    pair_up,
    preferences,
    template_of,
    with_safe_answers,
)
from mllm_protector.training.joint import JointSettings
from mllm_protector.training.recipe import LoraSettings, read_recipe
from mllm_protector.types import Detection, Exchange, Query, RewriteTask

ROOT = Path(__file__).parents[3]
WRITER = {key: value for key, value in SMALL.items() if key != "prompt_tokens"} | {"max_length": 256}
LORA = LoraSettings(rank=4, alpha=8, dropout=0.0)
SEEN = [Exchange(Query("Ask 3"), "xx zu"), Exchange(Query("Ask"), "good tea"), Exchange(Query("Ask"), "")]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("place")
    save_tiny_llama(folder / "llama")
    save_tiny_bert(folder / "bert")
    write_rows(folder / "rows.jsonl", rows())
    return folder


def run(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == code, result.output
    return result.output


def changes(settings: Mapping[str, Any]) -> list[str]:
    return [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]


def protected(config: Config) -> None:
    protector = build(config, policy="default")
    for result in protector.protect(SEEN):
        assert result.harm is not None and 0 <= result.harm <= 1
        assert result.error is None


@pytest.mark.parametrize("name", ["bert", "llama"])
def test_a_detector_from_the_command_line_to_int8(place: Path, tmp_path: Path, name: str) -> None:
    data, out = str(place / "rows.jsonl"), str(tmp_path / "guard")
    wanted = changes(SMALL | {"epochs": 12, "pairwise": 0.5, "class_weights": "balanced"})
    run("train", "detector", "--data", data, "--base", str(place / name), "-o", out, "--dev", data, *wanted)
    trained = CheckpointDetector(out)
    found = trained.detect(SEEN)
    assert found[0].harm > found[1].harm and found[2] == Detection(0.0)
    assert set(found[0].categories) == {"S2", "S10"}
    assert max(found[0].categories.values()) <= found[0].harm
    assert trained.detect([]) == []
    many = trained.detect(SEEN * 5)
    assert [d.harm for d in many] == pytest.approx([d.harm for d in found] * 5, abs=1e-5)

    told = run("export", out, "-o", str(tmp_path / "fp32"))
    assert "0.0000 on average" in " ".join(told.split())
    run("export", out, "-o", str(tmp_path / "int8"), "--int8", "--data", data)
    report = json.loads((tmp_path / "int8" / "parity.json").read_text())
    assert report["texts"] == 24 and report["mean"] <= 0.02
    assert "ONNX, int8" in (tmp_path / "int8" / "card.md").read_text()
    fp32 = CheckpointDetector(tmp_path / "fp32").detect(SEEN)
    assert [d.harm for d in fp32] == pytest.approx([d.harm for d in found], abs=1e-4)
    for folder in ("guard", "fp32", "int8"):
        options = {"path": str(tmp_path / folder)}
        protected(Config(detector=BackendConfig(name="checkpoint", options=options)))
    assert "licence    toy: CC0-1.0" in run("model", "info", out)
    assert "all sums agree" in run("model", "verify", str(tmp_path / "int8"))


@pytest.mark.parametrize(("layout", "merge"), [("plain", False), ("paper", True), ("chat", True)])
def test_a_detoxifier_is_trained_and_loads_with_its_layout(
    place: Path, tmp_path: Path, layout: Any, merge: bool
) -> None:
    long = {"max_length": 2048} if layout == "chat" else {}
    settings = DetoxifierSettings(**WRITER | long, layout=layout, lora=replace(LORA, merge=merge))
    out = tmp_path / "writer"
    detoxifier.train(settings, records(tmp_path), Base(str(place / "llama")), out, quiet=True)
    assert load_trained(out).layout == layout
    export(out, tmp_path / "whole")
    task = RewriteTask(SEEN[0], Detection(0.9))
    options: dict[str, Any] = {"max_new_tokens": 4, "dtype": "float32", "device": "cpu"}
    written = [transformers_detoxifier(str(f), **options).detoxify([task]) for f in (out, tmp_path / "whole")]
    assert written[0] == written[1] and len(written[0]) == 1
    with pytest.raises(TrainingError, match="--int8 is for detectors"):
        export(out, tmp_path / "small", int8=True)


def test_a_detoxifier_learns_the_safe_answer(place: Path, tmp_path: Path) -> None:
    made = [TrainingRecord(f"Q{i}", "xx", True, safe_response="no way", place=f"r:{i}") for i in range(4)]
    settings = DetoxifierSettings(**WRITER | {"epochs": 60, "lr": 1e-2}, most_repeats=9)
    detoxifier.train(settings, made, Base(str(place / "llama")), tmp_path / "w", quiet=True)
    writer = transformers_detoxifier(str(tmp_path / "w"), max_new_tokens=12, device="cpu")
    assert writer.detoxify([RewriteTask(made[1].exchange, Detection(0.9))]) == ["no way"]


def test_a_joint_model_judges_then_writes_on(place: Path, tmp_path: Path) -> None:
    data, out = str(place / "rows.jsonl"), tmp_path / "joint"
    lora = {"lora": "{rank: 8, alpha: 16, dropout: 0.0, merge: false}"}
    wanted = changes(SMALL | {"epochs": 12, "max_length": 96, "rewrite_tokens": 24, "head_lr": 0.03} | lora)
    run("train", "joint", "--data", data, "--base", str(place / "llama"), "-o", str(out), *wanted)
    judge, writer = JointDetector(out), JointDetoxifier(out, max_new_tokens=8)
    assert judge.model is writer.model, "one loaded model"
    found = judge.detect(SEEN)
    assert found[0].harm >= 0.5 and found[2].harm == 0.0
    losses = [json.loads(x)["loss"] for x in (out / "training" / "metrics.jsonl").read_text().splitlines()]
    assert losses[-1] < losses[0] / 2

    kept, anew = JointModel(out), JointModel(out, keep=0)
    assert kept.judge(SEEN[:2])[0].harm == pytest.approx(found[0].harm, abs=1e-5)
    anew.judge(SEEN[:2])
    texts = [model.rewrite([SEEN[0]], 8) for model in (kept, anew)]
    assert texts[0] == texts[1] == writer.model.rewrite([SEEN[0]], 8)
    assert kept.work.passes == anew.work.passes - 1, "what was read for the verdict is not read again"
    assert kept.work.read < anew.work.read and kept.work.written == anew.work.written

    whole = tmp_path / "whole"
    run("export", str(out), "-o", str(whole))
    assert JointDetector(whole).detect(SEEN)[0].harm == pytest.approx(found[0].harm, abs=1e-5)
    options = {"path": str(whole)}
    back_end = BackendConfig(name="joint", options=options)
    protected(Config(detector=back_end, detoxifiers=(BackendConfig(name="joint", options=options),)))


def test_rows_that_teach_no_rewrite_are_left_out_and_counted() -> None:
    made = [
        TrainingRecord("a", "xx", True, safe_response="Try this."),
        TrainingRecord("c", "xx", True),
        TrainingRecord("d", "fine", False, safe_response="fine"),
        *(TrainingRecord(f"e{i}", "xx", True, safe_response="I cannot help with that.") for i in range(6)),
    ]
    found, counts = teachable(made, 5)
    assert [record.prompt for record in found] == ["a"]
    assert list(counts.values()) == [1, 1, 6]


def test_only_the_answer_is_learned_and_long_texts_give_way(place: Path) -> None:
    tokenizer = Base(str(place / "llama")).tokenizer()
    settings = DetoxifierSettings(max_length=256, longest=4000)
    long = TrainingRecord("q", "y" * 3000, True, safe_response="s")
    hopeless = TrainingRecord("q" * 500, "y", True, safe_response="s")
    pairs, counts = encode_pairs([long, hopeless], settings, tokenizer)
    assert len(pairs) == 1 and len(pairs[0].prompt) + len(pairs[0].answer) <= 256
    assert tokenizer.decode(pairs[0].answer) == " s</s>"
    assert tokenizer.decode(pairs[0].prompt).endswith("Safe answer:")
    assert list(counts.values()) == [1, 1]


def test_text_over_the_context_is_cut_by_rule_and_counted(place: Path) -> None:
    tokenizer = Base(str(place / "bert")).tokenizer()
    settings = DetectorSettings(**SMALL)
    template = template_of(settings, settings.text, (1,), (2,), 3)
    made = [TrainingRecord("p", "r" * 500, True), TrainingRecord("p", "r", False)]
    encoded, cut = encode(made, template, tokenizer, ("harm",), {})
    assert cut == 1 and len(encoded[0].ids) == 64
    assert tokenizer.decode(encoded[1].ids) == "<s>Question: p\n\nAnswer: r</s>"


def test_pairs_are_two_answers_to_one_request(tmp_path: Path, place: Path) -> None:
    made = with_safe_answers(records(tmp_path))
    assert [row.harmful for row in made].count(True) == 12 and len(made) == 36
    settings = DetectorSettings(**SMALL)
    template = template_of(settings, settings.text, (), (), 3)
    encoded, _ = encode(made, template, Base(str(place / "bert")).tokenizer(), ("harm",), {})
    units = pair_up(made, encoded)
    pairs = [unit for unit in units if len(unit) == 2]
    assert len(pairs) == 12 and sum(map(len, units)) == 36
    assert all(one.targets == (1.0,) and other.targets == (0.0,) for one, other in pairs)


@pytest.mark.parametrize(("pairwise", "learned"), [(1.0, 20), (0.0, 0)])
def test_a_preference_teaches_the_order_and_no_label(
    place: Path, tmp_path: Path, pairwise: float, learned: int
) -> None:
    liked = [
        TrainingRecord(f"Ask {i}", "qq" + " q" * (i % 3), None, safe_response="jj" + " j" * (i % 3))
        for i in range(20)
    ]
    unknown = TrainingRecord("Ask", "who knows", None)
    assert {row.harmful for pair in preferences(liked) for row in pair} == {None}
    assert not with_safe_answers([*liked, unknown])
    settings = DetectorSettings(**SMALL | {"epochs": 12, "head_lr": 0.03}, pairwise=pairwise)
    data, out = [*records(tmp_path), *liked, unknown], tmp_path / "guard"
    detector.train(settings, data, Base(str(place / "bert")), out, quiet=True)
    card = (out / "card.md").read_text()
    assert f"preferences, of which only the order was learned: {learned}" in card
    assert f"nobody said whether they are harmful: {21 - learned}" in card
    worse, better = CheckpointDetector(out).detect(
        [Exchange(Query("Ask 3"), "qq q"), Exchange(Query("Ask 3"), "jj j")]
    )
    assert worse.harm > better.harm or not pairwise


@pytest.mark.parametrize(
    ("made", "words"),
    [
        ([], "no labelled rows"),
        ([TrainingRecord("p", "r", True)], "only harmful"),
        ([TrainingRecord("p", "r", None)], "no labelled rows"),
    ],
)
def test_data_that_teaches_nothing_is_refused(
    place: Path, tmp_path: Path, made: list[TrainingRecord], words: str
) -> None:
    base = Base(str(place / "bert"))
    with pytest.raises(TrainingError, match=words):
        detector.train(DetectorSettings(**SMALL), made, base, tmp_path / "out")
    with pytest.raises(TrainingError, match="no row has a safe answer"):
        detoxifier.train(DetoxifierSettings(**WRITER), made, Base(str(place / "llama")), tmp_path / "out")
    with pytest.raises(TrainingError):
        joint.train(JointSettings(**SMALL), made, Base(str(place / "llama")), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_wrong_wishes_are_named(place: Path, tmp_path: Path) -> None:
    made, bert = records(tmp_path), Base(str(place / "bert"))
    with pytest.raises(ConfigError, match="no row is of the source 'toys'; did you mean 'toy'"):
        detector.train(DetectorSettings(**SMALL, source_weights={"toys": 2}), made, bert, tmp_path / "o")
    with pytest.raises(ConfigError, match="no row has the category 'S1'"):
        harm_outputs(made, ("S1",))
    with pytest.raises(CheckpointError, match=r"nobody/nothing.*--download"):
        detector.train(DetectorSettings(**SMALL), made, Base("nobody/nothing"), tmp_path / "o")
    lora = LoraSettings(targets=("nowhere",))
    with pytest.raises(TrainingError, match="lora"):
        detector.train(DetectorSettings(**SMALL, lora=lora), made, bert, tmp_path / "o")
    with pytest.raises(CheckpointError, match="has no weights for cls"):
        joint.train(JointSettings(**SMALL), made, bert, tmp_path / "o")


def test_a_damaged_or_wrong_folder_is_refused(place: Path, tmp_path: Path) -> None:
    detector.train(
        DetectorSettings(**SMALL), records(tmp_path), Base(str(place / "bert")), tmp_path / "g", quiet=True
    )
    with pytest.raises(CheckpointError, match="joint-guard"):
        JointDetector(tmp_path / "g")
    with pytest.raises(OutputError, match="itself"):
        export(tmp_path / "g", tmp_path / "g", overwrite=True)
    with pytest.raises(CheckpointError, match="embedded"):
        CheckpointDetector(ROOT / "src" / "mllm_protector" / "models" / "embedded")
    (tmp_path / "g" / "head.safetensors").write_bytes(b"x")
    with pytest.raises(CheckpointError, match="SHA-256"):
        CheckpointDetector(tmp_path / "g")


def test_the_shipped_recipes_are_read() -> None:
    paper = read_recipe(DetectorSettings, ROOT / "recipes" / "paper-detector.yaml")
    assert (paper.lr, paper.epochs, paper.batch_size, paper.max_length, paper.bf16) == (2e-5, 4, 8, 512, True)
    assert paper.lora is not None and (paper.lora.rank, paper.lora.alpha, paper.lora.dropout) == (32, 32, 0.1)
    writer = read_recipe(DetoxifierSettings, ROOT / "recipes" / "paper-detoxifier.yaml")
    assert writer.lora is not None and (writer.lora.rank, writer.layout) == (128, "paper")
    assert read_recipe(JointSettings, ROOT / "recipes" / "joint.yaml").rewriting > 0


@pytest.mark.parametrize("name", ["fsdp", "deepspeed-zero2", "two-machines"])
def test_the_accelerate_configurations_are_read(name: str) -> None:
    from accelerate.commands.config.config_args import load_config_from_file

    path = ROOT / "recipes" / "accelerate" / f"{name}.yaml"
    read: Any = load_config_from_file(str(path))
    assert read.num_processes >= 2 and yaml.safe_load(path.read_text())
    assert np.isfinite(read.num_machines)
