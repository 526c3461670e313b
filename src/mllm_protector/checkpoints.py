"""Folder layout of a trained model, written by training and read by the back-ends.

model.onnx        the network: input_ids, attention_mask, token_type_ids [n, t] -> logits [n, outputs]
tokenizer.json    the tokenizer, in the format of the ``tokenizers`` library
checkpoint.json   the manifest: template, outputs, calibration, threshold, SHA-256 of the other files
card.md           the model card
calibration.json  optional: what turns its scores into frequencies (see ``calibration.document``)
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mllm_protector.calibration.calibrators import Platt as Calibration
from mllm_protector.errors import CheckpointError, OutputError
from mllm_protector.prompts import PairTemplate
from mllm_protector.taxonomy import ADVICE, HAZARDS

__all__ = [
    "CARD",
    "EMBEDDED",
    "HARM",
    "MANIFEST",
    "MODEL",
    "OUTPUTS",
    "TOKENIZER",
    "Calibration",
    "Manifest",
    "check_files",
    "file_sha256",
    "load_manifest",
    "probabilities",
    "verify",
    "write_manifest",
]

FORMAT_VERSION = 1
KIND = "pair-harm-detector"
MANIFEST, MODEL, TOKENIZER, CARD = "checkpoint.json", "model.onnx", "tokenizer.json", "card.md"
EMBEDDED = Path(__file__).parent / "models" / "embedded"
"""Folder of the detector that ships inside the package."""

HARM = "harm"
OUTPUTS: tuple[str, ...] = (HARM, *(c.code for c in HAZARDS), *(c.code for c in ADVICE))
"""Heads of the detector in the order of its logits: harm, then P(category | harmful), then P(advice)."""

_CURE = "reinstall the package (pip install --force-reinstall mllm-protector) or export the model again"
_KEYS = frozenset(
    (
        "format_version",
        "kind",
        "name",
        "template",
        "outputs",
        "calibration",
        "threshold",
        "aggregation",
        "files",
        "licences",
    )
)


@dataclass(frozen=True, slots=True)
class Manifest:
    """What ``checkpoint.json`` says.

    Attributes:
        name: name and version of the model.
        template: the layout of its input, used in training and inference alike.
        outputs: names of the heads, in the order of the logits; the first is ``harm``.
        calibration: head name -> its calibration; one for every head.
        threshold: P(harmful) from which a response counts as harmful by default.
        aggregation: how the scores of windows become one; ``max``.
        files: file name -> SHA-256 (hex) of every file but the manifest.
        licences: source -> licence, for the base model and all training data.
    """

    name: str
    template: PairTemplate
    outputs: tuple[str, ...]
    calibration: Mapping[str, Calibration]
    threshold: float
    files: Mapping[str, str]
    licences: Mapping[str, str]
    aggregation: str = "max"

    def __post_init__(self) -> None:
        for name in ("calibration", "files", "licences"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    def to_dict(self) -> dict[str, Any]:
        """The manifest as JSON data."""
        return {
            "format_version": FORMAT_VERSION,
            "kind": KIND,
            "name": self.name,
            "template": self.template.to_dict(),
            "outputs": list(self.outputs),
            "calibration": {k: {"scale": c.scale, "bias": c.bias} for k, c in self.calibration.items()},
            "threshold": self.threshold,
            "aggregation": self.aggregation,
            "files": dict(self.files),
            "licences": dict(self.licences),
        }


def load_manifest(folder: Path | str) -> Manifest:
    """Read and check ``checkpoint.json``.

    Raises:
        CheckpointError: it is missing, not JSON, of another version, or has unknown or missing keys.
    """
    path = Path(folder) / MANIFEST
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror}): {_CURE}") from error
    except ValueError as error:
        raise CheckpointError(f"{path} is not JSON ({error}): {_CURE}") from error
    if not isinstance(data, dict):
        raise CheckpointError(f"{path} is not a JSON object: {_CURE}")
    if data.get("format_version") != FORMAT_VERSION or data.get("kind") != KIND:
        raise CheckpointError(
            f"{path} is {data.get('kind')!r} version {data.get('format_version')!r}, this package reads "
            f"{KIND!r} version {FORMAT_VERSION}: {_CURE}"
        )
    if unknown := sorted(set(data) - _KEYS):
        raise CheckpointError(f"{path} has unknown keys {unknown}: {_CURE}")
    if missing := sorted(_KEYS - set(data)):
        raise CheckpointError(f"{path} lacks the keys {missing}: {_CURE}")
    try:
        return _parse(data)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise CheckpointError(f"{path} holds a value of the wrong kind ({error}): {_CURE}") from error


def verify(folder: Path | str) -> Manifest:
    """Load the manifest and check the SHA-256 of every file it lists; return it.

    Raises:
        CheckpointError: a file is missing or differs; the message names it with both sums.
    """
    manifest = load_manifest(folder)
    check_files(folder, manifest.files, _CURE)
    return manifest


def check_files(folder: Path | str, files: Mapping[str, str], cure: str) -> None:
    """Check the files of a folder against their SHA-256.

    Raises:
        CheckpointError: a file is missing or differs; the message names it, and ``cure``.
    """
    for name, expected in files.items():
        path = Path(folder) / name
        try:
            found = file_sha256(path)
        except OSError as error:
            raise CheckpointError(f"{path} cannot be read ({error.strerror}): {cure}") from error
        if found != expected:
            raise CheckpointError(f"{path} is damaged: SHA-256 {found}, expected {expected}: {cure}")


def write_manifest(folder: Path | str, manifest: Manifest) -> None:
    """Write ``checkpoint.json`` whole or not at all.

    Raises:
        OutputError: the folder cannot be written.
    """
    path = Path(folder) / MANIFEST
    part = path.with_name(path.name + ".part")
    try:
        part.write_text(json.dumps(manifest.to_dict(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise OutputError(
            f"{path} cannot be written ({error.strerror}): free space or choose another"
        ) from error


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def probabilities(logits: NDArray[np.float32], manifest: Manifest) -> NDArray[np.float32]:
    """Calibrated probabilities, shape [n, outputs], of raw logits of the same shape.

    Category columns hold P(category | harmful); multiply by the harm column for P(category).
    """
    scale = np.array([manifest.calibration[name].scale for name in manifest.outputs], dtype=np.float32)
    bias = np.array([manifest.calibration[name].bias for name in manifest.outputs], dtype=np.float32)
    # Beyond +-30 the sigmoid is 0 or 1 in float32; the clip keeps exp from overflowing.
    result: NDArray[np.float32] = 1.0 / (1.0 + np.exp(-np.clip(logits * scale + bias, -30.0, 30.0)))
    return result


def _parse(data: Mapping[str, Any]) -> Manifest:
    outputs = tuple(str(name) for name in data["outputs"])
    calibration = {
        str(name): Calibration(scale=float(value["scale"]), bias=float(value["bias"]))
        for name, value in data["calibration"].items()
    }
    threshold = float(data["threshold"])
    if not outputs or outputs[0] != HARM or set(calibration) != set(outputs):
        raise ValueError("outputs must start with 'harm' and each have a calibration")
    if not 0.0 < threshold < 1.0:
        raise ValueError("threshold must lie between 0 and 1")
    if data["aggregation"] != "max":
        raise ValueError(f"aggregation {data['aggregation']!r} is unknown")
    files = {str(name): str(digest) for name, digest in data["files"].items()}
    if any(Path(name).name != name for name in files):
        raise ValueError("files must be plain names inside the folder")
    if not {MODEL, TOKENIZER} <= set(files):
        raise ValueError(f"files must list {MODEL} and {TOKENIZER}")
    return Manifest(
        name=str(data["name"]),
        template=PairTemplate.from_dict(data["template"]),
        outputs=outputs,
        calibration=calibration,
        threshold=threshold,
        aggregation=str(data["aggregation"]),
        files=files,
        licences={str(k): str(v) for k, v in data["licences"].items()},
    )
