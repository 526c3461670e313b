"""From a configuration to a working protector: the only place where back-ends are put together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mllm_protector import registry
from mllm_protector.calibration import CALIBRATION, CalibratedDetector, load_calibration
from mllm_protector.config import BackendConfig, Config
from mllm_protector.interfaces import HarmDetector
from mllm_protector.policies import load_policy, resolve_targets
from mllm_protector.policy import Policy
from mllm_protector.protector import Protector

__all__ = ["bare_detector", "build", "build_detector", "fingerprint", "load_protector"]


def load_protector(policy: str | Path | Policy = "default", *, threads: int | None = None) -> Protector:
    """Return a protector over the embedded detector and detoxifier: no network, no GPU, no torch.

    Args:
        policy: a shipped policy's name, the path of a policy file, or a policy.
        threads: threads of the detector; None takes the machine's cores, at most 4.

    Raises:
        PolicyError: the policy is unknown or malformed.
        CheckpointError: the embedded weights are missing or damaged.
    """
    return build(Config(), policy=policy, threads=threads)


def build(
    config: Config, *, policy: str | Path | Policy | None = None, threads: int | None = None
) -> Protector:
    """Return the protector that ``config`` describes; ``policy`` and ``threads`` override it.

    Raises:
        PolicyError, ConfigError, MissingExtraError, CheckpointError: what is wrong, and its cure.
    """
    chosen = config.policy if policy is None else policy
    standard = chosen if isinstance(chosen, Policy) else load_policy(chosen)
    detector = build_detector(config, threads=threads)
    standard = resolve_targets(standard, detector)
    if not config.detoxifiers:
        detoxifiers: dict[str, Any] = {}
    else:
        made = [(c.name, _make("detoxifiers", c, {"detector": detector})) for c in config.detoxifiers]
        detoxifiers = {_unique(name, i, config): back_end for i, (name, back_end) in enumerate(made)}
    reader = None if config.image_reader is None else _make("image_readers", config.image_reader, {})
    hearer = None if config.transcriber is None else _make("transcribers", config.transcriber, {})
    meter = None if config.relevance is None else _make("relevance_meters", config.relevance, {})
    return Protector(
        detector, standard, detoxifiers, image_reader=reader, transcriber=hearer, relevance=meter
    )


def build_detector(config: Config, *, threads: int | None = None) -> HarmDetector:
    """Return the detector that ``config`` names, calibrated if it has a calibration.

    Raises:
        ConfigError, MissingExtraError, CheckpointError: what is wrong, and its cure.
    """
    detector = bare_detector(config, threads=threads)
    if config.calibration is False:
        return detector
    folder = getattr(detector, "folder", None)
    if config.calibration is not None:
        path = Path(config.calibration)
    elif folder is not None and (Path(folder) / CALIBRATION).is_file():
        path = Path(folder) / CALIBRATION
    else:
        return detector
    return CalibratedDetector(detector, load_calibration(path), fingerprint(config.detector, detector))


def bare_detector(config: Config, *, threads: int | None = None) -> HarmDetector:
    """Return the detector without its calibration: what is to be calibrated.

    Raises:
        ConfigError, MissingExtraError, CheckpointError: it cannot be built.
    """
    detector: HarmDetector = _make("detectors", config.detector, {"threads": threads})
    return detector


def fingerprint(config: BackendConfig, detector: HarmDetector) -> str:
    """Return what identifies a detector's scores: what it says itself, else its name and options."""
    return registry.fingerprint(config.name, config.options, detector)


def _unique(name: str, index: int, config: Config) -> str:
    """Two detoxifiers of one kind with other options keep apart in the attempts."""
    alone = [c.name for c in config.detoxifiers].count(name) == 1
    return name if alone else f"{name}#{index + 1}"


def _make(kind: str, config: BackendConfig, offered: Mapping[str, Any]) -> Any:
    return registry.make(kind, config.name, config.options, offered)
