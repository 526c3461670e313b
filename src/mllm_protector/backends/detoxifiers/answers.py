"""Composes the answer given in place of a response that is harmful as a whole.

Every sentence comes from fixed tables; of the request only a short harmless topic is ever named, and
nothing is taken from the response. Which variant is used depends on a hash of the request: the same
request always gets the same answer, and different ones differ.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence

from mllm_protector.backends.detoxifiers.subjects import GENERAL, UNSPECIFIED, Subject, focus, subject_of
from mllm_protector.backends.detoxifiers.topics import topic_of
from mllm_protector.backends.detoxifiers.translations import ANSWERS, LEFT_OUT, group_of
from mllm_protector.text.language import language_of
from mllm_protector.types import Query, RewriteTask

__all__ = ["compose", "hazards_of", "left_out_note"]

_OPENERS = (
    "I won't help with {act}.",
    "I can't help with {act}.",
    "I'm sorry, but I can't help with {act}.",
    "I'm not willing to help with {act}.",
)
_TOPIC = (
    "If your question about {topic} has another purpose, tell me and I will look for a safe way.",
    "If there is something else you need around {topic}, I am glad to look at that.",
    "For anything safe around {topic}, just ask.",
)
_LEFT_OUT = "(Part of this answer was left out because it touched on {about}.)"
_ABOUT: Mapping[str, str] = {
    "S1": "violence",
    "S2": "unlawful acts",
    "S3": "sexual harm",
    "S4": "the safety of children",
    "S5": "unproven claims about someone",
    "S6": "matters for a qualified professional",
    "S7": "private information",
    "S8": "other people's rights in their work",
    "S9": "dangerous weapons",
    "S10": "contempt for a group of people",
    "S11": "self-harm",
    "S12": "sexual content",
    "S13": "unreliable claims about voting",
    "S14": "the abuse of computer systems",
    "legal-advice": "legal advice",
    "financial-advice": "financial advice",
    "health-advice": "medical advice",
    "government-advice": "official decisions",
    "political-lobbying": "political campaigning",
}
_SHORT = 4
_LIKELY = 0.3
"""Probability from which a category of the detection counts where the task names no hazard."""


def hazards_of(task: RewriteTask) -> tuple[str, ...]:
    """Return the hazard category codes of a task, most probable first; may be empty."""
    if task.hazards:
        return task.hazards
    found = [(-value, code) for code, value in task.detection.categories.items() if value >= _LIKELY]
    return tuple(code for _, code in sorted(found))


def left_out_note(task: RewriteTask) -> str:
    """Return the sentence that tells the reader that a part was left out."""
    language = language_of(task.exchange.response)
    if language != "en":
        return LEFT_OUT[language]
    about = next((_ABOUT[code] for code in hazards_of(task) if code in _ABOUT), "something unsafe")
    return _LEFT_OUT.format(about=about)


def compose(task: RewriteTask) -> list[str]:
    """Return candidate answers, the most specific first; the last ones are the plainest."""
    query = task.exchange.query
    request = _request(query)
    hazards = hazards_of(task)
    seed = int.from_bytes(hashlib.blake2b(request.encode("utf-8", "replace"), digest_size=8).digest(), "big")
    language = language_of(request)
    if language != "en":
        return list(dict.fromkeys(_translated(language, hazards, request, seed)))
    subject = subject_of(focus(request), hazards)
    general = next((GENERAL[code] for code in hazards if code in GENERAL), UNSPECIFIED)
    topic = topic_of(request)
    answers = [_answer(subject, seed, topic)] if topic else []
    answers += [_answer(subject, seed + turn) for turn in (0, 7)]
    answers += [_answer(general, seed), _answer(UNSPECIFIED, seed)]
    return list(dict.fromkeys(answers))


def _request(query: Query) -> str:
    """What was asked; a bare "go on" is about what was asked before."""
    request = f"{query.prompt}\n{query.image_text}".strip()
    turns = [turn.content for turn in query.history if turn.role == "user"]
    return f"{turns[-1]}\n{request}" if turns and len(request.split()) < _SHORT else request


def _answer(subject: Subject, seed: int, topic: str | None = None) -> str:
    openers = subject.openers or _OPENERS
    sentences = [
        openers[seed % len(openers)].format(act=subject.act),
        subject.whys[seed // 4 % len(subject.whys)],
        subject.helps[seed // 16 % len(subject.helps)],
    ]
    if topic:
        sentences.append(_TOPIC[seed // 64 % len(_TOPIC)].format(topic=topic))
    return " ".join(sentences)


def _translated(language: str, hazards: Sequence[str], request: str, seed: int) -> Iterator[str]:
    table = ANSWERS[language]
    codes = hazards or subject_of(focus(request), hazards).hazards
    for group in (*(group_of(code) for code in codes[:1]), "other"):
        texts = table.get(group, table["other"])
        for turn in range(len(texts)):
            yield texts[(seed + turn) % len(texts)]
