"""Subjects of information, rights and advice (S6, S8, S13, disinformation, environment, the advice scenarios)."""

# ruff: noqa: E501  (a table reads best with one text per line)
from __future__ import annotations

from mllm_protector.backends.detoxifiers.subjects.subject import Subject

__all__ = ["INFORMATION"]

INFORMATION: tuple[Subject, ...] = (
    Subject(
        "voter suppression",
        ("S13",),
        r"(?:suppress|discourag|prevent|stop|keep)\w* .{0,30}vot(?:e|ing|er)|voter (?:fraud|suppress|intimidat|turnout)|rig(?:ging)? (?:an |the )?(?:election|vote)|ballot|polling|vot(?:e|ing) (?:machine|twice|fraud)|election(?:s)? (?:fraud|rig|stolen|interfer)|steal (?:an|the) election|stolen election",
        "interfering with a vote",
        (
            "Everyone's vote loses its worth when some people are misled or kept away.",
            "False information about when or how to vote silences citizens without their knowing.",
        ),
        (
            "I can explain how registration, counting and audits work in general; your election office has the binding details.",
            "I can help you plan a neutral get-out-the-vote message that welcomes everyone.",
        ),
    ),
    Subject(
        "political disinformation",
        ("S13", "S5"),
        r"(?:political|election|campaign) (?:misinformation|disinformation|propaganda)|propaganda|fake news|disinformation|misinformation|false (?:information|news|story|narrative)|troll farm|bot (?:army|network)|hoax|conspirac|fabricat\w* (?:news|story|quote|evidence)|made-?up (?:news|story|quote)|deceptive|fake (?:article|story|post|news)",
        "making up news or spreading falsehoods",
        (
            "People make decisions about health, money and votes on what they read.",
            "A false story travels quickly, and those it is about cannot call it back.",
        ),
        (
            "I can show how to check a claim, or help you write on the subject from sources you can name.",
            "I can write clearly labelled satire, or explain how falsehoods spread and what slows them.",
        ),
    ),
    Subject(
        "health misinformation",
        ("S6",),
        r"vaccin|anti-?vax|cure (?:for )?(?:cancer|covid|aids|autism)|covid|miracle cure|bleach|flat earth|climate (?:hoax|denial|change is)|5g\b|homeopath|fake (?:cure|medicine|treatment)",
        "claims about health that are not true",
        (
            "People skip care that works because of claims like these.",
            "A wrong belief about treatment can cost the person who follows it dearly.",
        ),
        (
            "I can explain how the evidence is gathered and what questions to take to a doctor or pharmacist.",
            "I can help you judge a health claim: who says it, on what evidence, and who gains.",
        ),
    ),
    Subject(
        "piracy",
        ("S8",),
        r"pirat|torrent|crack(?:ed)? (?:software|version|game)|download .{0,30}(?:free|movie|music|software|game)s?|license key|serial key|keygen|copyright|drm\b|bootleg|illegal(?:ly)? (?:stream|download|copy)|full (?:text|lyrics) of|watermark",
        "copying works without permission",
        (
            "Those who wrote, drew or coded the work lose what they live on, and such files often carry malware.",
            "Creators decide how their work is shared, and the law protects that.",
        ),
        (
            "I can point to legal options: libraries, free trials, open-source software and public-domain works.",
            "I can summarise the work, discuss its themes, or explain how licences and fair use work.",
        ),
    ),
    Subject(
        "trade secrets",
        ("S8", "S2"),
        r"trade secret|corporate espionage|industrial espionage|intellectual property|patent|trademark|confidential|proprietary|copy (?:a|the|my) (?:competitor|rival)|reverse[- ]engineer|whistle|leaked",
        "taking protected ideas or secrets",
        (
            "Stolen work harms those who built it, and it exposes you to claims for years.",
            "Firms and inventors share knowledge only where it is protected.",
        ),
        (
            "I can explain licensing, public patent searches and how to study a market fairly.",
            "I can help you design something of your own around the same need, or read a confidentiality clause.",
        ),
    ),
    Subject(
        "environment",
        ("S2",),
        r"pollut|dump(?:ing)? (?:toxic|waste|chemicals|trash|garbage|oil)|toxic waste|deforest|illegal logging|overfish|litter|oil spill|contaminat|waste (?:disposal|into)|environment",
        "damaging the environment",
        (
            "Poisoned soil and water reach people and wildlife far away and for decades.",
            "The cost falls on neighbours and on those who come after.",
        ),
        (
            "I can explain how hazardous waste is collected, or how to cut the cost of disposal lawfully.",
            "I can help you report a spill, or plan a greener process for a workshop or a home.",
        ),
    ),
    Subject(
        "unsafe products",
        ("S2", "S6"),
        r"unsafe product|sell(?:ing)? (?:expired|spoiled|contaminated|unsafe|defective|fake)|food tamper|tamper|dilut|expired|safety (?:regulation|rule|inspection)|skip inspection|worker safety|child labou?r|sweatshop|under ?pay",
        "putting customers or workers at risk",
        (
            "Those who trust the product or the workplace are the ones who get hurt.",
            "Saving on safety moves the cost onto people who had no say.",
        ),
        (
            "I can go over what safety checks and labels are for, and how small firms meet them.",
            "I can help you plan a recall, a fair workplace rule, or a report to an inspector.",
        ),
    ),
    Subject(
        "legal matters",
        ("legal-advice", "S6"),
        r"lawsuit|sue\b|lawyer|attorney|court|legal(?:ly)?\b|custody|divorce|contract|landlord|tenant|evict|sentence|guilty|liable|rights|lawsuit|will and testament|inherit|copyright law|arrest|plead",
        "a decision on your legal case",
        (
            "The outcome turns on local law and on details that only a qualified lawyer can weigh.",
            "A mistake here can cost a deadline, money or rights that do not come back.",
        ),
        (
            "I can explain the general terms, help you sort your papers, and list questions for a lawyer or legal aid office.",
            "I can outline how such procedures usually run, and how to prepare for a first meeting with a lawyer.",
        ),
        ("I can't stand in for a lawyer, so I will not give {act}.", "I am not qualified to give {act}."),
    ),
    Subject(
        "money matters",
        ("financial-advice", "S6"),
        r"invest|stocks?\b|shares?\b|bitcoin|crypto|retire|pension|mortgage|loan|debt|savings?|tax(?:es)?\b|portfolio|real estate|budget|etf|bonds?\b|fund\b|interest rate|credit score|bankrupt|insurance|trading",
        "a personal recommendation on your money",
        (
            "What suits you depends on income, debts and risk that I cannot assess, and losses would be yours.",
            "Markets surprise everyone, and advice that ignores your situation can cost savings.",
        ),
        (
            "I can explain how the products work, what fees and risks to look at, and questions for a licensed adviser.",
            "I can help you list income, costs and goals, so that a qualified adviser has what is needed.",
        ),
        (
            "I can't act as a financial adviser, so I will not give {act}.",
            "I am not qualified to make {act}.",
        ),
    ),
    Subject(
        "health matters",
        ("health-advice", "S6"),
        r"symptom|diagnos|medic(?:ine|ation|al)|dose|dosage|doctor|disease|cancer|diabet|pain|fever|rash|pregnan|treat(?:ment|ing)?\b|therap|blood|headache|cough|antibiotic|prescri|health|depress|anxiety|sick|surgery|allerg",
        "a diagnosis or a treatment plan",
        (
            "Without an examination a wrong guess can delay care that is needed.",
            "Symptoms overlap, and the right treatment depends on your history.",
        ),
        (
            "I can explain the terms, help you note symptoms and when they began, and list questions for a doctor. If it is "
            "severe or sudden, please seek medical care at once.",
            "I can describe what a visit usually involves and which signs call for urgent care from a professional.",
        ),
        ("I can't replace a doctor, so I will not give {act}.", "I am not qualified to give {act}."),
    ),
    Subject(
        "government matters",
        ("government-advice",),
        r"government|visa|immigra|asylum|benefits?\b|welfare|permit|passport|citizenship|border|military|police|parole|bail|public service|authorit|official|policy|regulation|sanction",
        "a decision that belongs to a public office",
        (
            "Such decisions affect people's rights and need evidence, a hearing and someone who answers for them.",
            "A wrong answer could cost someone a right or a deadline.",
        ),
        (
            "I can explain the general procedure, and help you prepare documents and questions for the office in charge.",
            "I can list which kinds of evidence and criteria are commonly weighed, for a qualified official to judge.",
        ),
        (
            "I can't take the place of a public authority, so I will not make {act}.",
            "I am not in a position to make {act}.",
        ),
    ),
    Subject(
        "campaigning",
        ("political-lobbying", "S13"),
        r"campaign|lobby|vote for|candidate|president|senator|party\b|democrat|republican|conservative|liberal|petition|activis|political|politician|congress|parliament|referendum|slogan|speech",
        "campaign material for one side",
        (
            "Political persuasion made by a machine can drown out citizens' own voices.",
            "Voters are better served by weighing arguments than by tailored persuasion.",
        ),
        (
            "I can set out the main arguments of each side even-handedly, or explain how the process works.",
            "I can help you find questions to ask every candidate, or structure your own view in your own words.",
        ),
        ("I won't write {act}.", "Writing {act} is something I leave to people."),
    ),
)
