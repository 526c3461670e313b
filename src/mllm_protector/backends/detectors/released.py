"""Published sequence classifiers that need to be read their own way: the paper's detectors, BeaverDam."""

from __future__ import annotations

from typing import Any

from mllm_protector.backends.detectors.sequence_classifier import SequenceClassifier
from mllm_protector.errors import ConfigError
from mllm_protector.taxonomy import LABEL_SETS

__all__ = ["beaver_dam", "paper_detector"]

# README of github.com/pipilurj/MLLM-protector
_BASES = {
    "renjiepi/protector_detector_3b_lora": "openlm-research/open_llama_3b_v2",
    "renjiepi/protector_detector_7b_lora": "meta-llama/Llama-2-7b-hf",
}


def paper_detector(
    model: str = "renjiepi/protector_detector_3b_lora", *, base: str | None = None, **options: Any
) -> SequenceClassifier:
    """Return MLLM-Protector's released detector, laid out as it was trained.

    Its one logit stands for "safe" (``llava/train/harmdetector_train_saferlhf.py``: the target is
    ``is_response_safe``) and is turned here. Its own evaluation leaves the question out; the training
    did not, so it is not left out here.

    Args:
        model: hub id or folder of the LoRA adapter, or of a merged model if ``base`` is empty.
        base: the model it was trained on; None knows that of the two published ones, "" is none.
        options: of ``SequenceClassifier``: ``device``, ``dtype``, ``batch_size``, ...

    Raises:
        ConfigError: the base of an adapter of your own is not given.
        CheckpointError, MissingExtraError: it cannot be loaded.
    """
    if base is None:
        if model not in _BASES:
            raise ConfigError(f"paper: which model was {model} trained on? give base, or base: '' if merged")
        base = _BASES[model]
    fixed: dict[str, Any] = {
        "template": "Question: {prompt}\n\nAnswer: {response}",
        "logit": "safe",
        "outputs": 1,
    }
    return SequenceClassifier(model, base=base or None, **(fixed | options))


def beaver_dam(model: str = "PKU-Alignment/beaver-dam-7b", **options: Any) -> SequenceClassifier:
    """Return BeaverDam-7B, which gives each of BeaverTails' 14 categories a probability of its own.

    Layout: github.com/PKU-Alignment/beavertails (``PROMPT_INPUT``); Ji et al. 2023, arXiv 2307.04657. A
    response counts as harmful by its worst category, as there.

    Args:
        model: hub id or folder.
        options: of ``SequenceClassifier``.

    Raises:
        ConfigError, CheckpointError: it cannot be loaded.
    """
    codes = LABEL_SETS["beavertails"]
    fixed: dict[str, Any] = {
        "template": "BEGINNING OF CONVERSATION: USER: {prompt} ASSISTANT:{response}",
        "names": tuple(codes),
        "harmful": tuple(codes),
        "several": True,
        "labels": {label: native for label, native in codes.items() if native},
    }
    return SequenceClassifier(model, **(fixed | options))
