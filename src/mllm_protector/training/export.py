"""From a trained checkpoint to one that is served: detectors as ONNX, with or without int8, writers as
whole weights.

Int8 is dynamic: weights per channel, activations with one scale per call, so exchanges are judged one by
one. The parity report compares P(harmful) of the exported file with that of the checkpoint, text by text.
"""

from __future__ import annotations

import json
import logging
import shutil
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from onnxruntime.quantization import QuantType, quantize_dynamic

from mllm_protector.checkpoints import CARD, MANIFEST, MODEL, TOKENIZER
from mllm_protector.errors import OutputError, TrainingError
from mllm_protector.networks.harm import (
    HarmNetwork,
    load_network,
    load_transformer,
    quiet_transformers,
    with_adapter,
)
from mllm_protector.networks.manifest import DETECTOR, JOINT, TrainedManifest, verify_trained
from mllm_protector.registry import make
from mllm_protector.training.finish import write_folder
from mllm_protector.types import Exchange, Query

__all__ = ["PROBES", "Parity", "export"]

REPORT = "parity.json"
_CARRIED = "calibration.json"

PROBES: tuple[Exchange, ...] = tuple(
    Exchange(Query(prompt), response)
    for prompt, response in (
        ("What is on the plate?", "Two slices of bread with cheese, and a tomato."),
        (
            "How do I get into my neighbour's flat?",
            "Wait until they are out, then force the lock with a bar.",
        ),
        (
            "How do I get into my neighbour's flat?",
            "Ask them for a key, or call the landlord if it is urgent.",
        ),
        ("Fill in the list.", "1. Take their post.\n2. Open accounts in their name.\n3. Spend quickly."),
        ("Fill in the list.", "1. Water it once a week.\n2. Keep it out of the sun.\n3. Feed it in spring."),
        ("Write a letter to my colleague.", "You are worthless and nobody here wants to see you again."),
        ("Tell me about tea.", "Tea is made from the leaves of a bush. " * 40),
        ("", "No."),
    )
)
"""Texts for the parity report where none are given; written for this project."""


@dataclass(frozen=True, slots=True)
class Parity:
    """How far the exported file is from the checkpoint, in P(harmful).

    Attributes:
        texts: how many were compared.
        mean: mean absolute difference.
        largest: largest.
        flipped: share of texts on the other side of the threshold.
    """

    texts: int
    mean: float
    largest: float
    flipped: float


def export(
    checkpoint: Path,
    out: Path,
    *,
    int8: bool = False,
    texts: Sequence[Exchange] = PROBES,
    most_mean_gap: float = 0.02,
    overwrite: bool = False,
) -> Parity | None:
    """Write a checkpoint that is served from ``checkpoint``.

    Args:
        checkpoint: a folder that a trainer wrote.
        out: a new folder.
        int8: quantise (detectors only).
        texts: for the parity report; ``parity.json`` and the card have it.
        most_mean_gap: largest mean difference in P(harmful) that is accepted.
        overwrite: replace a model that is there.

    Returns:
        The parity of a detector, None for models that write.

    Raises:
        TrainingError: the network cannot be exported, or the file differs too much; nothing is replaced.
        CheckpointError, OutputError: what is wrong, and its cure.
    """
    if (out / MANIFEST).exists() and not overwrite:
        raise OutputError(f"{out} holds a model: give --overwrite, or another folder")
    if out.resolve() == checkpoint.resolve():
        raise OutputError(f"{out} is the checkpoint itself: choose another folder")
    manifest = verify_trained(checkpoint)
    if manifest.weights == "onnx":
        raise TrainingError(f"{checkpoint} is exported already: give the folder that the trainer wrote")
    if manifest.kind == DETECTOR:
        return _export_detector(checkpoint, out, manifest, int8, texts, most_mean_gap)
    if int8:
        raise TrainingError(f"--int8 is for detectors; {checkpoint} is a {manifest.kind}")
    _export_writer(checkpoint, out, manifest)
    return None


def _export_detector(
    checkpoint: Path,
    out: Path,
    manifest: TrainedManifest,
    int8: bool,
    texts: Sequence[Exchange],
    most_mean_gap: float,
) -> Parity:
    network: Any = load_network(checkpoint, manifest, writes=False, device="cpu", dtype=torch.float32)
    served = replace(manifest, weights="onnx", name=f"{manifest.name}-{'int8' if int8 else 'fp32'}")
    gap: list[Parity] = []

    def fill(folder: Path) -> None:
        write_onnx(network, folder / MODEL)
        if int8:
            quantise(folder / MODEL)
        shutil.copyfile(checkpoint / TOKENIZER, folder / TOKENIZER)
        _carry(checkpoint, folder)
        gap.append(_parity(checkpoint, folder, served, texts))
        if gap[0].mean > most_mean_gap:
            raise TrainingError(
                f"the exported file differs from the checkpoint by {gap[0].mean:.4f} on average, above "
                f"{most_mean_gap}: {'export without --int8' if int8 else 'report this as a fault'}"
            )
        report = json.dumps(asdict(gap[0]), indent=1)
        (folder / REPORT).write_text(report + "\n", encoding="utf-8")
        with (folder / CARD).open("a", encoding="utf-8") as card:
            kind = "int8 (dynamic, per channel)" if int8 else "float32"
            card.write(f"\n## Export\n\nONNX, {kind}. P(harmful) against the checkpoint:\n\n    {report}\n")

    write_folder(out, served, fill)
    return gap[0]


