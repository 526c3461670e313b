"""Hazard categories: the native taxonomy, and how other label sets map onto it.

Native: MLCommons AILuminate S1 to S14 (Ghosh et al. 2025, arXiv 2503.05731), plus five advice
scenarios of MM-SafetyBench (Liu et al. 2024, arXiv 2311.17600) that are unsafe only when tailored
advice is given as if by someone qualified. An advice category's probability is therefore not part
of ``harm``: a response can be harmless and still need a disclaimer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from mllm_protector.errors import InputError
from mllm_protector.suggest import nearest

__all__ = ["ADVICE", "CATEGORIES", "HAZARDS", "LABEL_SETS", "Category", "map_label"]


@dataclass(frozen=True, slots=True)
class Category:
    """One hazard category.

    Attributes:
        code: what policies and detections call it.
        name: the field's name for it.
        about: what falls under it, in one line.
    """

    code: str
    name: str
    about: str


HAZARDS: tuple[Category, ...] = (
    Category("S1", "Violent crimes", "enabling or endorsing violence, terrorism, abuse of people or animals"),
    Category("S2", "Non-violent crimes", "fraud, theft, drugs, hacking, and other crimes without violence"),
    Category("S3", "Sex-related crimes", "trafficking, assault, harassment of a sexual kind"),
    Category("S4", "Child sexual exploitation", "sexual abuse of children, in any form"),
    Category("S5", "Defamation", "false statements that injure a living person's reputation"),
    Category("S6", "Specialized advice", "financial, medical or legal advice that needs a professional"),
    Category("S7", "Privacy", "exposing or collecting sensitive personal information"),
    Category("S8", "Intellectual property", "violating copyright, trademarks or other rights"),
    Category(
        "S9", "Indiscriminate weapons", "chemical, biological, radiological, nuclear, explosive weapons"
    ),
    Category("S10", "Hate", "demeaning people for who they are"),
    Category("S11", "Suicide and self-harm", "encouraging or enabling self-injury or disordered eating"),
    Category("S12", "Sexual content", "erotic content"),
    Category("S13", "Elections", "false information about voting and electoral systems"),
    Category("S14", "Code interpreter abuse", "malware, and abuse of the systems that run code"),
)

ADVICE: tuple[Category, ...] = (
    Category("legal-advice", "Unqualified legal advice", "tailored legal advice given as if by a lawyer"),
    Category("financial-advice", "Unqualified financial advice", "tailored investment or money advice"),
    Category("health-advice", "Unqualified health advice", "tailored diagnosis or treatment"),
    Category("government-advice", "Unqualified government advice", "tailored decisions on official matters"),
    Category(
        "political-lobbying", "Political lobbying", "campaign material for or against a cause or person"
    ),
)

CATEGORIES: Mapping[str, Category] = MappingProxyType({c.code: c for c in HAZARDS + ADVICE})

# Label -> native codes, per label set. An empty tuple is a label that is known and has no native
# category (it counts towards harm only, or is the set's word for "safe").
LABEL_SETS: Mapping[str, Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        # BeaverTails, Ji et al. 2023, arXiv 2307.04657
        "beavertails": {
            "animal_abuse": ("S1",),
            "child_abuse": ("S4",),
            "controversial_topics,politics": (),
            "discrimination,stereotype,injustice": ("S10",),
            "drug_abuse,weapons,banned_substance": ("S2",),
            "financial_crime,property_crime,theft": ("S2",),
            "hate_speech,offensive_language": ("S10",),
            "misinformation_regarding_ethics,laws_and_safety": (),
            "non_violent_unethical_behavior": ("S2",),
            "privacy_violation": ("S7",),
            "self_harm": ("S11",),
            "sexually_explicit,adult_content": ("S12",),
            "terrorism,organized_crime": ("S1",),
            "violence,aiding_and_abetting,incitement": ("S1",),
        },
        # MM-SafetyBench, Liu et al. 2024, arXiv 2311.17600
        "mm-safetybench": {
            "01-Illegal_Activity": ("S2",),
            "02-HateSpeech": ("S10",),
            "03-Malware_Generation": ("S14",),
            "04-Physical_Harm": ("S1",),
            "05-EconomicHarm": ("S2",),
            "06-Fraud": ("S2",),
            "07-Sex": ("S12",),
            "08-Political_Lobbying": ("political-lobbying",),
            "09-Privacy_Violence": ("S7",),
            "10-Legal_Opinion": ("legal-advice",),
            "11-Financial_Advice": ("financial-advice",),
            "12-Health_Consultation": ("health-advice",),
            "13-Gov_Decision": ("government-advice",),
        },
        # OpenAI moderation, Markov et al. 2023 (short codes of the paper's set, and the API's names)
        "openai-moderation": {
            "S": ("S12",),
            "S3": ("S4",),
            "H": ("S10",),
            "H2": ("S10", "S1"),
            "V": ("S1",),
            "V2": ("S1",),
            "HR": (),
            "SH": ("S11",),
            "sexual": ("S12",),
            "sexual/minors": ("S4",),
            "hate": ("S10",),
            "hate/threatening": ("S10", "S1"),
            "harassment": (),
            "harassment/threatening": ("S1",),
            "violence": ("S1",),
            "violence/graphic": ("S1",),
            "self-harm": ("S11",),
            "self-harm/intent": ("S11",),
            "self-harm/instructions": ("S11",),
            "illicit": ("S2",),
            "illicit/violent": ("S1", "S2"),
        },
        # Llama Guard 3 and 4 use the MLCommons codes as they are
        "llama-guard": {c.code: (c.code,) for c in HAZARDS} | {"safe": ()},
        # Llama Guard 1 (Inan et al. 2023, arXiv 2312.06674)
        "llama-guard-1": {
            "O1": ("S1", "S10"),
            "O2": ("S12",),
            "O3": ("S2",),
            "O4": ("S1",),
            "O5": ("S2",),
            "O6": ("S11",),
            "safe": (),
        },
        # Llama Guard 2 (MLCommons S1 to S11 in the order of its model card)
        "llama-guard-2": {
            "S1": ("S1",),
            "S2": ("S2",),
            "S3": ("S3",),
            "S4": ("S4",),
            "S5": ("S6",),
            "S6": ("S7",),
            "S7": ("S8",),
            "S8": ("S9",),
            "S9": ("S10",),
            "S10": ("S11",),
            "S11": ("S12",),
            "safe": (),
        },
        # Qwen3Guard technical report 2025, arXiv 2510.14276
        "qwen3guard": {
            "Violent": ("S1",),
            "Non-violent Illegal Acts": ("S2",),
            "Sexual Content or Sexual Acts": ("S12",),
            "PII": ("S7",),
            "Personally Identifiable Information": ("S7",),
            "Suicide & Self-Harm": ("S11",),
            "Unethical Acts": (),
            "Politically Sensitive Topics": ("S13",),
            "Copyright Violation": ("S8",),
            "Jailbreak": (),
            "None": (),
        },
        # MD-Judge, SALAD-Bench's second level (Li et al. 2024, arXiv 2402.05044)
        "md-judge": {
            "O1": ("S10",),
            "O2": ("S10",),
            "O3": ("S12",),
            "O4": (),
            "O5": (),
            "O6": ("S6",),
            "O7": ("S2",),
            "O8": (),
            "O9": ("S7",),
            "O10": ("S9", "S14"),
            "O11": ("S5",),
            "O12": ("S2",),
            "O13": ("S13",),
            "O14": ("S2",),
            "O15": ("S11",),
            "O16": ("S8",),
        },
        # Granite Guardian's risks under "harm", Padhi et al. 2024, arXiv 2412.07724
        "granite-guardian": {
            "harm": (),
            "social_bias": ("S10",),
            "profanity": (),
            "sexual_content": ("S12",),
            "unethical_behavior": ("S2",),
            "violence": ("S1",),
        },
        # ShieldGemma's policies, Zeng et al. 2024, arXiv 2407.21772
        "shieldgemma": {
            "No Dangerous Content": ("S1", "S9", "S11"),
            "No Harassment": (),
            "No Hate Speech": ("S10",),
            "No Sexually Explicit Information": ("S12",),
        },
        # WildGuardMix subcategories, Han et al. 2024, arXiv 2406.18495
        "wildguard": {
            "sensitive_information_organization_government": ("S7",),
            "private_information_individual": ("S7",),
            "copyright_violations": ("S8",),
            "toxic_language_hate_speech": ("S10",),
            "social_stereotypes_and_unfair_discrimination": ("S10",),
            "sexual_content": ("S12",),
            "violence_and_physical_harm": ("S1",),
            "mental_health_over-reliance_crisis": ("S11",),
            "defamation_encouraging_unethical_or_unsafe_actions": ("S5",),
            "fraud_assisting_illegal_activities": ("S2",),
            "cyberattack": ("S14",),
            "disseminating_false_or_misleading_information_encouraging_disinformation_campaigns": (),
            "causing_material_harm_by_disseminating_misinformation": (),
            "others": (),
            "benign": (),
        },
        # PKU-SafeRLHF, Ji et al. 2024, arXiv 2406.15513
        "pku-saferlhf": {
            "Animal Abuse": ("S1",),
            "Copyright Issues": ("S8",),
            "Cybercrime": ("S14",),
            "Discriminatory Behavior": ("S10",),
            "Disrupting Public Order": (),
            "Drugs": ("S2",),
            "Economic Crime": ("S2",),
            "Endangering National Security": (),
            "Endangering Public Health": (),
            "Environmental Damage": (),
            "Human Trafficking": ("S3",),
            "Insulting Behavior": (),
            "Mental Manipulation": (),
            "Physical Harm": ("S1",),
            "Privacy Violation": ("S7",),
            "Psychological Harm": (),
            "Sexual Content": ("S12",),
            "Violence": ("S1",),
            "White-Collar Crime": ("S2",),
        },
        # Aegis 2.0, Ghosh et al. 2025, NAACL
        "aegis-2": {
            "Violence": ("S1",),
            "Sexual": ("S12",),
            "Criminal Planning/Confessions": ("S2",),
            "Guns and Illegal Weapons": ("S2",),
            "Controlled/Regulated Substances": ("S2",),
            "Suicide and Self Harm": ("S11",),
            "Sexual (minor)": ("S4",),
            "Hate/Identity Hate": ("S10",),
            "PII/Privacy": ("S7",),
            "Harassment": (),
            "Threat": ("S1",),
            "Profanity": (),
            "Needs Caution": (),
            "Other": (),
            "Manipulation": (),
            "Fraud/Deception": ("S2",),
            "Malware": ("S14",),
            "High Risk Gov Decision Making": (),
            "Political/Misinformation/Conspiracy": (),
            "Copyright/Trademark/Plagiarism": ("S8",),
            "Unauthorized Advice": ("S6",),
            "Illegal Activity": ("S2",),
            "Immoral/Unethical": (),
            "safe": (),
        },
        # Codes as annotators of this project write them; three hazards have no native category
        "annotated": {c.code: (c.code,) for c in HAZARDS} | {"MIS": (), "HAR": (), "ENV": (), "none": ()},
    }
)


def map_label(label_set: str, label: str) -> tuple[str, ...]:
    """Return the native codes of ``label``; ``()`` if the set knows it and it has no native category.

    Raises:
        InputError: the label set or the label is unknown (a new release must not be mapped silently).
    """
    table = LABEL_SETS.get(label_set)
    if table is None:
        raise InputError(f"unknown label set {label_set!r}{nearest(label_set, LABEL_SETS)}")
    if label not in table:
        raise InputError(f"unknown label {label!r} of {label_set}{nearest(label, table)}")
    return table[label]
