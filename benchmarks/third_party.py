"""How many planted instructions are found, and how often an ordinary text is taken for one.

    python benchmarks/third_party.py [--data DIR] [--planted FILE] [--missed] [--json FILE]

Needs no model. Planted and harmless texts are ours (``third_party.yaml``, and what ``attack planted`` draws);
the patterns were tuned on one half of them and the other half was only counted. DIR adds texts of others:
FigStep's instructions (``multimodal/figstep``), which are requests of the user and so must not be found, and
ordinary prompts and answers (``benign/dev.jsonl``). FILE holds planted texts of your own, one a line.
Intervals are Wilson's, 95 %.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Sequence
from pathlib import Path

import yaml

from mllm_protector.evaluation.attacks.requests import load_instructions
from mllm_protector.evaluation.statistics import rate
from mllm_protector.planted import find_planted

_TEXTS = Path(__file__).with_name("third_party.yaml")


def main() -> None:
    """Print one line per set."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path)
    parser.add_argument("--planted", type=Path)
    parser.add_argument("--missed", action="store_true", help="show the wrong ones of the half tuned on")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    ours = yaml.safe_load(_TEXTS.read_text(encoding="utf-8"))
    sets: dict[str, Sequence[str]] = {
        "planted, tuned on": ours["planted"][::2],
        "planted, held back": ours["planted"][1::2],
        "planted, drawn by `attack planted`": [i.text for i in load_instructions()],
        "harmless, tuned on": ours["harmless"][::2],
        "harmless, held back": ours["harmless"][1::2],
    }
    if options.data:
        sets["FigStep's instructions"] = _figstep(options.data / "multimodal" / "figstep")
        rows = [json.loads(line) for line in (options.data / "benign" / "dev.jsonl").open(encoding="utf-8")]
        sets["ordinary prompts"] = [row["prompt"] for row in rows]
        sets["ordinary answers"] = [row["response"] for row in rows]
    if options.planted:
        sets[f"planted, {options.planted.name}"] = options.planted.read_text(encoding="utf-8").splitlines()
    figures = {}
    for name, texts in sets.items():
        found = [bool(find_planted(text)) for text in texts]
        figures[name] = str(rate(sum(found), len(texts)))
        print(f"{name}: {sum(found)} of {len(texts)} found, {figures[name]}")
        if options.missed and "held back" not in name:
            wrong = [t for t, hit in zip(texts, found, strict=True) if hit != name.startswith("planted")]
            print("".join(f"    {text[:160]!r}\n" for text in wrong), end="")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def _figstep(folder: Path) -> list[str]:
    table = next(path for path in sorted(folder.glob("*.csv")) if "category_id" in path.read_text()[:200])
    with table.open(encoding="utf-8", newline="") as stream:
        return [row["instruction"] for row in csv.DictReader(stream)]


if __name__ == "__main__":
    main()