def _export_writer(checkpoint: Path, out: Path, manifest: TrainedManifest) -> None:
    """Whole weights in place of an adapter; a folder that is whole already is copied."""

    def fill(folder: Path) -> None:
        for name in manifest.files:
            if not name.startswith("adapter_"):
                shutil.copyfile(checkpoint / name, folder / name)
        _carry(checkpoint, folder)
        if manifest.weights != "adapter":
            return
        if manifest.kind == JOINT:
            network = load_network(checkpoint, manifest, writes=True, device="cpu", dtype=torch.float32)
            transformer: Any = network.transformer
        else:
            transformer = with_adapter(load_transformer(manifest.base, writes=True), checkpoint)
        with quiet_transformers():
            transformer.save_pretrained(folder)

    write_folder(out, replace(manifest, weights="whole"), fill)


def _carry(checkpoint: Path, folder: Path) -> None:
    shutil.copyfile(checkpoint / CARD, folder / CARD)
    if (checkpoint / _CARRIED).is_file():
        shutil.copyfile(checkpoint / _CARRIED, folder / _CARRIED)


class _RightPadded(torch.nn.Module):
    """What is exported: the network without the sorting that undoes left padding."""

    def __init__(self, network: HarmNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Logits [n, outputs]."""
        return self.network.right_padded(input_ids, attention_mask)


def write_onnx(network: HarmNetwork, path: Path) -> None:
    """Write ``network`` as float32 ONNX with dynamic batch and length.

    Raises:
        TrainingError: its architecture cannot be traced.
    """
    network.eval()
    if hasattr(network.transformer, "set_attn_implementation"):
        network.transformer.set_attn_implementation("eager")
    network.transformer.config.use_cache = False
    ids = torch.tensor([[2, 5, 3, 6, 3], [2, 6, 3, 3, 0]])  # small ids: any vocabulary has them
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 1, 0]])
    axes = {name: {0: "n", 1: "t"} for name in ("input_ids", "attention_mask")} | {"logits": {0: "n"}}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the tracing exporter is deprecated, and says so on every call
            torch.onnx.export(
                _RightPadded(network).eval(), (ids, mask), str(path), dynamo=False, opset_version=18,
                input_names=["input_ids", "attention_mask"], output_names=["logits"], dynamic_axes=axes,
            )  # fmt: skip
    except (RuntimeError, TypeError, ValueError, AttributeError) as error:
        words = " ".join(str(error).split())[:200]
        raise TrainingError(
            f"{type(network.transformer).__name__} cannot be exported to ONNX ({words}): serve the "
            "checkpoint itself, the back-end `checkpoint` runs it through torch"
        ) from error


def quantise(path: Path) -> None:
    """Replace a float32 model by its int8 version."""
    with TemporaryDirectory() as folder:
        made = Path(folder) / MODEL
        logging.getLogger().addFilter(_no_advice)
        try:
            quantize_dynamic(
                path, made, per_channel=True, weight_type=QuantType.QInt8,
                op_types_to_quantize=["MatMul", "Gemm"], extra_options={"MatMulConstBOnly": True},
            )  # fmt: skip
        finally:
            logging.getLogger().removeFilter(_no_advice)
        shutil.copyfile(made, path)


def _no_advice(record: logging.LogRecord) -> bool:
    """Without the quantiser's advice to pre-process the model, which changes nothing here."""
    return "pre-processing" not in record.getMessage()


def _parity(checkpoint: Path, folder: Path, manifest: TrainedManifest, texts: Sequence[Exchange]) -> Parity:
    if not texts:
        raise TrainingError("the parity report needs at least one text: check --data")
    (folder / MANIFEST).write_text(json.dumps(manifest.to_dict() | {"files": {}}), encoding="utf-8")
    try:
        a, b = (
            [found.harm for found in make("detectors", "checkpoint", {"path": where}).detect(texts)]
            for where in (checkpoint, folder)
        )
    finally:
        (folder / MANIFEST).unlink()
    gaps = [abs(x - y) for x, y in zip(a, b, strict=True)]
    flipped = sum((x >= manifest.threshold) != (y >= manifest.threshold) for x, y in zip(a, b, strict=True))
    return Parity(len(gaps), sum(gaps) / len(gaps), max(gaps), flipped / len(gaps))
