"""What guarding costs: the embedded detector against the bare network, memory, start-up, the paper's size.

    python benchmarks/latency.py [--threads N] [--repeat 7] [--quick] [--paper-size]

The limit is a bare onnxruntime session that runs the very same windows of token ids, one by one as the
detector does, and, for comparison, as one padded batch (faster on short texts with several threads,
but an int8 network then gives other scores; see the detector's docstring). Texts are synthetic words.
--paper-size adds a classifier of the shape of OpenLLaMA-3B with random weights on 128-token texts;
it needs torch and some 7 GB (bfloat16) or 14 GB (float32) of memory.
"""

from __future__ import annotations

import argparse
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

import numpy as np

from mllm_protector.backends.detectors.embedded import EmbeddedDetector
from mllm_protector.backends.detectors.pair_model import PairModel, default_threads
from mllm_protector.checkpoints import EMBEDDED
from mllm_protector.prompts import Window, fit_segment_a, pair_windows
from mllm_protector.types import Exchange, Query

_WORDS = (
    "park",
    "river",
    "old",
    "house",
    "green",
    "paper",
    "music",
    "table",
    "small",
    "window",
    "garden",
    "train",
)
_PROMPT = "What is in the picture?"
_FEEDS = ("input_ids", "attention_mask", "token_type_ids")

_MEMORY = """
from mllm_protector.backends.detectors.embedded import EmbeddedDetector
from mllm_protector.types import Exchange, Query
detector = EmbeddedDetector(threads={threads})
detector.detect([Exchange(Query("What is it?"), {text!r})] * 8)
detector.detect([Exchange(Query("What is it?"), {text!r} * 50)])
lines = open("/proc/self/status").read().splitlines()  # ru_maxrss would count the parent's memory at the fork
print(next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024)
"""
_IMPORT = "import time; t = time.perf_counter(); import mllm_protector; print(time.perf_counter() - t)"
_LOAD = """
import time
t = time.perf_counter()
from mllm_protector.backends.detectors.embedded import EmbeddedDetector
u = time.perf_counter()
EmbeddedDetector()
print(u - t, time.perf_counter() - u)
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=default_threads())
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="leave out batches of 64")
    parser.add_argument("--paper-size", action="store_true")
    chosen = parser.parse_args(arguments)
    against_bare_session(chosen.threads, chosen.repeat, [1, 8] if chosen.quick else [1, 8, 64])
    start_up(chosen.threads)
    if chosen.paper_size:
        paper_size(chosen.threads)


def against_bare_session(threads: int, repeat: int, sizes: Sequence[int]) -> None:
    """Print the table of detector and bare session."""
    detector = EmbeddedDetector(threads=threads)
    # The detector's own session: of two, the idle one's threads would spin on the other's processors.
    model = detector._model
    session = model._session
    print(f"{threads} threads, medians in milliseconds; ratio: detector to bare, median of pairs\n")
    print(
        f"{'exchanges':>9}{'tokens':>8}{'bare':>10}{'detector':>10}{'ratio':>8}",
        f"{'padded batch':>13}{'flagged':>9}",
    )
    for tokens in (32, 128, 512):
        for size in sizes:
            exchanges = [Exchange(Query(_PROMPT), text) for text in texts(model, tokens, size)]
            windows = [window for exchange in exchanges for window in windows_of(model, exchange)]
            singles, batch = [feed([window]) for window in windows], feed(windows)
            taken = interleaved(
                [
                    lambda singles=singles: [session.run(None, one) for one in singles],
                    lambda exchanges=exchanges: detector.detect(exchanges),
                    lambda batch=batch: session.run(None, batch),
                ],
                max(repeat, 320 // size // (tokens // 32)),
            )
            bare, ours, padded = (statistics.median(times) for times in taken)
            ratio = statistics.median(b / a for a, b in zip(taken[0], taken[1], strict=True))
            flagged = sum(bool(found.spans) for found in detector.detect(exchanges))
            print(
                f"{size:9}{tokens:8}{bare * 1e3:10.1f}{ours * 1e3:10.1f}{ratio:8.2f}",
                f"{padded * 1e3:13.1f}{flagged:9}",
                flush=True,
            )


def texts(model: PairModel, tokens: int, size: int) -> list[str]:
    """``size`` different texts that make inputs of ``tokens`` tokens in all, prompt and specials included."""
    rng = random.Random(tokens)
    room = tokens - 3 - len(model.token_ids([_PROMPT])[0])
    return [" ".join(rng.choice(_WORDS) for _ in range(room)) for _ in range(size)]


def windows_of(model: PairModel, exchange: Exchange) -> list[Window]:
    """The windows that the detector makes of an exchange."""
    request, response = model.token_ids([exchange.query.prompt, exchange.response])
    template = model.manifest.template
    return pair_windows(fit_segment_a([], request, [], template), response, template)


def feed(windows: Sequence[Window]) -> dict[str, np.ndarray]:
    """The inputs of some windows as one batch, padded to the longest."""
    longest = max(len(window.input_ids) for window in windows)
    inputs = {name: np.zeros((len(windows), longest), dtype=np.int64) for name in _FEEDS}
    for row, window in enumerate(windows):
        size = len(window.input_ids)
        inputs["input_ids"][row, :size] = window.input_ids
        inputs["attention_mask"][row, :size] = 1
        inputs["token_type_ids"][row, :size] = window.token_type_ids
    return inputs


def interleaved(calls: Sequence[Callable[[], object]], repeat: int) -> list[list[float]]:
    """Seconds of each call in every round, taken in turn so that a disturbance meets all alike."""
    taken: list[list[float]] = [[] for _ in calls]
    for round_ in range(repeat + 1):
        for call, times in zip(calls, taken, strict=True):
            began = time.perf_counter()
            call()
            if round_:
                times.append(time.perf_counter() - began)
    return taken


def start_up(threads: int) -> None:
    """Print memory, import, load and cold command-line times, each of fresh processes."""
    text = " ".join(_WORDS * 30)
    megabytes = fresh(_MEMORY.format(threads=threads, text=text))[0]
    print(f"\npeak memory, 8 responses of 480 tokens and one of 24,000: {megabytes:.0f} MB")
    print(f"import mllm_protector: {median_of(_IMPORT, 0) * 1e3:.0f} ms")
    print(f"detector: import {median_of(_LOAD, 0) * 1e3:.0f} ms, load {median_of(_LOAD, 1) * 1e3:.0f} ms")
    command = [sys.executable, "-m", "mllm_protector", "check", "--prompt", _PROMPT, "--response", "A park."]
    times = []
    for _ in range(5):
        began = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        times.append(time.perf_counter() - began)
    print(f"cold check of one exchange: {statistics.median(times):.2f} s (exit code {done.returncode})")


def fresh(code: str) -> list[float]:
    """The numbers that a new Python process prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return [float(word) for word in done.stdout.split()]


