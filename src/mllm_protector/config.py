"""What a configuration file may say: which policy and which back-ends. Every key is optional.

policy: default            # a shipped policy's name, or a file relative to this one
detector: {name: embedded, options: {threads: 2}}
calibration: calibration.json  # of the detector; left out: the one in its folder; off: none
detoxifiers: [{name: embedded}]
image_reader: {name: rapidocr}
transcriber: {name: faster-whisper, options: {model: /models/whisper-small}}
gateway: {upstream: http://127.0.0.1:8000}  # see docs/gateway.md
relevance: {name: embedded}  # null leaves the policy's relevance floor out
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from mllm_protector.errors import ConfigError
from mllm_protector.suggest import nearest

__all__ = ["BackendConfig", "Config", "load_config"]

Name = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=200)]


class BackendConfig(BaseModel):
    """One back-end: its registered name (or ``module:Class``) and the arguments of its constructor."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    options: dict[str, Any] = Field(default_factory=dict)


class Config(BaseModel):
    """A whole guard."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    policy: Name = "default"
    detector: BackendConfig = BackendConfig(name="embedded")
    calibration: Name | Literal[False] | None = None
    detoxifiers: tuple[BackendConfig, ...] = (BackendConfig(name="embedded"),)
    image_reader: BackendConfig | None = None
    transcriber: BackendConfig | None = None
    relevance: BackendConfig | None = BackendConfig(name="embedded")
    gateway: dict[str, Any] = Field(default_factory=dict)


def load_config(path: str | Path) -> Config:
    """Return the configuration in a YAML file; relative paths start at its folder.

    Raises:
        ConfigError: the file is missing, unreadable or malformed.
    """
    path = Path(path)
    try:
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"no configuration file at {path}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the configuration {path}: {error}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"{path} is not valid YAML: {' '.join(str(error).split())[:200]}") from error
    if not isinstance(loaded, dict):
        raise ConfigError(f"{path}: a configuration is a mapping of keys, such as `policy: default`")
    try:
        config = Config.model_validate(loaded)
    except ValidationError as error:
        raise ConfigError(f"{path}: {_explain(error)}") from error
    return config.model_copy(update=_beside(path.parent, config))


def _beside(folder: Path, config: Config) -> dict[str, str]:
    """The file names of ``config`` that are taken from the folder of its file."""
    names = {"policy": config.policy, "calibration": config.calibration or ""}
    return {key: str(folder / name) for key, name in names.items() if (folder / name).is_file()}


def _explain(error: ValidationError) -> str:
    # A misspelt key is the cause where a required one seems to be missing too.
    errors = error.errors()
    first = next((e for e in errors if e["type"] == "extra_forbidden"), errors[0])
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = Config.model_fields if len(first["loc"]) == 1 else BackendConfig.model_fields
        return f"unknown key {where!r}{nearest(str(first['loc'][-1]), known)}"
    return f"{where}: {first['msg'].lower()}"
