"""What ``checkpoint.json`` of a trained model says: one manifest for detectors, detoxifiers and joint models.

checkpoint.json   this manifest; written last, so a folder that has it is complete
card.md           the model card
tokenizer.json    the tokenizer, beside what else transformers wants of it
head.safetensors  the linear layer of the outputs (detectors and joint models)
config.json, model*.safetensors         weights of transformers (``weights: whole``), or
adapter_config.json, adapter_model.safetensors   a LoRA adapter on ``base`` (``weights: adapter``), or
model.onnx        the whole network: input_ids, attention_mask [n, t] -> logits [n, outputs] (``weights:
onnx``)
calibration.json  optional, written by calibration; no part of the sums
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mllm_protector.checkpoints import CARD, HARM, MANIFEST, Calibration, check_files, file_sha256
from mllm_protector.errors import CheckpointError
from mllm_protector.networks.template import TextTemplate
from mllm_protector.taxonomy import CATEGORIES

__all__ = [
    "DETECTOR",
    "DETOXIFIER",
    "JOINT",
    "KINDS",
    "TrainedManifest",
    "kind_of_folder",
    "load_trained",
    "sums",
    "verify_trained",
]

FORMAT_VERSION = 1
DETECTOR, DETOXIFIER, JOINT = "text-harm-detector", "detoxifier", "joint-guard"
KINDS = (DETECTOR, DETOXIFIER, JOINT)
WEIGHTS = ("whole", "adapter", "onnx")
POOLINGS = ("first", "last", "mean")
_UNSUMMED = frozenset((MANIFEST, "calibration.json"))
_CURE = "train or export it again"


@dataclass(frozen=True, slots=True)
class TrainedManifest:
    """What is known of a trained model.

    Attributes:
        kind: ``text-harm-detector``, ``detoxifier`` or ``joint-guard``.
        name: name and version of the model.
        base: hub id or folder of the model it was trained from.
        weights: ``whole``, ``adapter`` or ``onnx``.
        template: layout of the detector's input; None for a detoxifier.
        layout: name of the detoxifier's layout in ``rewrite_prompts``, "" for the others.
        max_length: longest input in tokens.
        pooling: state that the outputs are read from: ``first``, ``last`` or ``mean``; "" for a detoxifier.
        outputs: names of the logits, ``harm`` first, then category codes; () for a detoxifier.
        calibration: output -> scale and bias of its logit.
        threshold: P(harmful) from which a response counts as harmful by default.
        files: file name -> SHA-256 of every file but the manifest and ``calibration.json``.
        licences: base model and sources -> licence.
    """

    kind: str
    name: str
    base: str
    weights: str
    max_length: int
    template: TextTemplate | None = None
    layout: str = ""
    pooling: str = ""
    outputs: tuple[str, ...] = ()
    calibration: Mapping[str, Calibration] = field(default_factory=dict)
    threshold: float = 0.5
    files: Mapping[str, str] = field(default_factory=dict)
    licences: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check(self)
        for name in ("calibration", "files", "licences"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    def fingerprint(self, **settings: object) -> str:
        """What identifies its scores: weights, tokenizer, layout, and what of ``settings`` moves them."""
        told = self.to_dict() | {"settings": settings}
        for silent in ("name", "threshold", "licences"):
            del told[silent]
        told["files"] = {name: digest for name, digest in self.files.items() if name != CARD}
        digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
        return f"{self.kind}-{digest[:12]}"

    def to_dict(self) -> dict[str, Any]:
        """The manifest as JSON data."""
        return {
            "format_version": FORMAT_VERSION,
            "kind": self.kind,
            "name": self.name,
            "base": self.base,
            "weights": self.weights,
            "max_length": self.max_length,
            "template": None if self.template is None else self.template.to_dict(),
            "layout": self.layout,
            "pooling": self.pooling,
            "outputs": list(self.outputs),
            "calibration": {k: {"scale": c.scale, "bias": c.bias} for k, c in self.calibration.items()},
            "threshold": self.threshold,
            "files": dict(self.files),
            "licences": dict(self.licences),
        }


def load_trained(folder: Path | str, *kinds: str) -> TrainedManifest:
    """Read ``checkpoint.json``, which must be one of ``kinds`` (any if none is given).

    Raises:
        CheckpointError: it is missing, malformed, or of another kind or version.
    """
    path = Path(folder) / MANIFEST
    data = _read(path)
    if data.get("format_version") != FORMAT_VERSION or data.get("kind") not in (kinds or KINDS):
        cure = (
            "" if data.get("kind") != "pair-harm-detector" else "; use `detector: {name: embedded, options: "
        )
        cure += "{folder: ...}}` for it" if cure else f": {_CURE}"
        raise CheckpointError(
            f"{path} is {data.get('kind')!r} version {data.get('format_version')!r}, needed is "
            f"{' or '.join(kinds or KINDS)} version {FORMAT_VERSION}{cure}"
        )
    values = {key: value for key, value in data.items() if key != "format_version"}
    try:
        template = values["template"]
        values["template"] = None if template is None else TextTemplate.from_dict(template)
        values["outputs"] = tuple(str(name) for name in values["outputs"])
        values["calibration"] = {
            str(k): Calibration(float(c["scale"]), float(c["bias"])) for k, c in values["calibration"].items()
        }
        return TrainedManifest(**values)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise CheckpointError(f"{path} cannot be used ({error}): {_CURE}") from error


def kind_of_folder(folder: Path | str) -> str | None:
    """The kind that a folder's manifest names; None if the folder has no manifest."""
    path = Path(folder) / MANIFEST
    return str(_read(path).get("kind")) if path.is_file() else None


def verify_trained(folder: Path | str, *kinds: str) -> TrainedManifest:
    """Load the manifest and check the SHA-256 of every file it lists.

    Raises:
        CheckpointError: a file is missing or differs.
    """
    manifest = load_trained(folder, *kinds)
    check_files(folder, manifest.files, _CURE)
    return manifest


def sums(folder: Path) -> dict[str, str]:
    """SHA-256 of the files in ``folder`` that a manifest lists."""
    names = sorted(p.name for p in folder.iterdir() if p.is_file() and p.name not in _UNSUMMED)
    return {name: file_sha256(folder / name) for name in names}


def _read(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror}): {_CURE}") from error
    except ValueError as error:
        raise CheckpointError(f"{path} is not JSON ({error}): {_CURE}") from error
    if not isinstance(data, dict):
        raise CheckpointError(f"{path} is not a JSON object: {_CURE}")
    return data


def _check(manifest: TrainedManifest) -> None:
    if manifest.kind not in KINDS or manifest.weights not in WEIGHTS:
        raise ValueError(f"kind {manifest.kind!r} or weights {manifest.weights!r} is unknown")
    if any(Path(name).name != name for name in manifest.files):
        raise ValueError("files must be plain names inside the folder")
    if manifest.kind == DETOXIFIER:
        return
    if manifest.template is None or manifest.pooling not in POOLINGS:
        raise ValueError("template and pooling are needed")
    if manifest.outputs[:1] != (HARM,) or set(manifest.calibration) != set(manifest.outputs):
        raise ValueError(f"outputs must start with {HARM!r} and each have a calibration")
    if unknown := sorted(set(manifest.outputs[1:]) - set(CATEGORIES)):
        raise ValueError(f"outputs {unknown} are no category codes")
    if not 0.0 < manifest.threshold < 1.0:
        raise ValueError("threshold must lie between 0 and 1")
