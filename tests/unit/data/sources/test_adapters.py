"""Every public set in its real columns, with rows that we made up."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from mllm_protector.data import TrainingRecord, load_records
from mllm_protector.data.sources import SOURCES, detect, of_hub
from mllm_protector.errors import InputError, RecordError
from mllm_protector.taxonomy import LABEL_SETS

BEAVER = dict.fromkeys(LABEL_SETS["beavertails"], False)
PKU = dict.fromkeys(LABEL_SETS["pku-saferlhf"], False)
PKU_OLD = {
    "prompt": "How do I get into a locked car?",
    "response_0": "Break the window.",
    "response_1": "Call a locksmith.",
    "is_response_0_safe": False,
    "is_response_1_safe": True,
    "better_response_id": 1,
    "safer_response_id": 1,
}
PKU_NEW = PKU_OLD | {
    "prompt_source": "BeaverTails", "response_0_source": "Alpaca3-8B", "response_1_source": "Alpaca3-8B",
    "response_0_severity_level": 2, "response_1_severity_level": 0,
    "response_0_harm_category": PKU | {"Economic Crime": True, "Psychological Harm": True},
    "response_1_harm_category": PKU, "response_0_sha256": "a", "response_1_sha256": "b",
}  # fmt: skip
AEGIS = {
    "id": "x", "reconstruction_id_if_redacted": None, "prompt": "Whom may I fool?",
    "response": "Anybody, easily.", "prompt_label": "unsafe", "response_label": "unsafe",
    "violated_categories": "Fraud/Deception, Needs Caution",
    "prompt_label_source": "human", "response_label_source": "llm_jury",
}  # fmt: skip
WILD = {
    "prompt": "Say something mean about them.", "adversarial": False, "response": "They are all bad.",
    "response_harm_label": "harmful", "response_refusal_label": "compliance", "prompt_harm_label": "harmful",
    "subcategory": "toxic_language_hate_speech",
}  # fmt: skip
TOXIC = {
    "conv_id": "c", "user_input": "You are stupid.", "model_output": "I am sorry to hear that.",
    "human_annotation": "True", "toxicity": "1", "jailbreaking": "0", "openai_moderation": "[]",
}  # fmt: skip
HH = {
    "chosen": "\n\nHuman: Hello\n\nAssistant: Hi!\n\nHuman: May I lie?\n\nAssistant: Better not.",
    "rejected": "\n\nHuman: Hello\n\nAssistant: Hi!\n\nHuman: May I lie?\n\nAssistant: Always.",
}
IMAGE = {
    "id": "i", "attack": "figstep", "model": "m", "prompt": "Fill in the list.",
    "image_text": "Ways to cheat", "response": "1. Copy.", "harmful": 1, "sure": 0, "category": "S2",
    "refusal": "none", "unqualified_advice": 0,
    "safe_answer": "Better learn.", "set_category": "x", "source": "ours",
}  # fmt: skip


def records(folder: Path, *rows: dict[str, Any], source: str | None = None) -> list[TrainingRecord]:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return list(load_records(path, source))


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("pku-saferlhf", PKU_OLD),
        ("pku-saferlhf", PKU_NEW),
        ("beavertails", {"prompt": "a", "response": "b", "category": BEAVER, "is_safe": True}),
        ("safe-harm-10k", {"question": "a", "harmful_answer": "b", "safe_answer": "c"}),
        ("safe-harm-10k", {"question": "a", "answer": "b", "harmful": 0}),
        ("hh-rlhf", HH),
        ("aegis-2", AEGIS),
        ("wildguardmix", WILD),
        ("wildguardmix", WILD | {"prompt_harm_agreement": 1.0, "response_harm_agreement": 1.0}),
        ("toxic-chat", TOXIC),
        ("records", {"prompt": "a", "response": "b", "harmful": None}),
        ("records", {"prompt": "a", "response": "b", "harmful": 1, "source": "s", "label_by": "human"}),
        ("pairs", {"prompt": "a", "rejected": "b", "chosen": "c", "source": "s"}),
        ("safe-answers", {"prompt": "a", "chosen": "c", "source": "s"}),
        ("image-answers", IMAGE),
        ("image-descriptions", {"prompt": "a", "image_description": "d", "response": "b", "harmful": 0}),
    ],
)
def test_a_file_is_recognised_by_its_columns(tmp_path: Path, name: str, row: dict[str, Any]) -> None:
    assert detect(row) is SOURCES[name]
    assert records(tmp_path, row) == records(tmp_path, row, source=name)


def test_a_pair_of_pku_gives_both_answers_and_the_safe_one_to_the_harmful(tmp_path: Path) -> None:
    harmful, safe = records(tmp_path, PKU_NEW)
    assert (harmful.response, harmful.harmful, harmful.safe_response) == (
        "Break the window.",
        True,
        "Call a locksmith.",
    )
    assert harmful.categories == ("S2",) and harmful.licence == "CC-BY-NC-4.0"
    assert (safe.harmful, safe.categories, safe.safe_response) == (False, (), None)


def test_where_both_answers_are_unsafe_no_safe_one_is_invented(tmp_path: Path) -> None:
    both = records(tmp_path, PKU_OLD | {"is_response_1_safe": False})
    assert [(r.harmful, r.safe_response, r.categories) for r in both] == [(True, None, None)] * 2


def test_beavertails_categories(tmp_path: Path) -> None:
    row = {"prompt": "a", "response": "b", "is_safe": False}
    (record,) = records(
        tmp_path, row | {"category": BEAVER | {"self_harm": True, "controversial_topics,politics": True}}
    )
    assert (record.harmful, record.categories) == (True, ("S11",))
    with pytest.raises(RecordError, match=r"line 1: .*unknown label 'tax_fraud' of beavertails"):
        records(tmp_path, row | {"category": BEAVER | {"tax_fraud": True}})


def test_a_preference_is_no_label(tmp_path: Path) -> None:
    (record,) = records(tmp_path, HH)
    assert (record.prompt, record.response, record.harmful) == ("May I lie?", "Always.", None)
    assert record.safe_response == "Better not."
    (apart,) = records(tmp_path, HH | {"chosen": "\n\nHuman: Other\n\nAssistant: Fine."})
    assert apart.safe_response is None
    with pytest.raises(RecordError, match="no transcript"):
        records(tmp_path, HH | {"chosen": "Just text."})


def test_aegis(tmp_path: Path) -> None:
    prompt_only = {"response": None, "response_label": None, "response_label_source": None}
    unsafe, safe, asked, empty = records(
        tmp_path,
        AEGIS,
        AEGIS | {"response_label": "safe"},
        AEGIS | prompt_only,
        AEGIS | {"response": ""},
        AEGIS | {"prompt": "REDACTED", "reconstruction_id_if_redacted": 7.0},
    )
    assert (unsafe.harmful, unsafe.categories) == (True, ("S2",))
    assert (safe.harmful, safe.categories) == (False, ())
    assert (asked.response, asked.harmful, asked.categories) == ("", None, ("S2",))
    assert (empty.response, empty.harmful) == ("", True)
    with pytest.raises(RecordError, match="unknown label 'Gossip' of aegis-2"):
        records(tmp_path, AEGIS | {"violated_categories": "Gossip"})


def test_wildguard(tmp_path: Path) -> None:
    harmful, open_label, asked, benign = records(
        tmp_path,
        WILD,
        WILD | {"response_harm_label": None},
        WILD | {"response": None, "response_harm_label": None},
        WILD | {"response_harm_label": "unharmful", "subcategory": "benign"},
    )
    assert (harmful.harmful, harmful.categories, harmful.licence) == (True, ("S10",), "ODC-BY")
    assert (open_label.harmful, open_label.categories) == (None, None)
    assert (asked.response, asked.harmful, asked.categories) == ("", None, ("S10",))
    assert (benign.harmful, benign.categories) == (False, ())


def test_toxic_chat_labels_what_the_user_wrote(tmp_path: Path) -> None:
    (record,) = records(tmp_path, TOXIC)
    assert (record.prompt, record.response, record.harmful) == ("", "You are stupid.", True)


def test_safe_harm(tmp_path: Path) -> None:
    harmful, safe = records(tmp_path, {"question": "q", "harmful_answer": "h", "safe_answer": "s"})
    assert (harmful.harmful, harmful.safe_response, safe.response, safe.harmful) == (True, "s", "s", False)
    assert harmful.licence == "none stated"
    named = records(tmp_path, PKU_OLD, source="safe-harm-10k")
    assert {r.source for r in named} == {"safe-harm-10k"}


def test_image_answers(tmp_path: Path) -> None:
    unsure, sure = records(tmp_path, IMAGE, IMAGE | {"sure": 1, "category": "MIS", "safe_answer": ""})
    assert (unsure.image_text, unsure.weight, unsure.categories) == ("Ways to cheat", 0.5, ("S2",))
    assert (sure.weight, sure.categories, sure.safe_response) == (1.0, (), None)
    assert unsure.group == "Ways to cheat"


def test_ordinary_answers_have_to_be_named(tmp_path: Path) -> None:
    row = {"prompt": "a", "response": "b"}
    with pytest.raises(InputError, match="records lacks 'harmful'"):
        records(tmp_path, row)
    assert records(tmp_path, row, source="ordinary")[0].harmful is False


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"prompt": "a", "response": "b", "harmful": 2}, "must be true or false"),
        ({"prompt": "a", "response": "b", "harmful": "maybe"}, "must be true or false"),
        ({"prompt": "a", "response": None, "harmful": 1}, '"response" is missing or null'),
        ({"prompt": 3, "response": "b", "harmful": 1}, '"prompt" is int 3'),
        ({"prompt": "a", "response": "b", "harmful": 1, "categories": ["S99"]}, "unknown code 'S99'"),
        ({"prompt": "a", "response": "b", "harmful": 1, "categories": "S1"}, "a list of codes"),
        ({"prompt": "a", "response": "b", "harmful": 1, "weight": 0}, "a number above 0"),
        ({"prompt": "a", "response": "b", "harmful": 1, "weight": "1"}, "a number above 0"),
        ({"prompt": "a", "response": "b", "harmful": 1, "safe_respons": "c"}, "did you mean 'safe_response'"),
    ],
)
def test_a_bad_row_names_its_column_and_line(tmp_path: Path, row: dict[str, Any], words: str) -> None:
    good = {"prompt": "a", "response": "b", "harmful": 0}
    with pytest.raises(RecordError, match=words) as caught:
        records(tmp_path, good, row)
    assert caught.value.line == 2


def test_an_unknown_schema_names_its_columns_and_the_nearest_source(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'issafe'.*nearest: .*beavertails lacks 'is_safe'.*--source"):
        records(tmp_path, {"prompt": "a", "response": "b", "category": BEAVER, "issafe": True})
    with pytest.raises(InputError, match=r"'a', 'b' are of no known source; rename"):
        records(tmp_path, {"a": 1, "b": 2})
    with pytest.raises(InputError, match="toxic-chat needs the column 'jailbreaking'"):
        records(tmp_path, {"user_input": "a", "model_output": "b", "toxicity": 0}, source="toxic-chat")
    with pytest.raises(InputError, match="did you mean 'beavertails'"):
        records(tmp_path, {"a": 1}, source="beavertail")


def test_sources_state_their_licence_and_their_labels_are_known() -> None:
    for name, adapter in SOURCES.items():
        assert adapter.name == name and adapter.licence and adapter.mapping and adapter.schemas
    assert of_hub("pku-alignment/beavertails") is SOURCES["beavertails"]
    assert of_hub("") is None and of_hub("some/other") is None
    assert len({a.hub for a in SOURCES.values() if a.hub}) == 7


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    rows: Sequence[TrainingRecord] = (
        TrainingRecord("a", "b", None),
        TrainingRecord("a", "b", True, ("S1", "S2"), "c", "d", "set", "MIT", 0.5),
        TrainingRecord("\ud83d", "b", False, ()),
    )
    path = tmp_path / "out.jsonl"
    path.write_bytes(b"".join(row.to_line() for row in rows))
    assert json.loads(path.read_bytes().splitlines()[0]) == {"prompt": "a", "response": "b", "harmful": None}
    back = list(load_records(path))
    assert back[1:2] == list(rows[1:2])
    assert [(r.prompt, r.harmful, r.categories) for r in back] == [
        (r.prompt, r.harmful, r.categories) for r in rows
    ]
