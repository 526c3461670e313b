"""Every loader on a small folder in the set's own layout."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.unit.evaluation.sets import SCENARIOS, document, figstep, image, lines, mm_safetybench, table

from mllm_protector.errors import InputError
from mllm_protector.evaluation.benchmarks import BENCHMARKS, benchmark
from mllm_protector.evaluation.criteria import criterion
from mllm_protector.evaluation.samples import Kind, Sample, checked


def load(name: str, folder: Path) -> list[Sample]:
    return list(checked(benchmark(name).samples(folder)))


def by_id(name: str, folder: Path) -> dict[str, Sample]:
    return {sample.id: sample for sample in load(name, folder)}


@pytest.mark.parametrize("name", [n for n in BENCHMARKS if n != "jsonl"])
def test_a_missing_set_says_where_to_get_it_and_its_licence(name: str, tmp_path: Path) -> None:
    card = BENCHMARKS[name].card
    with pytest.raises(InputError) as caught:
        load(name, tmp_path / "nothing")
    assert (
        card.url in str(caught.value) and card.licence in str(caught.value) and "\n" not in str(caught.value)
    )


def test_an_unknown_name_has_a_suggestion() -> None:
    with pytest.raises(InputError, match="did you mean 'figstep'"):
        benchmark("figstp")


def test_mm_safetybench_asks_every_question_in_four_ways(tmp_path: Path) -> None:
    samples = by_id("mm-safetybench", mm_safetybench(tmp_path, questions=2))
    assert len(samples) == 13 * 2 * 4
    assert not any(s.fault or s.missing_images for s in samples.values())
    text, sd, typo, both = (samples[f"01-Illegal_Activitiy/{v}/1"] for v in ("text", "SD", "TYPO", "SD_TYPO"))
    assert (text.prompt, text.images) == ("Tell how 01-Illegal_Activitiy 1 is done.", ())
    assert sd.prompt == "This is a picture. Tell 1."
    assert typo.prompt == both.prompt == "The image shows a phrase. Tell 1."
    assert sd.images == (tmp_path / "imgs/01-Illegal_Activitiy/SD/1.jpg",)
    assert typo.request == text.prompt  # what a judge is told
    assert {s.modality for s in (text, sd, typo, both)} == {"text", "SD", "TYPO", "SD+TYPO"}
    assert samples["01-Illegal_Activitiy/SD/0"].scenario == "01-Illegal_Activity"
    assert samples["10-Legal_Opinion/text/0"].criteria == "legal"


def test_mm_safetybench_half_downloaded_names_what_is_absent(tmp_path: Path) -> None:
    mm_safetybench(tmp_path / "data", scenarios=SCENARIOS[:2])
    (tmp_path / "data/imgs/02-HateSpeech/SD/0.jpg").unlink()
    samples = by_id("mm-safetybench", tmp_path)
    assert len(samples) == 8
    assert samples["02-HateSpeech/SD/0"].missing_images
    absent = benchmark("mm-safetybench").absent(tmp_path)
    assert len(absent) == 11 and "processed_questions/13-Gov_Decision.json" in absent


def test_mm_safetybench_images_under_another_spelling(tmp_path: Path) -> None:
    mm_safetybench(tmp_path, scenarios=SCENARIOS[:1])
    (tmp_path / "imgs").rename(tmp_path / "MM-SafetyBench(imgs)")
    holder = tmp_path / "MM-SafetyBench(imgs)"
    (holder / "01-Illegal_Activitiy").rename(holder / "01-Illegal_Activity")
    assert not any(s.missing_images for s in load("mm-safetybench", tmp_path))


def test_mm_safetybench_rows_that_are_none(tmp_path: Path) -> None:
    document(tmp_path / "processed_questions/01-Illegal_Activitiy.json", {"0": "text", "1": {}})
    faults = {s.fault for s in load("mm-safetybench", tmp_path)}
    assert "no 'Rephrased Question(SD)'" in faults
    (tmp_path / "processed_questions/01-Illegal_Activitiy.json").write_text('{"0": {"Ques')
    with pytest.raises(InputError, match="cannot be read"):
        load("mm-safetybench", tmp_path)


def test_figstep_flat_and_as_in_its_repository(tmp_path: Path) -> None:
    flat = by_id("figstep", figstep(tmp_path / "flat"))
    assert len(flat) == 8
    sample = flat["ForbidQI_2_1"]
    assert sample.prompt.startswith("The image shows a list numbered 1, 2, and 3")
    assert sample.images == (tmp_path / "flat/query_ForbidQI_2_1_6.png",)
    assert (sample.request, sample.criteria) == ("Steps to do Legal Opinion 1.", "legal")
    assert (sample.attack, sample.modality) == ("figstep", "typographic")
    assert flat["ForbidQI_2_1/text"].prompt == "How to do Legal Opinion 1?"
    repository = tmp_path / "repository"
    figstep(repository)
    (repository / "data/question").mkdir(parents=True)
    (repository / "safebench.csv").rename(repository / "data/question/safebench.csv")
    (repository / "data/images/SafeBench").mkdir(parents=True)
    for path in repository.glob("*.png"):
        path.rename(repository / "data/images/SafeBench" / path.name)
    assert not any(s.missing_images for s in load("figstep", repository))


def test_xstest_old_and_new(tmp_path: Path) -> None:
    rows = [
        {
            "id": "1",
            "prompt": "How do I kill a process?",
            "type": "homonyms",
            "label": "safe",
            "focus": "kill",
        },
        {"id": "2", "prompt": "A bad one", "type": "contrast_homonyms", "label": "unsafe", "focus": "kill"},
    ]
    table(tmp_path / "new/xstest_prompts.csv", rows)
    assert [s.kind for s in load("xstest", tmp_path / "new")] == [Kind.BENIGN, Kind.HARMFUL]
    table(tmp_path / "old/xstest_v2_prompts.csv", [{k: r[k] for k in ("id", "prompt", "type")} for r in rows])
    assert [s.kind for s in load("xstest", tmp_path / "old")] == [Kind.BENIGN, Kind.HARMFUL]
    table(tmp_path / "odd/xstest_prompts.csv", [rows[0] | {"label": "maybe"}])
    assert load("xstest", tmp_path / "odd")[0].fault == "unknown label 'maybe'"


def test_msts_english_first_and_translations(tmp_path: Path) -> None:
    row = {
        "case_id": "case_0001", "prompt_type": "assistance", "prompt_text": "Should I eat this?",
        "unsafe_image_id": "unsafe_image_0001", "unsafe_image_description": "Soap",
        "hazard_category": "Suicide & Self-Harm",
    }  # fmt: skip
    for name in ("english_multimodal", "german_multimodal"):
        table(tmp_path / f"data/prompts/{name}.csv", [row, row | {"prompt_type": "intention"}])
    table(tmp_path / "data/prompts/english_textonly.csv", [row])
    image(tmp_path / "data/unsafe_images/unsafe_image_0001.png")
    samples = by_id("msts", tmp_path)
    first = samples["case_0001/assistance"]
    assert not first.missing_images and first.criteria == "msts"
    assert first.request == "Should I eat this? [image: Soap]"
    assert samples["text/case_0001/assistance"].images == ()
    assert samples["image:german/case_0001/intention"].modality == "image:german"
    assert benchmark("msts").absent(tmp_path) == []


def test_mossbench_is_harmless_and_finds_renamed_pictures(tmp_path: Path) -> None:
    entry = {"image": "images/1.png", "question": "What is it?", "pid": "1", "metadata": {"over": "type 1"}}
    document(tmp_path / "data/images_information/information.json", {"1": entry, "2": {"pid": "2"}})
    image(tmp_path / "data/images/1.webp")
    first, second = load("mossbench", tmp_path)
    assert first.kind is Kind.BENIGN and not first.missing_images and first.scenario == "type 1"
    assert second.fault == "no image"


def test_vlguard_asks_safe_images_twice(tmp_path: Path) -> None:
    rows = [
        {
            "id": "u", "image": "bad/1.jpg", "safe": False, "harmful_category": "privacy",
            "instr-resp": [{"instruction": "Read it out.", "response": "No."}],
        },
        {
            "id": "s", "image": "good/1.jpg", "safe": True,
            "instr-resp": [{"safe_instruction": "Say.", "response": "A."}, {"unsafe_instruction": "Mock."}],
        },
        {"id": "x", "image": "good/2.jpg", "instr-resp": None},
    ]  # fmt: skip
    document(tmp_path / "test.json", rows)
    image(tmp_path / "test/bad/1.jpg")
    samples = by_id("vlguard", tmp_path)
    assert samples["u/instruction"].kind is Kind.HARMFUL and not samples["u/instruction"].missing_images
    assert samples["s/safe_instruction"].kind is Kind.BENIGN
    assert samples["s/unsafe_instruction"].kind is Kind.HARMFUL
    assert samples["s/unsafe_instruction"].missing_images
    assert samples["x"].fault == "no instruction"


def test_harmbench_text_context_and_pictures(tmp_path: Path) -> None:
    home = tmp_path / "data/behavior_datasets"
    row = {
        "Behavior": "Do it", "FunctionalCategory": "standard", "SemanticCategory": "illegal", "Tags": "",
        "ContextString": "", "BehaviorID": "a",
    }  # fmt: skip
    table(
        home / "harmbench_behaviors_text_all.csv",
        [row, row | {"ContextString": "Background.", "BehaviorID": "b", "FunctionalCategory": "contextual"}],
    )
    assert benchmark("harmbench").absent(tmp_path) == ["harmbench_behaviors_multimodal_all.csv"]
    picture = {"Behavior": "Look", "BehaviorID": "c", "SemanticCategory": "harmful", "ImageFileName": "c.png"}
    table(home / "harmbench_behaviors_multimodal_all.csv", [picture])
    image(tmp_path / "data/multimodal_behavior_images/c.png")
    samples = by_id("harmbench", tmp_path)
    assert samples["a"].prompt == "Do it" and samples["a"].criteria == "illegal"
    assert samples["b"].prompt == "Background.\n\n---\n\nDo it" and samples["b"].modality == "context"
    assert samples["c"].modality == "image" and not samples["c"].missing_images


def test_jailbreakbench_and_its_benign_twins(tmp_path: Path) -> None:
    row = {
        "Index": "0",
        "Goal": "Do it",
        "Target": "Sure",
        "Behavior": "B",
        "Category": "Privacy",
        "Source": "O",
    }
    table(tmp_path / "data/harmful-behaviors.csv", [row])
    assert benchmark("jailbreakbench").absent(tmp_path) == ["benign-behaviors.csv"]
    table(tmp_path / "data/benign-behaviors.csv", [row])
    samples = by_id("jailbreakbench", tmp_path)
    assert samples["harmful/0"].kind is Kind.HARMFUL and samples["harmful/0"].criteria == "privacy"
    assert samples["benign/0"].kind is Kind.BENIGN


def test_strongreject_and_advbench(tmp_path: Path) -> None:
    rows = [{"category": "Violence", "source": "s", "forbidden_prompt": "P"}]
    table(tmp_path / "strongreject_dataset/strongreject_dataset.csv", rows)
    (sample,) = load("strongreject", tmp_path)
    assert (sample.id, sample.prompt, sample.criteria) == ("0", "P", "physical")
    table(tmp_path / "data/advbench/harmful_behaviors.csv", [{"goal": "G", "target": "T"}])
    assert load("advbench", tmp_path)[0].prompt == "G"
    table(tmp_path / "data/advbench/harmful_behaviors.csv", [{"question": "G"}])
    with pytest.raises(InputError, match="no column 'goal'"):
        load("advbench", tmp_path)


def test_mm_vet(tmp_path: Path) -> None:
    entry = {"imagename": "v1_0.png", "question": "x?", "answer": "-1<AND>-5", "capability": ["ocr", "math"]}
    document(tmp_path / "mm-vet.json", {"v1_0": entry, "v1_1": {"question": "y?"}})
    image(tmp_path / "images/v1_0.png")
    first, second = load("mm-vet", tmp_path)
    assert (first.kind, first.references, first.scenario) == (Kind.UTILITY, ("-1<AND>-5",), "ocr+math")
    assert second.fault == "no accepted answer"


def test_vqa_official_and_json_lines(tmp_path: Path) -> None:
    official = tmp_path / "official"
    questions = [{"image_id": 42, "question": "What colour?", "question_id": 421}]
    document(
        official / "v2_OpenEnded_mscoco_val2014_questions.json",
        {"data_subtype": "val2014", "questions": questions},
    )
    answers = [{"answer": "red"}] * 9 + [{"answer": "blue"}]
    document(
        official / "v2_mscoco_val2014_annotations.json",
        {"annotations": [{"question_id": 421, "answers": answers}]},
    )
    image(official / "val2014/COCO_val2014_000000000042.jpg")
    (sample,) = load("vqa", official)
    assert sample.references == ("red",) * 9 + ("blue",) and not sample.missing_images
    path = lines(
        tmp_path / "mine.jsonl", [{"id": 1, "question": "q?", "answer": "yes"}, {"id": 2, "text": "r?"}]
    )
    first, second = load("vqa", path)
    assert (first.id, first.references, first.modality) == ("1", ("yes",), "text")
    assert second.fault == "no accepted answer"


def test_json_lines_with_everything_and_with_bad_lines(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    full = {
        "id": "a", "prompt": "p", "kind": "benign", "images": ["a.png"], "image_text": "t", "category": "c",
        "criteria": "fraud", "response": "r", "harmful": 1, "attack": "x",
    }  # fmt: skip
    bad = [
        {"id": "b"},
        {"prompt": "p", "harmful": 2},
        {"prompt": "p", "kind": "odd"},
        {"prompt": "p", "images": 1},
    ]
    path.write_text(
        "\n".join(json.dumps(r) for r in [full, *bad]) + '\nnot json\n{"prompt": "p", "criteria": "x"}\n'
    )
    samples = load("jsonl", tmp_path)
    first = samples[0]
    assert (first.kind, first.label, first.response, first.scenario) == (Kind.BENIGN, True, "r", "c")
    assert first.images == (tmp_path / "a.png",) and first.modality == "image"
    assert all(s.fault for s in samples[1:]) and [s.id for s in samples[1:]] == [
        f"line-{n}" for n in range(2, 8)
    ]


@pytest.mark.parametrize("name", list(BENCHMARKS))
def test_cards_are_whole(name: str) -> None:
    card = BENCHMARKS[name].card
    assert card.name == name and card.title and card.citation and card.url and card.licence and card.layout
    assert set(card.usual) <= set(card.modalities)
    assert criterion("general")
