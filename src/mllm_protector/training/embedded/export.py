"""From trained weights to the files that ship: ONNX, int8, and the check that int8 agrees with float.

Layers are quantised dynamically to int8 per channel (activations uint8); the token embeddings to int8
with one scale per row, which keeps the file near 23 MB and the rows exact to 1/254 of their range.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.transformers import optimizer
from onnxruntime.transformers.fusion_options import FusionOptions
from tokenizers import Tokenizer

from mllm_protector.errors import TrainingError
from mllm_protector.prompts import PAIR_V1, PairTemplate
from mllm_protector.training.embedded.batches import Encoded, collate, windows_of
from mllm_protector.training.embedded.examples import Example
from mllm_protector.training.embedded.network import PairClassifier

__all__ = ["Parity", "export_onnx", "onnx_logits", "parity", "quantise"]

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_EMBEDDING = "word_embeddings.weight"


@dataclass(frozen=True, slots=True)
class Parity:
    """How far int8 is from float, in P(harmful) before calibration.

    Attributes:
        mean: mean absolute difference.
        largest: largest.
        flipped: share of texts on the other side of 0.5.
        texts: how many were compared.
    """

    mean: float
    largest: float
    flipped: float
    texts: int


def export_onnx(network: PairClassifier, path: Path) -> None:
    """Write ``network`` as a float32 ONNX model with dynamic batch and length."""
    network.eval()
    network.encoder.set_attn_implementation("eager")
    ids = torch.tensor([[2, 5, 3, 6, 3], [2, 6, 3, 3, 0]])  # small ids: any vocabulary has them
    example = (ids, (ids != 0).long(), torch.tensor([[0, 0, 0, 1, 1], [0, 0, 0, 1, 0]]))
    axes: Mapping[str, Mapping[int, str]] = {name: {0: "n", 1: "t"} for name in INPUTS} | {"logits": {0: "n"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracing exporter is deprecated, and says so on every call
        torch.onnx.export(
            network, example, str(path), dynamo=False, input_names=list(INPUTS), output_names=["logits"],
            dynamic_axes=axes, opset_version=17, do_constant_folding=True,
        )  # fmt: skip


def quantise(source: Path, target: Path, heads: int, hidden: int) -> None:
    """Fuse attention and normalisation, then quantise to int8.

    Args:
        source: float32 model of ``export_onnx``.
        target: file to write.
        heads: attention heads of the encoder.
        hidden: its width.
    """
    options = FusionOptions("bert")
    options.enable_embed_layer_norm = False  # the fused node wants a float table; it is quantised below
    options.enable_gelu_approximation = False
    with TemporaryDirectory() as folder:
        fused = Path(folder) / "fused.onnx"
        optimized = optimizer.optimize_model(
            str(source), model_type="bert", num_heads=heads, hidden_size=hidden, optimization_options=options
        )
        optimized.save_model_to_file(str(fused))
        quantize_dynamic(
            fused, target, per_channel=True, weight_type=QuantType.QInt8,
            op_types_to_quantize=["MatMul", "Attention"],
            extra_options={"MatMulConstBOnly": True, "DefaultTensorType": TensorProto.FLOAT},
        )  # fmt: skip
    model = onnx.load(str(target))
    _quantise_embedding(model)
    onnx.save(model, str(target))


def _quantise_embedding(model: Any) -> None:
    """Replace the float token table by int8 rows and a scale per row."""
    graph = model.graph
    table = next((t for t in graph.initializer if t.name.endswith(_EMBEDDING)), None)
    if table is None:
        raise TrainingError(f"the exported graph has no {_EMBEDDING}: is the base model a BERT?")
    gather = next(node for node in graph.node if node.op_type == "Gather" and node.input[0] == table.name)
    values = numpy_helper.to_array(table)
    scale = np.maximum(np.abs(values).max(axis=1, keepdims=True) / 127.0, 1e-12).astype(np.float32)
    rows = np.clip(np.rint(values / scale), -127, 127).astype(np.int8)
    graph.initializer.remove(table)
    graph.initializer.extend(
        [numpy_helper.from_array(rows, "token_rows"), numpy_helper.from_array(scale, "token_scales")]
    )
    at = list(graph.node).index(gather)
    indices, output = gather.input[1], gather.output[0]
    graph.node.remove(gather)
    nodes = [
        helper.make_node("Gather", ["token_rows", indices], ["token_int8"], name="token_gather"),
        helper.make_node("Cast", ["token_int8"], ["token_float"], name="token_cast", to=TensorProto.FLOAT),
        helper.make_node("Gather", ["token_scales", indices], ["token_scale"], name="token_scale_gather"),
        helper.make_node("Mul", ["token_float", "token_scale"], [output], name="token_mul"),
    ]
    for offset, node in enumerate(nodes):
        graph.node.insert(at + offset, node)


def onnx_logits(
    path: Path,
    tokenizer: Tokenizer,
    examples: Sequence[Example],
    template: PairTemplate = PAIR_V1,
    threads: int = 1,
) -> NDArray[np.float32]:
    """Logits [n, outputs] of an ONNX model, for every head the largest over the windows of an example."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    owners, windows = [], []
    for i, found in enumerate(windows_of(examples, tokenizer, template)):
        owners += [i] * len(found)
        windows += found
    result: NDArray[np.float32] | None = None
    # One window at a time, as at run time: activations are quantised with one scale per call, so in a
    # batch a score would depend on its neighbours.
    for owner, window in zip(owners, windows, strict=True):
        batch = collate([Encoded(examples[owner], window)], template.pad_id, 0.0, 0.0)
        feed = {name: getattr(batch, name).numpy() for name in INPUTS}
        logits = np.asarray(session.run(["logits"], feed)[0], dtype=np.float32)
        if result is None:
            result = np.full((len(examples), logits.shape[1]), -np.inf, dtype=np.float32)
        result[owner] = np.maximum(result[owner], logits[0])
    return np.zeros((0, 0), np.float32) if result is None else result


def parity(float_logits: NDArray[np.float32], int8_logits: NDArray[np.float32]) -> Parity:
    """Compare the harm heads of two sets of logits [n, outputs]."""
    a, b = (1 / (1 + np.exp(-x[:, 0].astype(np.float64))) for x in (float_logits, int8_logits))
    gap = np.abs(a - b)
    return Parity(float(gap.mean()), float(gap.max()), float(((a > 0.5) != (b > 0.5)).mean()), len(gap))
