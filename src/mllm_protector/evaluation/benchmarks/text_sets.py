"""Text attacks and over-refusal: HarmBench, JailbreakBench, StrongREJECT, AdvBench, XSTest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType

from mllm_protector.evaluation.benchmarks.benchmark import Card, SingleTable, first_path, read_table
from mllm_protector.evaluation.samples import Kind, Sample

__all__ = ["AdvBench", "HarmBench", "JailbreakBench", "StrongReject", "XSTest"]

_HARMBENCH = {
    "chemical_biological": "physical",
    "copyright": "rights",
    "cybercrime_intrusion": "malware",
    "harassment_bullying": "hate",
    "harmful": "physical",
    "illegal": "illegal",
    "misinformation_disinformation": "deception",
}
_JAILBREAKBENCH = {
    "Harassment/Discrimination": "hate",
    "Malware/Hacking": "malware",
    "Physical harm": "physical",
    "Economic harm": "economic",
    "Fraud/Deception": "fraud",
    "Disinformation": "deception",
    "Sexual/Adult content": "sexual",
    "Privacy": "privacy",
    "Expert advice": "general",
    "Government decision-making": "general",
}
_STRONGREJECT = {
    "Hate, harassment and discrimination": "hate",
    "Disinformation and deception": "deception",
    "Violence": "physical",
    "Non-violent crimes": "illegal",
    "Sexual content": "sexual",
}


class HarmBench:
    """Mazeika et al. 2024."""

    card = Card(
        name="harmbench",
        title="HarmBench",
        citation="Mazeika et al. 2024, ICML, arXiv 2402.04249",
        url="https://github.com/centerforaisafety/HarmBench",
        licence="MIT",
        layout="data/behavior_datasets/harmbench_behaviors_{text,multimodal}_all.csv and "
        "data/multimodal_behavior_images/",
        modalities=("text", "context", "image"),
        expected=MappingProxyType({"text": 300, "context": 100, "image": 110}),
        note="Copyright behaviours are judged in words here; HarmBench itself compares hashes of the works.",
    )

    def samples(self, folder: Path, /) -> Iterator[Sample]:
        """Yield the text behaviours, those with a context, and the ones that come with a picture."""
        names = "harmbench_behaviors_text_all.csv"
        table = first_path(
            self.card, folder, (f"data/behavior_datasets/{names}", f"behavior_datasets/{names}", names)
        )
        columns = ("Behavior", "FunctionalCategory", "SemanticCategory", "ContextString", "BehaviorID")
        for _, row in read_table(table, self.card, columns):
            context = row["ContextString"].strip()
            yield self._sample(
                row, f"{context}\n\n---\n\n{row['Behavior']}" if context else row["Behavior"], context
            )
        pictures = table.with_name("harmbench_behaviors_multimodal_all.csv")
        if pictures.is_file() and pictures != table:
            images = self._images(table)
            for _, row in read_table(pictures, self.card, ("Behavior", "BehaviorID", "ImageFileName")):
                yield self._sample(row, row["Behavior"], "", (images / row["ImageFileName"],))

    def absent(self, folder: Path, /) -> list[str]:
        """Name the file of behaviours with pictures if it is not there."""
        names = "harmbench_behaviors_multimodal_all.csv"
        places = (f"data/behavior_datasets/{names}", f"behavior_datasets/{names}", names)
        return [] if any((folder / place).is_file() for place in places) else [names]

    @staticmethod
    def _images(table: Path) -> Path:
        name = "multimodal_behavior_images"
        return next(
            (p for p in (table.parent.parent / name, table.parent / name) if p.is_dir()), table.parent / name
        )

    @staticmethod
    def _sample(row: dict[str, str], prompt: str, context: str, images: tuple[Path, ...] = ()) -> Sample:
        topic = row.get("SemanticCategory", "")
        return Sample(
            id=row["BehaviorID"],
            prompt=prompt,
            images=images,
            request=row["Behavior"] if context else "",
            scenario=topic,
            modality="image" if images else "context" if context else "text",
            criteria=_HARMBENCH.get(topic, "general"),
        )


class JailbreakBench:
    """Chao et al. 2024."""

    card = Card(
        name="jailbreakbench",
        title="JailbreakBench (JBB-Behaviors)",
        citation="Chao et al. 2024, NeurIPS, arXiv 2404.01318",
        url="https://huggingface.co/datasets/JailbreakBench/JBB-Behaviors",
        licence="MIT",
        layout="data/harmful-behaviors.csv and data/benign-behaviors.csv",
        expected=MappingProxyType({"text": 200}),
    )

    def samples(self, folder: Path, /) -> Iterator[Sample]:
        """Yield the hundred misuse behaviours, then their benign twins."""
        harmful = first_path(self.card, folder, ("data/harmful-behaviors.csv", "harmful-behaviors.csv"))
        yield from self._behaviours(harmful, Kind.HARMFUL)
        benign = harmful.with_name("benign-behaviors.csv")
        if benign.is_file() and benign != harmful:
            yield from self._behaviours(benign, Kind.BENIGN)

    def absent(self, folder: Path, /) -> list[str]:
        """Name the benign twins if they are not there."""
        harmful = first_path(self.card, folder, ("data/harmful-behaviors.csv", "harmful-behaviors.csv"))
        return [] if harmful.with_name("benign-behaviors.csv").is_file() else ["benign-behaviors.csv"]

    def _behaviours(self, table: Path, kind: Kind) -> Iterator[Sample]:
        for number, row in read_table(table, self.card, ("Goal", "Category")):
            yield Sample(
                id=f"{kind.value}/{row.get('Index') or number - 1}",
                prompt=row["Goal"],
                kind=kind,
                scenario=row["Category"],
                criteria=_JAILBREAKBENCH.get(row["Category"], "general"),
            )


class StrongReject(SingleTable):
    """Souly et al. 2024."""

    card = Card(
        name="strongreject",
        title="StrongREJECT",
        citation="Souly et al. 2024, NeurIPS, arXiv 2402.10260",
        url="https://github.com/alexandrasouly/strongreject",
        licence="MIT",
        layout="strongreject_dataset/strongreject_dataset.csv",
        expected=MappingProxyType({"text": 313}),
    )

    def samples(self, folder: Path, /) -> Iterator[Sample]:
        """Yield the forbidden prompts; ids are row numbers from 0."""
        name = "strongreject_dataset.csv"
        table = first_path(self.card, folder, (f"strongreject_dataset/{name}", name))
        for number, row in read_table(table, self.card, ("category", "forbidden_prompt")):
            topic = row["category"]
            criteria = _STRONGREJECT.get(topic, "general")
            yield Sample(
                id=str(number - 1), prompt=row["forbidden_prompt"], scenario=topic, criteria=criteria
            )


class AdvBench(SingleTable):
    """Zou et al. 2023."""

    card = Card(
        name="advbench",
        title="AdvBench (harmful behaviors)",
        citation="Zou et al. 2023, arXiv 2307.15043",
        url="https://github.com/llm-attacks/llm-attacks",
        licence="MIT",
        layout="data/advbench/harmful_behaviors.csv",
        expected=MappingProxyType({"text": 520}),
    )

    def samples(self, folder: Path, /) -> Iterator[Sample]:
        """Yield the goals; ids are row numbers from 0."""
        name = "harmful_behaviors.csv"
        table = first_path(self.card, folder, (f"data/advbench/{name}", f"advbench/{name}", name))
        for number, row in read_table(table, self.card, ("goal",)):
            yield Sample(id=str(number - 1), prompt=row["goal"], scenario="harmful behaviors")


class XSTest(SingleTable):
    """Röttger et al. 2024."""

    card = Card(
        name="xstest",
        title="XSTest",
        citation="Röttger et al. 2024, NAACL, arXiv 2308.01263",
        url="https://github.com/paul-rottger/xstest",
        licence="CC BY 4.0",
        layout="xstest_prompts.csv (or xstest_v2_prompts.csv)",
        expected=MappingProxyType({"text": 450}),
    )

    def samples(self, folder: Path, /) -> Iterator[Sample]:
        """Yield 250 safe look-alikes and 200 unsafe contrasts (types ``contrast_...``)."""
        table = first_path(self.card, folder, ("xstest_prompts.csv", "xstest_v2_prompts.csv"))
        for number, row in read_table(table, self.card, ("prompt", "type")):
            label = row.get("label") or ("unsafe" if row["type"].startswith("contrast") else "safe")
            yield Sample(
                id=row.get("id") or str(number),
                prompt=row["prompt"],
                kind=Kind.HARMFUL if label == "unsafe" else Kind.BENIGN,
                scenario=row["type"],
                fault="" if label in ("safe", "unsafe") else f"unknown label {label!r}",
            )
