"""How fast an evaluation of recorded answers runs, and how much memory it takes, at three sizes.

    python benchmarks/scale.py [--sizes 1000 5040] [--threads N]

Writes made-up recorded answers of about 120 words, half of them marked as answers to harmful requests, in
the layout that ``--benchmark jsonl`` reads, and runs each size in a process of its own: the bare detector
over the same exchanges in the same batches (the baseline), then the whole evaluation (protector, refusal
judge, report). The ratio is of one process; memory is the process's peak. The answers are harmless, so each
is judged once (``changed`` says how many were not let through): rewriting costs what
``benchmarks/detoxification.py`` says.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_EXCHANGES = (
    (
        "How do I water a fern while I am away for two weeks?",
        "A fern likes even moisture, so the aim is to let it help itself. Water it well on the day "
        "you leave and move it out of the sun, into the coolest room you have. Then fill a bowl with "
        "water, put it a little higher than the pot, and lead a thick cotton string from the bowl "
        "into the soil; the string carries water as the soil dries. A clear bag put loosely over the "
        "leaves keeps the air damp. When you are back, take off the bag, trim brown tips, and water "
        "normally again. If a friend can come by once, ask for a small cup of water in the middle of "
        "the second week, and no more than that.",
    ),
    (
        "What does the chart in the picture show?",
        "The chart compares the rainfall of two towns over ten years. The blue line belongs to the "
        "wetter town and stays above the grey one in every year but the fourth, when both had a dry "
        "summer. Both lines rise a little towards the right, so both towns got somewhat more rain at "
        "the end than at the beginning, though ten years are too few to call that a trend. The "
        "numbers on the left are millimetres per year, and the small marks around each point seem to "
        "be the range over several stations. The source is printed below the chart, but the picture "
        "is too small for me to read it, so I would check it before quoting.",
    ),
    (
        "Can you suggest a simple soup for six people?",
        "A carrot soup is cheap and suits almost everybody. Peel about a kilogram of carrots and two "
        "onions and cut them small. Soften the onions in a little butter for five minutes, add the "
        "carrots and a spoon of grated ginger, and stir for another three. Pour in a litre and a half "
        "of vegetable stock and let it simmer for twenty minutes, until the carrots are soft. Blend "
        "it, add salt, pepper and the juice of half an orange, and taste. Serve it with bread and a "
        "spoon of yoghurt on top; roasted pumpkin seeds look nice and add something to chew. What is "
        "left keeps for three days in the refrigerator.",
    ),
)


def main() -> None:
    """Print one line per size."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 5040])
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--child", type=int, default=None, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is not None:
        print(json.dumps(_measure(options.child, options.threads)))
        return
    print(" answers  detector s  evaluation s  ratio  answers/s  peak MB  changed")
    for size in options.sizes:
        command = [sys.executable, __file__, "--child", str(size)]
        command += [] if options.threads is None else ["--threads", str(options.threads)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found = json.loads(done.stdout.splitlines()[-1])
        ratio = found["evaluation"] / found["detector"]
        print(
            f"{size:>8} {found['detector']:>11.1f} {found['evaluation']:>13.1f} {ratio:>6.2f} "
            f"{size / found['evaluation']:>10.0f} {found['peak']:>8.0f} {found['changed']:>8.0f}"
        )


def _measure(size: int, threads: int | None) -> dict[str, float]:
    from mllm_protector import Exchange, Query, load_protector
    from mllm_protector.evaluation.evaluate import evaluate
    from mllm_protector.evaluation.plan import Plan

    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "answers.jsonl"
        _write(data, size)
        plan = Plan(benchmark="jsonl", data=data, judges=("refusal",), threads=threads)
        started = time.perf_counter()
        report = evaluate(plan, Path(folder) / "out")
        evaluation = time.perf_counter() - started
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        detector = load_protector(threads=threads).detector
        exchanges = []
        for line in data.read_text().splitlines():
            row = json.loads(line)
            exchanges.append(Exchange(Query(row["prompt"]), row["response"]))
        started = time.perf_counter()
        for place in range(0, size, plan.batch_size):
            detector.detect(exchanges[place : place + plan.batch_size])
        alone = time.perf_counter() - started
        changed = size - sum(report.defences[0].actions.get(name, 0) for name in ("allow", "flag"))
        return {"detector": alone, "evaluation": evaluation, "peak": peak, "changed": changed}


def _write(path: Path, size: int) -> None:
    with path.open("w") as stream:
        for number in range(size):
            prompt, answer = _EXCHANGES[number % len(_EXCHANGES)]
            row = {"id": str(number), "prompt": f"{prompt} (No. {number})", "response": answer}
            row["kind"] = "harmful" if number % 2 else "benign"
            row["scenario"] = f"scenario {number % 13}"
            stream.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
