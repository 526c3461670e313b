"""Float weights of a model that ships as int8, so that training can go on from the package alone.

    python -m mllm_protector.training.embedded.recover --base DIR --out DIR [--model FILE]

Each int8 weight times its scale is within half a step of the float weight it came from: what is lost is what
quantisation lost. Reads the graphs of ``export.quantise``: fused attention, integer products, embeddings.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor

from mllm_protector.checkpoints import EMBEDDED, MODEL
from mllm_protector.errors import TrainingError
from mllm_protector.training.embedded.detector import WEIGHTS
from mllm_protector.training.embedded.network import PairClassifier

__all__ = ["recover"]

Arrays = Mapping[str, NDArray[Any]]
_EMBEDDINGS = "encoder.embeddings.word_embeddings.weight"


def recover(model: Path, network: PairClassifier) -> PairClassifier:
    """Load the weights of an int8 ONNX file into ``network``, in place.

    Raises:
        TrainingError: the file is no graph of ``export.quantise``, or of another size than the network.
    """
    try:
        graph = onnx.load(str(model)).graph
    except (OSError, ValueError) as error:
        raise TrainingError(
            f"{model} cannot be read as ONNX ({error}): give the model.onnx of a release"
        ) from error
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    try:
        state = _plain(arrays) | _products(graph, arrays) | _attention(graph, arrays)
        network.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in state.items()})
    except (KeyError, RuntimeError, ValueError, IndexError) as error:
        why = " ".join(str(error).split())[:200]
        raise TrainingError(f"{model} is no release that was made from this base: {why}") from error
    return network


def _plain(arrays: Arrays) -> dict[str, NDArray[Any]]:
    """What was left in float under its own name, and the embeddings: one scale per row."""
    kept = {
        name: a
        for name, a in arrays.items()
        if name.startswith(("encoder.", "heads.")) and name.endswith(("weight", "bias"))
    }
    rows: NDArray[Any] = arrays["token_rows"].astype(np.float32) * arrays["token_scales"]
    return kept | {_EMBEDDINGS: rows}


def _products(graph: Any, arrays: Arrays) -> dict[str, NDArray[Any]]:
    """Every layer multiplies three times outside its attention, in this order; the heads come last."""
    names = [
        node.input[1].removesuffix("_quantized") for node in graph.node if node.op_type == "MatMulInteger"
    ]
    parts = ("attention.output.dense", "intermediate.dense", "output.dense")
    state = {
        f"encoder.encoder.layer.{i // 3}.{parts[i % 3]}.weight": _float(arrays, name).T
        for i, name in enumerate(names[:-1])
    }
    return state | {"heads.weight": _float(arrays, names[-1]).T}


def _attention(graph: Any, arrays: Arrays) -> dict[str, NDArray[Any]]:
    """Query, key and value of a layer are one fused product."""
    state: dict[str, NDArray[Any]] = {}
    for layer, node in enumerate(n for n in graph.node if n.op_type == "QAttention"):
        fused = _float(arrays, node.input[1].removesuffix("_quantized"))
        at = f"encoder.encoder.layer.{layer}.attention.self"
        parts = zip(
            ("query", "key", "value"),
            np.split(fused, 3, axis=1),
            np.split(arrays[node.input[2]], 3),
            strict=True,
        )
        for part, weight, bias in parts:
            state |= {f"{at}.{part}.weight": weight.T, f"{at}.{part}.bias": bias}
    return state


def _float(arrays: Arrays, name: str) -> NDArray[Any]:
    steps = arrays[name + "_quantized"].astype(np.float32) - arrays[name + "_zero_point"].astype(np.float32)
    result: NDArray[Any] = steps * arrays[name + "_scale"]
    return result


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line: write ``weights.pt`` of a run to ``--out``, to be named by ``--start``."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--base", type=Path, required=True, help="folder of the base model")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", type=Path, default=EMBEDDED / MODEL)
    options = parser.parse_args(arguments)
    state: dict[str, Tensor] = recover(options.model, PairClassifier.from_base(options.base)).state_dict()
    options.out.mkdir(parents=True, exist_ok=True)
    torch.save(state, options.out / WEIGHTS)


if __name__ == "__main__":
    main()
