"""How long ``data check`` takes and what it finds, on invented records with known duplicates; one core.

    python benchmarks/hygiene.py --records 100000

Of the records 5 % are exact copies of others and 10 % have one word of the answer changed; the evaluation set
holds the questions of 1 % of the originals. Memory is the process's peak; the records lie in a file only.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from mllm_protector.data.duplicates import Verdict
from mllm_protector.data.hygiene import examine

EXACT, NEAR, LEAKED = 0.05, 0.10, 0.01
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
VOCABULARY = ["".join(random.Random(n).choices(_LETTERS, k=2 + n % 8)) for n in range(8000)]


def original(number: int, words: int) -> tuple[list[str], list[str], bool]:
    """A question of about 14 words, an answer, and a label."""
    rng = random.Random(number)
    question, answer = (rng.choices(VOCABULARY, k=rng.randint(m // 2, m * 3 // 2)) for m in (14, words))
    return question, answer, rng.random() < 0.5


def rows(count: int, words: int) -> Iterator[tuple[list[str], list[str], bool]]:
    """The originals, then exact copies of some, then near copies of others."""
    originals = count - int(count * EXACT) - int(count * NEAR)
    for number in range(originals):
        yield original(number, words)
    rng = random.Random("copies")
    for number in range(count - originals):
        question, answer, label = original(rng.randrange(originals), words)
        if number >= int(count * EXACT):
            answer[rng.randrange(len(answer))] = rng.choice(VOCABULARY)
        yield question, answer, label


def main() -> None:
    """Write records, look them through, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--words", type=int, default=90, help="of a response, on average")
    arguments = parser.parse_args()
    count, leaked = arguments.records, int(arguments.records * LEAKED)
    with tempfile.TemporaryDirectory() as folder:
        path, test_set = Path(folder) / "records.jsonl", Path(folder) / "test.jsonl"
        with path.open("w") as file:
            for question, answer, label in rows(count, arguments.words):
                row = {"prompt": " ".join(question), "response": " ".join(answer), "harmful": label}
                file.write(json.dumps(row) + "\n")
        with test_set.open("w") as file:
            for number in range(leaked):
                file.write(json.dumps({"prompt": " ".join(original(number, arguments.words)[0])}) + "\n")
        runs: tuple[tuple[str, dict[str, Path]], ...] = (
            ("duplicates", {}),
            ("duplicates and leaks", {"test": test_set}),
        )
        for name, against in runs:
            started = time.perf_counter()
            found = examine([str(path)], against=against)
            took = time.perf_counter() - started
            verdicts = ", ".join(f"{v.name.lower()} {found.count(v)}" for v in Verdict)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(f"{name}: {count} records in {took:.1f} s, peak {peak:.0f} MB ({verdicts})")
    print(f"written: exact {int(count * EXACT)}, near {int(count * NEAR)}, leaked questions {leaked}")


if __name__ == "__main__":
    main()
