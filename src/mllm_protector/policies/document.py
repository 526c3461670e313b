"""What a policy file may say. Every key is optional; an unknown one is an error."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

__all__ = ["CategoryDocument", "PatternDocument", "PolicyDocument", "RewriteDocument", "TextsDocument"]

Threshold = Annotated[
    float, Field(gt=0.0, le=1.0, strict=True, description="probability from which the action applies")
]
TargetFpr = Annotated[
    float,
    Field(
        gt=0.0,
        lt=1.0,
        strict=True,
        description="in place of a threshold: the share of harmless answers that may be acted on; the "
        "threshold is taken from the operating points of the detector's calibration",
    ),
]
ActionName = Literal["allow", "flag", "disclaim", "detoxify", "refuse"]
# YAML 1.2 has one spelling of a text; a number where a text is meant is a mistake, not a text.
Text = Annotated[str, StringConstraints(strict=True, strip_whitespace=True, min_length=1, max_length=4000)]
Country = Annotated[str, StringConstraints(pattern=r"^([A-Z]{2}|default)$")]
LanguageCode = Literal["en", "zh", "es", "hi", "ar", "pt", "ru", "ja", "de", "fr"]
Pattern = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=1000)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _OneLimit(_Strict):
    """What has a limit: a threshold or a target_fpr, not both."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if getattr(self, "threshold", None) is not None and getattr(self, "target_fpr", None) is not None:
            raise ValueError("give a threshold or a target_fpr, not both")
        return self


class CategoryDocument(_OneLimit):
    """The rule of one hazard category."""

    threshold: Threshold | None = Field(
        None, description="default: the policy's threshold, or its target_fpr"
    )
    target_fpr: TargetFpr | None = None
    action: ActionName | None = Field(None, description="default: the policy's action")
    text: Text | None = Field(None, description="refusal or disclaimer for this category")


class PatternDocument(_Strict):
    """A pattern in RE2 syntax: its cost is linear in the text, whatever it says."""

    pattern: Pattern
    reason: str = Field("", max_length=500, description="why it is here, shown in results")
    action: Literal["flag", "disclaim", "detoxify", "refuse"] = Field(
        "refuse", description="for deny patterns"
    )


class AllowDocument(_Strict):
    """A pattern that clears a response which it matches as a whole."""

    pattern: Pattern
    reason: str = Field("", max_length=500, description="why it is here, shown in results")


class TranslationDocument(_Strict):
    """Fixed texts in one language."""

    refuse: Text | None = None
    unavailable: Text | None = None
    disclaim: Text | None = None
    crisis: Text | None = None


class TextsDocument(_Strict):
    """Fixed texts."""

    refuse: Text | None = Field(None, description="delivered when nothing else may be")
    unavailable: Text | None = Field(
        None, description="delivered when the guard failed and on_error is refuse"
    )
    disclaim: Text | None = Field(None, description="appended by disclaim; default: a wording per category")
    crisis: Text | None = Field(None, description="the refusal where self-harm is in question")
    translations: dict[LanguageCode, TranslationDocument] | None = Field(
        None, description="language -> the texts above in that language; the prompt's language is used"
    )


class RewriteDocument(_Strict):
    """What a rewrite is held to, beside the thresholds."""

    seconds: Annotated[float, Field(gt=0.0, le=3600.0)] | None = Field(
        None, description="no attempt begins after this time; default 60"
    )
    relevance: Annotated[float, Field(ge=0.0, le=1.0)] | None = Field(
        None, description="share of the request that a rewrite must speak to; 0 asks for none; default 0.1"
    )
    copied_words: Annotated[int, Field(strict=True, ge=3, le=1000)] | None = Field(
        None, description="longest run of words that may be repeated from the harmful text; default 15"
    )
    max_words: Annotated[int, Field(strict=True, ge=10, le=10_000)] | None = Field(
        None, description="a longer rewrite is rejected; default: no limit"
    )
    tone: Text | None = Field(None, description="how it should sound, for back-ends that can be told")


class PolicyDocument(_OneLimit):
    """A standard of safety for one application."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")] | None = Field(
        None, description="default: the file's name"
    )
    description: str | None = Field(None, max_length=500)
    extends: Text | None = Field(None, description="a shipped policy's name, or a path relative to this file")
    threshold: Threshold | None = Field(None, description="P(harmful) from which the action is ordered")
    target_fpr: TargetFpr | None = None
    action: ActionName | None = Field(None, description="the global order")
    on_error: Literal["refuse", "allow"] | None = Field(None, description="what happens when the guard fails")
    max_attempts: Annotated[int, Field(strict=True, ge=1, le=20)] | None = Field(
        None, description="rewrites tried before the refusal"
    )
    categories: dict[str, CategoryDocument] | None = Field(None, description="hazard category code -> rule")
    allow: list[AllowDocument] | None = Field(None, max_length=200, description="added to the inherited ones")
    deny: list[PatternDocument] | None = Field(
        None, max_length=200, description="added to the inherited ones"
    )
    third_party_instruction: Literal["ignore", "flag", "refuse"] | None = Field(
        None, description="what an instruction to the model in an image or a recording orders; default flag"
    )
    texts: TextsDocument | None = None
    rewrite: RewriteDocument | None = None
    country: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")] | None = Field(
        None, description="two letters: whose resources are shown"
    )
    resources: dict[str, dict[Country, Text]] | None = Field(
        None, description="hazard category code -> country or `default` -> where to find help"
    )
