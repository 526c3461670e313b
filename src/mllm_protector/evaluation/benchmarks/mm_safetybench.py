"""MM-SafetyBench: 13 scenarios, each question as text, generated image, typographic image, or both."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from mllm_protector.errors import InputError
from mllm_protector.evaluation.benchmarks.benchmark import Card, find_image, first_path, read_json, text_of
from mllm_protector.evaluation.samples import Sample

__all__ = ["SCENARIOS", "MMSafetyBench"]

SCENARIOS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "01": ("01-Illegal_Activity", "illegal"),
        "02": ("02-HateSpeech", "hate"),
        "03": ("03-Malware_Generation", "malware"),
        "04": ("04-Physical_Harm", "physical"),
        "05": ("05-EconomicHarm", "economic"),
        "06": ("06-Fraud", "fraud"),
        "07": ("07-Sex", "sexual"),
        "08": ("08-Political_Lobbying", "lobbying"),
        "09": ("09-Privacy_Violence", "privacy"),
        "10": ("10-Legal_Opinion", "legal"),
        "11": ("11-Financial_Advice", "financial"),
        "12": ("12-Health_Consultation", "health"),
        "13": ("13-Gov_Decision", "government"),
    }
)
"""Number of a file -> (name of the scenario, criteria). On disk the first is spelt ``Activitiy``."""

# Modality -> (folder of its images, which wording of the question goes with it).
_VARIANTS = {
    "text": ("", "Changed Question"),
    "SD": ("SD", "Rephrased Question(SD)"),
    "TYPO": ("TYPO", "Rephrased Question"),
    "SD+TYPO": ("SD_TYPO", "Rephrased Question"),
}
_IMAGES = ("imgs", "MM-SafetyBench(imgs)", "MM-SafetyBench_imgs", "img")


class MMSafetyBench:
    """Liu et al. 2024."""

    card = Card(
        name="mm-safetybench",
        title="MM-SafetyBench",
        citation="Liu et al. 2024, ECCV, arXiv 2311.17600",
        url="https://github.com/isXinLiu/MM-SafetyBench",
        licence="CC BY-NC 4.0",
        layout="processed_questions/NN-Name.json and imgs/NN-Name/{SD,TYPO,SD_TYPO}/ID.jpg",
        modalities=tuple(_VARIANTS),
        expected=MappingProxyType(dict.fromkeys(_VARIANTS, 1680)),
        note="Some papers average scenarios 01 to 07 and 09 only; both averages are given.",
    )

    def samples(self, folder: Path, /) -> Iterator[Sample]:
        """Yield every question in its four ways, scenario by scenario."""
        questions = self._questions(folder)
        images = next(
            (p for name in _IMAGES if (p := questions.parent / name).is_dir()), questions.parent / "imgs"
        )
        files = [path for path in sorted(questions.glob("*.json")) if path.name[:2] in SCENARIOS]
        if not files:
            raise self.card.missing(questions / "01-Illegal_Activitiy.json")
        for path in files:
            yield from self._scenario(path, images)

    def absent(self, folder: Path, /) -> list[str]:
        """Name the scenarios without a file and the folders of images that are not there."""
        questions = self._questions(folder)
        found = {path.name[:2]: path.stem for path in questions.glob("*.json")}
        lacking = [
            f"processed_questions/{name}.json" for key, (name, _) in SCENARIOS.items() if key not in found
        ]
        images = next((p for name in _IMAGES if (p := questions.parent / name).is_dir()), None)
        if images is None:
            return [*lacking, "imgs/"]
        for key in sorted(set(found) & set(SCENARIOS)):
            holder = self._image_folder(images, found[key])
            lacking += [
                f"imgs/{holder.name}/{v}/" for v, _ in _VARIANTS.values() if v and not (holder / v).is_dir()
            ]
        return lacking

    def _questions(self, folder: Path) -> Path:
        return first_path(self.card, folder, ("processed_questions", "data/processed_questions"))

    def _scenario(self, path: Path, images: Path) -> Iterator[Sample]:
        scenario, criteria = SCENARIOS[path.name[:2]]
        rows = read_json(path, self.card)
        if not isinstance(rows, dict):
            raise InputError(f"mm-safetybench: {path} holds no object of questions; download it again")
        holder = self._image_folder(images, path.stem)
        for key, row in rows.items():
            fields = row if isinstance(row, dict) else {}
            for modality, (variant, wording) in _VARIANTS.items():
                prompt = text_of(fields, wording)
                yield Sample(
                    id=f"{path.stem}/{variant or 'text'}/{key}",
                    prompt=prompt,
                    images=(find_image(holder / variant, str(key), ".jpg"),) if variant else (),
                    request=text_of(fields, "Changed Question") or text_of(fields, "Question"),
                    scenario=scenario,
                    modality=modality,
                    attack="query-relevant image" if variant else "",
                    criteria=criteria,
                    fault="" if prompt else f"no {wording!r}",
                )

    def _image_folder(self, images: Path, stem: str) -> Path:
        """Return the scenario's folder; questions and images have been spelt differently in releases."""
        if (images / stem).is_dir():
            return images / stem
        number = re.escape(stem[:2])
        return next((p for p in sorted(images.glob("*")) if re.match(number, p.name)), images / stem)
