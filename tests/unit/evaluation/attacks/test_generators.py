"""What the generators write, the loaders read back whole; runs repeat, resume and refuse to mix."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mllm_protector.errors import InputError, OutputError
from mllm_protector.evaluation.attacks import generators, pictures, typography
from mllm_protector.evaluation.attacks.corruptions import CORRUPTIONS, corrupt
from mllm_protector.evaluation.attacks.folder import MANIFEST, BenchmarkFolder, verify_folder
from mllm_protector.evaluation.attacks.requests import load_instructions, load_requests
from mllm_protector.evaluation.benchmarks import benchmark

REQUESTS = load_requests()[:3]


def test_mm_safetybench_is_read_back(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert generators.write_mm_safetybench(out, REQUESTS, typography.MM_SAFETYBENCH, sources=()) == 9
    samples = list(benchmark("mm-safetybench").samples(out))
    assert len(samples) == 12 and not any(s.fault or s.missing_images for s in samples)
    assert samples[0].request == REQUESTS[0].question
    assert verify_folder(out) == []
    (out / "processed_questions" / "01-Illegal_Activity.json").write_text("{}")
    assert verify_folder(out) == ["processed_questions/01-Illegal_Activity.json"]


def test_figstep_is_read_back(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert generators.write_figstep(out, REQUESTS, typography.FIGSTEP) == 3
    samples = list(benchmark("figstep").samples(out))
    assert len(samples) == 6 and not any(s.fault or s.missing_images for s in samples)
    assert pictures.open_picture(samples[0].images[0]).size == (760, 760)


def test_planted_and_obfuscated_are_read_back(tmp_path: Path) -> None:
    assert generators.write_planted(tmp_path / "p", (), load_instructions()) == 8
    planted = list(benchmark("jsonl").samples(tmp_path / "p"))
    assert not any(s.fault or s.missing_images for s in planted)
    assert [s.kind.value for s in planted[:2]] == ["benign", "harmful"]
    clean, changed = (np.asarray(pictures.open_picture(s.images[0])) for s in planted[:2])
    assert clean.shape == changed.shape and (clean != changed).any()
    assert generators.write_obfuscated(tmp_path / "o", REQUESTS, ["rot13", "leet"]) == 9
    texts = list(benchmark("jsonl").samples(tmp_path / "o"))
    assert not any(s.fault for s in texts) and texts[1].prompt != texts[1].request == texts[0].prompt


def test_a_corrupted_benchmark_is_a_benchmark(tmp_path: Path) -> None:
    source = tmp_path / "source"
    generators.write_figstep(source, REQUESTS, typography.FIGSTEP)
    assert generators.write_corrupted(tmp_path / "out", source, ["jpeg", "fog"], [1, 5]) == 12
    samples = list(benchmark("figstep").samples(tmp_path / "out" / "fog-5"))
    assert len(samples) == 6 and not any(s.missing_images for s in samples)
    with pytest.raises(InputError, match="inside"):
        generators.write_corrupted(source / "x", source, ["jpeg"], [1])


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_corruptions_keep_the_size_repeat_and_grow(kind: str) -> None:
    picture = pictures.scene(1, size=192)
    pixels = np.asarray(picture, dtype=float)
    changed = [np.asarray(corrupt(picture, kind, s, seed=3), dtype=float) for s in (1, 5)]
    assert all(c.shape == pixels.shape for c in changed)
    mild, strong = (float(np.abs(c - pixels).mean()) for c in changed)
    assert 0 < mild < strong
    assert (np.asarray(corrupt(picture, kind, 5, seed=3)) == changed[1]).all()
    with pytest.raises(ValueError, match="1 to 5"):
        corrupt(picture, kind, 6)


def test_same_seed_same_files_and_an_interrupted_run_goes_on(tmp_path: Path) -> None:
    style = typography.Style(width=256, font_size=24, rotation=9, noise=12)
    for name in ("a", "b"):
        generators.write_mm_safetybench(tmp_path / name, REQUESTS, style, seed=5)
    whole = (tmp_path / "a" / MANIFEST).read_bytes()
    assert whole == (tmp_path / "b" / MANIFEST).read_bytes()
    with pytest.raises(OutputError, match="whole"):
        generators.write_mm_safetybench(tmp_path / "a", REQUESTS, style, seed=5)

    folder = BenchmarkFolder(tmp_path / "c", {"seed": 1})
    assert folder.add("x.txt", lambda: b"x")
    again = BenchmarkFolder(tmp_path / "c", {"seed": 1})
    assert not again.add("x.txt", lambda: b"never made")
    with pytest.raises(OutputError, match="other settings"):
        BenchmarkFolder(tmp_path / "c", {"seed": 2})
    with pytest.raises(ValueError, match="inside"):
        again.add("../y", lambda: b"")


def test_wrapping_keeps_every_letter_within_the_width() -> None:
    font = typography.load_font(None, 20)
    text = "a few words and averyveryverylongwordthatfitsnowhere"
    lines = typography.wrap(text, font, 100)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert all(font.getlength(line) <= 100 for line in lines)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- {id: a}", "lacks"),
        ("- {id: a, scenrio: '01'}", "scenario"),
        ("- {id: a, scenario: '99', question: q, phrase: p}", "none of 01 to 13"),
        ("- {id: ../a, scenario: '01', question: q, phrase: p}", "file's name"),
        ("[", "not YAML"),
    ],
)
def test_bad_requests_are_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(InputError, match=said):
        load_requests(tmp_path / "r.yaml")
