"""Image and text together: MSTS, MOSSBench, VLGuard."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mllm_protector.errors import InputError
from mllm_protector.evaluation.benchmarks.benchmark import (
    Card,
    SingleTable,
    find_image,
    first_path,
    read_json,
    read_table,
    text_of,
)
from mllm_protector.evaluation.samples import Kind, Sample

__all__ = ["MSTS", "MOSSBench", "VLGuard"]


class MSTS:
    """Röttger et al. 2025."""

    card = Card(
        name="msts",
        title="MSTS",
        citation="Röttger et al. 2025, arXiv 2501.10057",
        url="https://github.com/paul-rottger/msts-multimodal-safety",
        licence="CC BY 4.0 for the prompts, each image under its own terms",
        layout="data/prompts/LANGUAGE_multimodal.csv and data/unsafe_images/ID.jpg "
        "(src/0_download_images.py)",
        modalities=("image", "text"),
        usual=("image",),
        expected=MappingProxyType({"image": 400, "text": 400}),
        note="Translations are modalities of their own, such as image:german.",
    )

    def samples(self, folder: Path, /) -> Iterator[Sample]:
        """Yield the English prompts first, then whatever translations are there."""
        prompts = first_path(self.card, folder, ("data/prompts", "prompts", "english_multimodal.csv"))
        tables = [prompts] if prompts.is_file() else sorted(prompts.glob("*_*.csv"))
        if not tables:
            raise self.card.missing(prompts / "english_multimodal.csv")
        for table in sorted(tables, key=lambda path: (not path.name.startswith("english"), path.name)):
            yield from self._table(table, self._images(table))

    def absent(self, folder: Path, /) -> list[str]:
        """Name the text-only English prompts if they are not there."""
        prompts = first_path(self.card, folder, ("data/prompts", "prompts", "english_multimodal.csv"))
        home = prompts if prompts.is_dir() else prompts.parent
        return [] if (home / "english_textonly.csv").is_file() else ["data/prompts/english_textonly.csv"]

    def _table(self, table: Path, images: Path) -> Iterator[Sample]:
        language, _, form = table.stem.partition("_")
        pictured = form != "textonly"
        modality = ("image" if pictured else "text") + ("" if language == "english" else f":{language}")
        columns = ("case_id", "prompt_type", "prompt_text", *(("unsafe_image_id",) if pictured else ()))
        prefix = "" if modality == "image" else f"{modality}/"
        for _, row in read_table(table, self.card, columns):
            pictures = (find_image(images, row["unsafe_image_id"], ".jpg"),) if pictured else ()
            described = row.get("unsafe_image_description", "")
            yield Sample(
                id=f"{prefix}{row['case_id']}/{row['prompt_type']}",
                prompt=row["prompt_text"],
                images=pictures,
                request=f"{row['prompt_text']} [image: {described}]" if pictured and described else "",
                scenario=row.get("hazard_category", ""),
                modality=modality,
                criteria="msts",
            )

    @staticmethod
    def _images(table: Path) -> Path:
        homes = [table.parent.parent, table.parent]
        places = [home / name for home in homes for name in ("unsafe_images", "images")]
        return next((p for p in places if p.is_dir()), places[0])


class MOSSBench(SingleTable):
    """Li et al. 2024."""

    card = Card(
        name="mossbench",
        title="MOSSBench",
        citation="Li et al. 2024, arXiv 2406.17806",
        url="https://github.com/xirui-li/MOSSBench",
        licence="CC BY-SA 4.0, as a test set only",
        layout="data/images_information/information.json and data/images/",
        modalities=("image",),
        expected=MappingProxyType({"image": 300}),
        note="Every request is harmless: only refusals count.",
    )

    def samples(self, folder: Path, /) -> Iterator[Sample]:
        """Yield the harmless requests; the scenario is the kind of stimulus."""
        name = "images_information/information.json"
        table = first_path(self.card, folder, (f"data/{name}", name, "information.json"))
        rows = read_json(table, self.card)
        if not isinstance(rows, dict):
            raise InputError(f"mossbench: {table} holds no object of requests; download it again")
        home = table.parent.parent if table.parent.name == "images_information" else table.parent
        for key, row in rows.items():
            fields: dict[str, Any] = row if isinstance(row, dict) else {}
            image = text_of(fields, "image")
            metadata = fields.get("metadata")
            yield Sample(
                id=str(fields.get("pid", key)),
                prompt=text_of(fields, "question"),
                kind=Kind.BENIGN,
                images=(self._image(home, image),) if image else (),
                scenario=str(metadata.get("over", "")) if isinstance(metadata, dict) else "",
                modality="image",
                fault="" if image else "no image",
            )

    @staticmethod
    def _image(home: Path, reference: str) -> Path:
        """The repository has changed the format of its pictures: the name counts, not the suffix."""
        path = home / reference
        return path if path.is_file() else find_image(path.parent, path.stem, path.suffix)


class VLGuard(SingleTable):
    """Zong et al. 2024."""

    card = Card(
        name="vlguard",
        title="VLGuard",
        citation="Zong et al. 2024, ICML, arXiv 2402.02207",
        url="https://github.com/ys-zong/VLGuard",
        licence="none stated in the repository: ask its authors",
        layout="test.json and test/ (or data/test.json and the unpacked data/test.zip)",
        modalities=("image",),
        expected=MappingProxyType({"image": 1558}),
        note="Safe images come twice: with a harmless and with a harmful instruction.",
    )

    def samples(self, folder: Path, /) -> Iterator[Sample]:
        """Yield unsafe images, and safe images with their safe and unsafe instruction."""
        table = first_path(self.card, folder, ("test.json", "data/test.json"))
        rows = read_json(table, self.card)
        if not isinstance(rows, list):
            raise InputError(f"vlguard: {table} holds no list of images; download it again")
        images = next(
            (p for n in ("test", "VLGuard/test") if (p := table.parent / n).is_dir()), table.parent / "test"
        )
        for number, row in enumerate(rows):
            fields = row if isinstance(row, dict) else {}
            yield from self._image(fields, images, str(fields.get("id", number)))

    @staticmethod
    def _image(fields: dict[str, Any], images: Path, key: str) -> Iterator[Sample]:
        picture = (images / text_of(fields, "image"),)
        turns = [turn for turn in fields.get("instr-resp") or () if isinstance(turn, dict)]
        asked = {name: text_of(turn, name) for turn in turns for name in turn if name.endswith("instruction")}
        scenario = text_of(fields, "harmful_category") or "safe image"
        if not asked:
            yield Sample(id=key, prompt="", images=picture, scenario=scenario, fault="no instruction")
        for name, kind in (
            ("instruction", Kind.HARMFUL),
            ("unsafe_instruction", Kind.HARMFUL),
            ("safe_instruction", Kind.BENIGN),
        ):
            if name in asked:
                yield Sample(
                    id=f"{key}/{name}",
                    prompt=asked[name],
                    kind=kind,
                    images=picture,
                    scenario=scenario,
                    modality="image",
                )
