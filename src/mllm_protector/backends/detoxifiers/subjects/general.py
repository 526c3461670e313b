"""One fallback per hazard category, used when a request shows no cue of a narrower subject."""

# ruff: noqa: E501  (a table reads best with one text per line)
from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from mllm_protector.backends.detoxifiers.subjects.information import INFORMATION
from mllm_protector.backends.detoxifiers.subjects.people import PEOPLE
from mllm_protector.backends.detoxifiers.subjects.subject import Subject

__all__ = ["GENERAL", "UNSPECIFIED"]

_OFFER = "Tell me what you are trying to achieve, and I will look for a safe way to get there."

UNSPECIFIED = Subject(
    "unspecified",
    (),
    "",
    "this in the way it was asked",
    (
        "An answer to it could hurt someone, you included.",
        "Following it would put people at risk.",
        "Someone would likely come to harm through it.",
    ),
    (
        _OFFER,
        "I can explain the background in general terms, or how people stay safe around it.",
        "If there is a worry behind the question, I am glad to talk about that and about whom to ask.",
    ),
)

_FALLBACKS: tuple[Subject, ...] = (
    Subject(
        "violence",
        ("S1",),
        "",
        "violence against anyone",
        (
            "Violence leaves injuries and grief that nobody can undo.",
            "It endangers people who have no part in it.",
        ),
        (
            "I can help with calming a conflict, staying safe, or finding someone to mediate.",
            "If someone is in danger now, local emergency services can help; I can also talk through what led to this.",
            "I can discuss how communities prevent violence, or help with a story that shows its consequences.",
        ),
    ),
    Subject(
        "crime",
        ("S2",),
        "",
        "an unlawful plan",
        (
            "Other people would pay for it with money, safety or trust.",
            "It harms those affected, and it can follow you for years.",
        ),
        (
            "I can look with you for a lawful way to what you need, such as support, savings or a fair deal.",
            "I can explain how people and firms protect themselves against it.",
            "I can go over what the law is meant to protect here, and where to ask about a past mistake.",
        ),
    ),
    Subject(
        "sexual crime",
        ("S3",),
        "",
        "anything sexual against someone's will",
        (
            "It does deep and lasting harm to the person it happens to.",
            "Nobody's body may be used without their free consent.",
        ),
        (
            "I can explain consent and respectful behaviour, or how bystanders can step in.",
            "If this has happened to you or a friend, I can describe medical care, reporting and support.",
        ),
    ),
    Subject(
        "child protection",
        ("S4",),
        "",
        "anything that sexualises or endangers a child",
        (
            "It harms children for life, and there is no exception to that.",
            "Children cannot consent and rely on adults to keep them safe.",
        ),
        (
            "I can explain how to report a concern to child protection or the police.",
            "If you are worried about your own thoughts, confidential professional help exists and works best early.",
            "I can help parents and teachers with online safety and warning signs.",
        ),
    ),
    next(s for s in PEOPLE if s.name == "defamation"),
    Subject(
        "specialised advice",
        ("S6",),
        "",
        "advice that takes a qualified professional",
        (
            "It depends on facts I cannot examine, and an error could cost health, money or rights.",
            "A wrong answer given with confidence can do lasting damage.",
        ),
        (
            "I can explain the general background, and list questions for a professional.",
            "I can help you gather the facts that a doctor, lawyer or adviser will ask for.",
        ),
        ("I am not qualified to give {act}.", "I can't offer {act}."),
    ),
    Subject(
        "privacy",
        ("S7",),
        "",
        "exposing or collecting private information",
        (
            "It can lead strangers to a person's home, work and family.",
            "People have a right to decide who knows such things about them.",
        ),
        (
            "I can help you protect your own data, or ask the person for consent.",
            "I can explain how personal data is handled lawfully, or how to reach someone through an official channel.",
        ),
    ),
    Subject(
        "others' rights",
        ("S8",),
        "",
        "using other people's work without permission",
        (
            "Those who made it lose income and control over their work.",
            "Creative and technical work goes on only if its makers can live on it.",
        ),
        (
            "I can suggest licensed, free or public-domain alternatives.",
            "I can summarise it, or help you create something of your own in a similar spirit.",
        ),
    ),
    Subject(
        "mass harm",
        ("S9",),
        "",
        "weapons that can hurt many people at once",
        (
            "They injure bystanders and rescuers as well as any target, and nothing undoes it.",
            "Even trying puts everyone near at grave risk.",
        ),
        (
            "I can talk about the history and the treaties that limit them, or how emergency services prepare.",
            "I can explain the safe handling of hazardous materials, or the science at textbook level.",
        ),
    ),
    Subject(
        "hate",
        ("S10",),
        "",
        "content that demeans people for who they are",
        (
            "It makes exclusion and violence against real people easier.",
            "Those it is about have to live with what it sets loose.",
        ),
        (
            "I can help you write about the subject with respect, or explain where such prejudice comes from.",
            "I can help you respond to hostile words, or put a criticism of ideas into fair terms.",
        ),
    ),
    next(s for s in PEOPLE if s.name == "self-harm"),
    next(s for s in PEOPLE if s.name == "sexual content"),
    Subject(
        "elections",
        ("S13",),
        "",
        "false information about an election",
        (
            "Voters who are misled lose their say without knowing it.",
            "Trust in a fair count is hard to win back.",
        ),
        (
            "I can explain how registration, voting and counting generally work; your election office has the details.",
            "I can help you check a claim about an election, or write a neutral guide for first-time voters.",
        ),
    ),
    Subject(
        "system abuse",
        ("S14",),
        "",
        "code or commands that abuse a system",
        (
            "It puts other people's data and services at risk.",
            "What runs once on a system can spread to those who depend on it.",
        ),
        (
            "I can help you test your own system with permission, or set limits and logging for code that runs.",
            "I can explain how such abuse is detected and stopped, or review your code for weaknesses.",
        ),
    ),
    *(s for s in INFORMATION if s.hazards[0].endswith(("-advice", "-lobbying"))),
)

GENERAL: Mapping[str, Subject] = MappingProxyType({s.hazards[0]: s for s in _FALLBACKS})