def median_of(code: str, which: int, repeat: int = 5) -> float:
    """Median of one of the numbers over several fresh processes."""
    return statistics.median(fresh(code)[which] for _ in range(repeat))


def paper_size(threads: int) -> None:
    """Print how long a 26-layer, 3200-wide LLaMA classifier takes for 128 tokens, and the detector."""
    import torch
    from transformers import LlamaConfig, LlamaForSequenceClassification

    torch.set_num_threads(threads)
    config = LlamaConfig(
        hidden_size=3200,
        intermediate_size=8640,
        num_hidden_layers=26,
        num_attention_heads=32,
        vocab_size=32000,
        num_labels=1,
        pad_token_id=0,
    )
    detector = EmbeddedDetector(threads=threads)
    exchange = Exchange(Query(_PROMPT), texts(PairModel(EMBEDDED), 128, 1)[0])
    ids = torch.randint(1, 32000, (1, 128))
    print()
    for kind in (torch.bfloat16, torch.float32):
        name = str(kind).removeprefix("torch.")
        try:
            with torch.device("meta"):
                model = LlamaForSequenceClassification(config).to(kind).eval()
            model = model.to_empty(device="cpu")
            with torch.no_grad():
                for tensor in (*model.parameters(), *model.buffers()):
                    tensor.fill_(0.01)  # speed does not depend on the values
            with torch.inference_mode():
                calls = [lambda model=model: model(input_ids=ids), lambda: detector.detect([exchange])]
                large, ours = interleaved(calls, 5)
            ratio = statistics.median(a / b for a, b in zip(large, ours, strict=True))
            print(
                f"OpenLLaMA-3B shape in {name}, 128 tokens: {statistics.median(large):.2f} s;",
                f"the detector {statistics.median(ours) * 1e3:.1f} ms, {ratio:.0f} x faster",
                flush=True,
            )
        except (RuntimeError, MemoryError) as error:
            print(f"OpenLLaMA-3B shape in {name}: not measured: {' '.join(str(error).split())[:100]}")
        model = None


if __name__ == "__main__":
    main()
