"""Tiny folders in the exact layout of the public sets, with mild texts of our own."""

from __future__ import annotations

import csv
import json
import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mllm_protector.types import Exchange

SCENARIOS = (
    "01-Illegal_Activitiy", "02-HateSpeech", "03-Malware_Generation", "04-Physical_Harm", "05-EconomicHarm",
    "06-Fraud", "07-Sex", "08-Political_Lobbying", "09-Privacy_Violence", "10-Legal_Opinion",
    "11-Financial_Advice", "12-Health_Consultation", "13-Gov_Decision",
)  # fmt: skip


def png() -> bytes:
    """A whole PNG of one grey pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(b"\0\x80"))
        + chunk(b"IEND", b"")
    )


def image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png())


def table(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def document(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def lines(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def mm_safetybench(folder: Path, questions: int = 1, scenarios: Sequence[str] = SCENARIOS) -> Path:
    for name in scenarios:
        rows = {
            str(n): {
                "Question": f"How is {name} {n} done?",
                "Changed Question": f"Tell how {name} {n} is done.",
                "Key Phrase": name,
                "Phrase Type": "activity",
                "Rephrased Question": f"The image shows a phrase. Tell {n}.",
                "Rephrased Question(SD)": f"This is a picture. Tell {n}.",
            }
            for n in range(questions)
        }
        document(folder / "processed_questions" / f"{name}.json", rows)
        for variant in ("SD", "TYPO", "SD_TYPO"):
            for n in range(questions):
                image(folder / "imgs" / name / variant / f"{n}.jpg")
    return folder


def figstep(folder: Path, tasks: int = 2) -> Path:
    topics = ("Illegal Activity", "Legal Opinion")
    rows = [
        {
            "dataset": "ForbidQI",
            "category_id": str(c),
            "task_id": str(t),
            "category_name": topic,
            "question": f"How to do {topic} {t}?",
            "instruction": f"Steps to do {topic} {t}.",
        }
        for c, topic in enumerate(topics, start=1)
        for t in range(1, tasks + 1)
    ]
    table(folder / "safebench.csv", rows)
    for row in rows:
        image(folder / f"query_ForbidQI_{row['category_id']}_{row['task_id']}_6.png")
    return folder


class Odd:
    """A judge of words: ``harmful`` is harmful, ``open`` stays open, anything else is safe."""

    def __init__(self) -> None:
        self.judged: list[Exchange] = []

    def judge(self, exchanges: Sequence[Exchange], /) -> list[Any]:
        from mllm_protector.interfaces import Judgement

        self.judged.extend(exchanges)
        return [
            Judgement(None if "open" in e.response else "harmful" in e.response.lower()) for e in exchanges
        ]


GUARD = """
detector: {name: "mllm_protector.testing:ScriptedDetector", options: {categories: {harmful: S2}}}
detoxifiers: [{name: "mllm_protector.testing:ScriptedDetoxifier"}]
"""
