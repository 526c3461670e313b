"""From one or several finished runs to a model folder that can ship.

    python -m mllm_protector.training.embedded.release --run DIR [--run DIR ...] --data DIR --base DIR --out
    DIR

Weights of several runs of the same base are averaged (model soup, Wortsman et al. 2022,
arXiv 2203.05482), the hazard heads fitted again, the network exported, quantised, checked against
float, and calibrated on held-out rows.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from mllm_protector.calibration import CALIBRATION, Platt, fit
from mllm_protector.checkpoints import (
    CARD,
    HARM,
    MANIFEST,
    MODEL,
    OUTPUTS,
    TOKENIZER,
    Calibration,
    Manifest,
    file_sha256,
    write_manifest,
)
from mllm_protector.errors import TrainingError
from mllm_protector.prompts import PAIR_V1
from mllm_protector.taxonomy import ADVICE
from mllm_protector.training.embedded.calibration import Scored, choose_threshold, shift_to_half
from mllm_protector.training.embedded.detector import load_trained
from mllm_protector.training.embedded.examples import Example
from mllm_protector.training.embedded.export import Parity, export_onnx, onnx_logits, parity, quantise
from mllm_protector.training.embedded.heads import hazard_examples, refit_hazards
from mllm_protector.training.embedded.mixture import load_corpus
from mllm_protector.training.embedded.network import PairClassifier, soup

__all__ = ["LICENCES", "Limits", "calibrate", "release"]

_log = logging.getLogger(__name__)

LICENCES: Mapping[str, str] = {
    "base model all-MiniLM-L6-v2": "Apache-2.0",
    "PKU-SafeRLHF sample (JailbreakEval)": "MIT, upstream CC-BY-NC-4.0",
    "GPTFuzz": "MIT",
    "JAILJUDGE sample (JailbreakEval)": "MIT",
    "JailbreakBench artifacts": "MIT",
    "DiaSafety": "Apache-2.0",
    "latent-jailbreak": "MIT",
    "CipherChat": "MIT",
    "OpenAI safety-rbr-code-and-data": "MIT",
    "just-eval": "MIT",
    "HH-RLHF": "MIT",
    "SafeUnlearning": "none stated",
    "safety-tuned-llamas": "CC-BY-NC-4.0",
    "VLGuard": "none stated",
    "STAR-1": "Apache-2.0",
    "AdvBench refusals": "MIT",
    "MLLM-Safety responses, labelled for this project": "none stated",
    "BeaverTails-Evaluation prompts": "CC-BY-NC-4.0",
    "CatQA prompts": "Apache-2.0",
    "StrongREJECT prompts": "MIT",
    "OpenAI moderation set": "MIT",
    "texts written for this project": "Apache-2.0",
}

MOST_MEAN_GAP = 0.02
MARGIN = 0.12  # logits; a limit of false alarms rests on a handful of held-out rows, so stay clear of it
SLACK = 0.01  # of mean F1: what a few rows of the held-out thousand can move
ADVICE_HEADS = frozenset(category.code for category in ADVICE)
ADVICE_FALSE_ALARMS = 0.01  # of all held-out answers without unqualified advice, image attacks among them


@dataclass(frozen=True, slots=True)
class Limits:
    """How the operating point is chosen.

    Attributes:
        false_alarms: source -> largest share of false alarms among its held-out harmless rows.
        emphasis: source -> weight of its F1.
    """

    false_alarms: Mapping[str, float]
    emphasis: Mapping[str, float]


LIMITS = Limits(
    false_alarms={"benign": 0.021, "justeval_safety": 0.035, "vlm_attacks": 0.15},
    emphasis={
        "saferlhf_mini": 2.0, "vlm_attacks": 2.0, "jailjudge_mini": 0.5, "gptfuzz": 1.0,
        "safeunlearning": 0.5,
        "jbb_artifacts": 1.0, "jbb_attack_prompts": 0.0, "diasafety": 0.0, "latent_jailbreak": 0.0,
        "openai_moderation": 0.0, "hh_pairs": 0.0, "hh_judged": 1.0, "cipherchat": 0.5, "openai_rbr": 0.0,
        "justeval_safety": 0.0,
    },
)  # fmt: skip


def calibrate(
    logits: NDArray[np.float32], examples: Sequence[Example], limits: Limits = LIMITS
) -> Mapping[str, Calibration]:
    """Calibration of every head from held-out logits [n, outputs]; heads other than harm keep theirs."""
    harm = logits[:, 0].astype(np.float64)
    labels = np.array([(e.harm or 0.0) > 0.5 for e in examples])
    names = np.array([e.source for e in examples])
    soft = np.isin(names, ["hh_pairs"])  # preferences, not labels
    fitted = fit(Platt.method, harm[~soft], labels[~soft])
    assert isinstance(fitted, Platt)
    sources = [
        Scored(str(name), harm[names == name], labels[names == name], limits.false_alarms.get(str(name), 1.0))
        for name in np.unique(names[~soft])
    ]
    threshold = choose_threshold(sources, limits.emphasis, SLACK) + MARGIN
    _log.info("platt %s, threshold logit %.3f (p %.3f before the shift)", fitted, threshold,
              1 / (1 + np.exp(-(fitted.scale * threshold + fitted.bias))))  # fmt: skip
    heads = dict.fromkeys(OUTPUTS, Calibration())
    heads |= dict.fromkeys(ADVICE_HEADS, _advice_shift(logits, examples))
    return heads | {HARM: shift_to_half(fitted, threshold)}


def _advice_shift(logits: NDArray[np.float32], examples: Sequence[Example]) -> Calibration:
    """One shift for all advice heads: 0.5 is exceeded by ``ADVICE_FALSE_ALARMS`` of the ordinary answers.

    The heads rank well but hardly ever say more than 0.2, since so few rows have such a label.
    """
    ordinary = [i for i, e in enumerate(examples) if e.advice is not None and not e.advice]
    if not ordinary:
        return Calibration()
    heads = [i for i, name in enumerate(OUTPUTS) if name in ADVICE_HEADS]
    highest = logits[np.ix_(ordinary, heads)].max(axis=1)
    return shift_to_half(Calibration(), float(np.quantile(highest, 1 - ADVICE_FALSE_ALARMS)))


def release(
    network: PairClassifier,
    tokenizer: Tokenizer,
    held_out: Sequence[Example],
    out: Path,
    name: str,
    card: str,
) -> Parity:
    """Write a complete model folder; returns how far int8 is from float on ``held_out``.

    Raises:
        TrainingError: the gap between int8 and float is above ``MOST_MEAN_GAP``; nothing is replaced.
    """
    out.mkdir(parents=True, exist_ok=True)
    config = network.encoder.config
    with TemporaryDirectory(dir=out) as scratch:
        folder = Path(scratch)
        export_onnx(network, folder / "float.onnx")
        quantise(folder / "float.onnx", folder / MODEL, config.num_attention_heads, config.hidden_size)
        logits = onnx_logits(folder / MODEL, tokenizer, held_out)
        gap = parity(onnx_logits(folder / "float.onnx", tokenizer, held_out), logits)
        if gap.mean > MOST_MEAN_GAP:
            raise TrainingError(
                f"int8 differs from float by {gap.mean:.4f} on average: quantise fewer layers"
            )
        calibration = calibrate(logits, held_out)
        (folder / TOKENIZER).write_text(tokenizer.to_str(), encoding="utf-8")
        (folder / CARD).write_text(card, encoding="utf-8")
        files = (MODEL, TOKENIZER, CARD)
        manifest = Manifest(
            name=name, template=PAIR_V1, outputs=OUTPUTS, calibration=calibration, threshold=0.5,
            files={f: file_sha256(folder / f) for f in files}, licences=LICENCES,
        )  # fmt: skip
        write_manifest(folder, manifest)
        (out / CALIBRATION).unlink(missing_ok=True)  # it was of the weights that are replaced now
        for file in (*files, MANIFEST):
            (folder / file).replace(out / file)
    return gap


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of the release."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, required=True, action="append", help="folder of a finished run")
    for name in ("data", "base", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--name", default="embedded-detector-3")
    parser.add_argument("--card", type=Path, help="model card to put in; default: the one that is there")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    tokenizer = Tokenizer.from_file(str(options.base / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    card_path = options.card or options.out / CARD
    card = (
        card_path.read_text(encoding="utf-8") if card_path.exists() else "# Model card\n\nNot written yet.\n"
    )
    corpus = load_corpus(options.data)
    network = soup([load_trained(options.base, run) for run in options.run])
    refit_hazards(network, tokenizer, hazard_examples(corpus))
    gap = release(network, tokenizer, corpus.held_out, options.out, options.name, card)
    _log.info(
        "%s",
        json.dumps({"mean": gap.mean, "largest": gap.largest, "flipped": gap.flipped, "texts": gap.texts}),
    )


if __name__ == "__main__":
    main()
