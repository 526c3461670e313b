"""What a configuration file may say, and what becomes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from mllm_protector.config import Config, load_config
from mllm_protector.errors import ConfigError


def write(folder: Path, text: str) -> Path:
    path = folder / "guard.yaml"
    path.write_text(text)
    return path


def test_a_whole_configuration(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "policy: strict\n"
        "detector: {name: embedded, options: {threads: 1}}\n"
        "detoxifiers: [{name: embedded}]\n",
    )
    config = load_config(path)
    assert config.policy == "strict"
    assert config.detector.options == {"threads": 1}
    assert load_config(write(tmp_path, "{}")) == Config()


def test_a_policy_file_is_taken_from_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text("threshold: 0.3")
    assert load_config(write(tmp_path, "policy: shop.yaml")).policy == str(tmp_path / "shop.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("polcy: strict", "did you mean 'policy'"),
        ("detector: {nme: embedded}", "did you mean 'name'"),
        ("detector: 3", "detector: "),
        ("[]", "mapping of keys"),
        ("", "mapping of keys"),
        ("{", "not valid YAML"),
    ],
)
def test_mistakes_name_the_cure(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load_config(write(tmp_path, text))
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no configuration file"):
        load_config(tmp_path / "none.yaml")
    (tmp_path / "guard.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="cannot read"):
        load_config(tmp_path / "guard.yaml")


def test_a_calibration_is_taken_from_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "calibration.json").write_text("{}")
    found = load_config(write(tmp_path, "calibration: calibration.json"))
    assert found.calibration == str(tmp_path / "calibration.json")
    with pytest.raises(ConfigError, match="calibration"):
        load_config(write(tmp_path, "calibration: on"))
