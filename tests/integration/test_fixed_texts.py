"""Every fixed text the guard may deliver is harmless to the shipped detector, far below any threshold."""

from __future__ import annotations

from mllm_protector.backends.detectors.embedded import EmbeddedDetector
from mllm_protector.backends.detoxifiers.answers import compose, left_out_note
from mllm_protector.backends.detoxifiers.subjects import GENERAL, SUBJECTS, UNSPECIFIED, Subject
from mllm_protector.backends.detoxifiers.translations import ANSWERS, LEFT_OUT
from mllm_protector.disclaimers import DISCLAIMERS
from mllm_protector.taxonomy import CATEGORIES
from mllm_protector.types import Detection, Exchange, Query, RewriteTask

FAR_BELOW = 0.3


def _of_subject(subject: Subject) -> list[str]:
    count = max(len(subject.whys), len(subject.helps))
    opener = subject.openers[0] if subject.openers else "I can't help with {act}."
    return [
        " ".join(
            (
                opener.format(act=subject.act),
                subject.whys[n % len(subject.whys)],
                subject.helps[n % len(subject.helps)],
            )
        )
        for n in range(count)
    ]


def test_fixed_texts_pass_the_shipped_detector() -> None:
    texts = [text for subject in (*SUBJECTS, *GENERAL.values(), UNSPECIFIED) for text in _of_subject(subject)]
    texts += [text for table in ANSWERS.values() for group in table.values() for text in group]
    texts += [*LEFT_OUT.values(), *(text for table in DISCLAIMERS.values() for text in table.values())]
    for code in CATEGORIES:
        task = RewriteTask(Exchange(Query("Complete the list."), "Text."), Detection(0.9), (code,))
        texts += [left_out_note(task), *compose(task)]
    texts = list(dict.fromkeys(texts))
    scores = EmbeddedDetector().score([Exchange(Query(""), text) for text in texts])
    failing = [
        (round(score, 2), text) for score, text in zip(scores, texts, strict=True) if score >= FAR_BELOW
    ]
    assert not failing, failing
