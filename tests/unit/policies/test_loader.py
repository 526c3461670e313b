"""Reading policies: names, files, inheritance, and an error for everything else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mllm_protector.errors import PolicyError
from mllm_protector.policies import load_policy, parse_policy, policy_names, policy_schema, policy_source
from mllm_protector.types import Action


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("treshold: 1", "unknown key 'treshold'; did you mean 'threshold'?"),
        ("categories: {S1: {tresh: 1}}", "did you mean 'threshold'?"),
        ("texts: {refus: no}", "did you mean 'refuse'?"),
        ("deny: [{patern: a}]", "did you mean 'pattern'?"),
        ("categories: {S99: {}}", "did you mean 'S9'?"),
        ("categories: {helth-advice: {}}", "did you mean 'health-advice'?"),
        ("extends: defualt", "did you mean 'default'?"),
        ("extends: nowhere.yaml", "no policy file at nowhere.yaml"),
        ("threshold: 1.5", "less than or equal to 1"),
        ("threshold: 0.0", "greater than 0"),
        ("threshold: yes", "valid number"),
        ("threshold: .nan", "got nan"),
        ("action: explode", "'allow', 'flag', 'disclaim', 'detoxify' or 'refuse'"),
        ("on_error: flag", "'refuse' or 'allow'"),
        ("third_party_instruction: rewrite", "'ignore', 'flag' or 'refuse'"),
        ("max_attempts: 0", "greater than or equal to 1"),
        ("texts: {refuse: ''}", "at least 1 character"),
        ("deny: [{pattern: '(a'}]", "not RE2 syntax"),
        ("deny: [{pattern: '(?=a)'}]", "not RE2 syntax"),
        ("- a", "mapping of keys, this is a list"),
        ("{", "not valid YAML"),
        ("a: 1\na: 2", "stands here twice"),
        ("texts: &t {refuse: a}\nname: *t", "aliases"),
        ("name: 'a b'", "name"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_cure(text: str, message: str) -> None:
    with pytest.raises(PolicyError) as raised:
        parse_policy(text)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_an_empty_policy_is_the_plain_standard() -> None:
    policy = parse_policy("", name="plain")
    assert (policy.name, policy.threshold, policy.action) == ("plain", 0.5, Action.DETOXIFY)
    assert policy.on_error is Action.REFUSE


def test_a_child_overrides_one_key_and_keeps_the_rest(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(
        "threshold: 0.4\ntexts: {refuse: Not here.}\ndeny: [{pattern: a}]\n"
        "categories: {S1: {threshold: 0.1, action: refuse}}\nthird_party_instruction: refuse"
    )
    (tmp_path / "shop.yaml").write_text(
        "extends: base.yaml\ncategories: {S1: {threshold: 0.3}}\ndeny: [{pattern: b}]"
    )
    policy = load_policy(tmp_path / "shop.yaml")
    assert (policy.name, policy.threshold, policy.texts.refuse) == ("shop", 0.4, "Not here.")
    assert (policy.categories["S1"].threshold, policy.categories["S1"].action) == (0.3, Action.REFUSE)
    assert [rule.pattern for rule in policy.deny] == ["a", "b"]
    assert policy.third_party_instruction is Action.REFUSE
    assert parse_policy("third_party_instruction: ignore").third_party_instruction is Action.ALLOW


def test_a_circle_of_extends_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("extends: b.yaml")
    (tmp_path / "b.yaml").write_text("extends: a.yaml")
    with pytest.raises(PolicyError, match=r"circle: a\.yaml -> b\.yaml -> a\.yaml"):
        load_policy(tmp_path / "a.yaml")


def test_a_policy_that_extends_itself_is_a_circle(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("extends: a.yaml")
    with pytest.raises(PolicyError, match="circle"):
        load_policy(str(tmp_path / "a.yaml"))


def test_unreadable_files(tmp_path: Path) -> None:
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PolicyError, match="not UTF-8"):
        load_policy(tmp_path / "binary.yaml")
    (tmp_path / "big.yaml").write_bytes(b"#" * 1_000_001)
    with pytest.raises(PolicyError, match="at most"):
        load_policy(tmp_path / "big.yaml")
    with pytest.raises(PolicyError, match="no policy file"):
        load_policy(tmp_path)


def test_the_schema_knows_every_key_and_category() -> None:
    schema = policy_schema()
    assert json.loads(json.dumps(schema)) == schema
    assert {"threshold", "action", "extends", "on_error", "categories"} <= set(schema["properties"])
    assert "S14" in schema["properties"]["categories"]["anyOf"][0]["propertyNames"]["enum"]
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize("name", policy_names())
def test_shipped_policies_load_and_say_whom_they_are_for(name: str) -> None:
    policy = load_policy(name)
    assert policy.name == name
    assert policy.description
    assert policy_source(name).startswith(f"name: {name}\n")
