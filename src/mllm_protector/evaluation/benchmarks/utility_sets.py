"""Utility: MM-Vet, and visual question answering with short answers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mllm_protector.data.jsonl import parse_object, read_lines
from mllm_protector.errors import InputError, RecordError
from mllm_protector.evaluation.benchmarks.benchmark import Card, SingleTable, first_path, read_json, text_of
from mllm_protector.evaluation.samples import Kind, Sample

__all__ = ["VQA", "MMVet"]


class MMVet(SingleTable):
    """Yu et al. 2024."""

    card = Card(
        name="mm-vet",
        title="MM-Vet",
        citation="Yu et al. 2024, ICML, arXiv 2308.02490",
        url="https://github.com/yuweihao/MM-Vet",
        licence="for non-commercial research, terms in LICENSE_DATASET",
        layout="mm-vet.json and images/ (unpacked mm-vet.zip)",
        modalities=("image",),
        expected=MappingProxyType({"image": 218}),
        note="Graded from 0 to 1 by an LLM in the paper; without one, by whether the accepted words are "
        "found.",
    )

    def samples(self, folder: Path, /) -> Iterator[Sample]:
        """Yield the questions; the scenario is the set of capabilities, such as ``ocr+math``."""
        table = first_path(self.card, folder, ("mm-vet.json",))
        rows = read_json(table, self.card)
        if not isinstance(rows, dict):
            raise InputError(f"mm-vet: {table} holds no object of questions; download it again")
        for key, row in rows.items():
            fields = row if isinstance(row, dict) else {}
            answer, image = text_of(fields, "answer"), text_of(fields, "imagename")
            capabilities = fields.get("capability")
            yield Sample(
                id=str(key),
                prompt=text_of(fields, "question"),
                kind=Kind.UTILITY,
                images=(table.parent / "images" / image,) if image else (),
                scenario="+".join(map(str, capabilities)) if isinstance(capabilities, list) else "",
                modality="image",
                criteria="correct",
                references=(answer,) if answer else (),
                fault="" if answer else "no accepted answer",
            )


class VQA(SingleTable):
    """Any set with short answers: VQAv2 as published, or JSON lines."""

    card = Card(
        name="vqa",
        title="visual question answering",
        citation="VQAv2: Goyal et al. 2017, CVPR, arXiv 1612.00837",
        url="https://visualqa.org/download.html",
        licence="annotations CC BY 4.0, images under COCO's terms",
        layout="*_OpenEnded_*_questions.json, *_annotations.json and val2014/, or one file of JSON lines "
        "with "
        "id, question, image and answers",
        modalities=("image",),
    )

    def samples(self, folder: Path, /) -> Iterator[Sample]:
        """Yield the questions with all their accepted answers."""
        if folder.is_file():
            yield from self._lines(folder)
            return
        questions = sorted(folder.glob("*questions.json"))
        lines = sorted(folder.glob("*.jsonl"))
        if questions:
            yield from self._official(folder, questions[0])
        elif lines:
            yield from self._lines(lines[0])
        else:
            raise self.card.missing(folder / "v2_OpenEnded_mscoco_val2014_questions.json")

    def _official(self, folder: Path, path: Path) -> Iterator[Sample]:
        annotations = next(iter(sorted(folder.glob("*annotations.json"))), folder / "annotations.json")
        loaded = read_json(annotations, self.card)
        accepted = {row["question_id"]: _answers(row) for row in loaded.get("annotations", ())}
        document = read_json(path, self.card)
        split = str(document.get("data_subtype", "val2014"))
        for row in document.get("questions", ()):
            image = folder / split / f"COCO_{split}_{row['image_id']:012d}.jpg"
            answers = accepted.get(row["question_id"], ())
            yield _question(str(row["question_id"]), text_of(row, "question"), (image,), answers)

    def _lines(self, path: Path) -> Iterator[Sample]:
        with path.open("rb") as stream:
            for line in read_lines(stream):
                if line.blank:
                    continue
                try:
                    row: dict[str, Any] = parse_object(line)
                except RecordError as error:
                    yield Sample(id=f"line-{line.number}", prompt="", kind=Kind.UTILITY, fault=str(error))
                    continue
                key = str(row.get("id", row.get("question_id", f"line-{line.number}")))
                image = text_of(row, "image")
                images = (path.parent / image,) if image else ()
                yield _question(key, text_of(row, "question") or text_of(row, "text"), images, _answers(row))


def _question(key: str, prompt: str, images: tuple[Path, ...], answers: tuple[str, ...]) -> Sample:
    return Sample(
        id=key,
        prompt=prompt,
        kind=Kind.UTILITY,
        images=images,
        modality="image" if images else "text",
        criteria="correct",
        references=answers,
        fault="" if answers else "no accepted answer",
    )


def _answers(row: dict[str, Any]) -> tuple[str, ...]:
    """Return the accepted answers: ten people's in VQAv2, or a list, or one."""
    value = row.get("answers", row.get("answer"))
    given = value if isinstance(value, list) else [] if value is None else [value]
    words = [item.get("answer") if isinstance(item, dict) else item for item in given]
    return tuple(str(word) for word in words if word is not None and str(word).strip())
