"""The one place where probabilities become a decision.

A policy is a value: thresholds, actions and texts per hazard category, and patterns. It does no I/O
(``policies`` reads it from YAML) and knows no back-end. How it decides, in this order:

1. A deny pattern found in the response orders its action.
2. An allow pattern that matches the whole response allows it, whatever its score.
3. Each hazard category with a rule orders that rule's action if its probability reaches the rule's
   threshold.
4. If ``harm`` reaches the global threshold, the global action is ordered, unless every category
   that explains the harm (its probability is at least half of ``harm``) has a rule that is milder
   than the global one: then those rules alone speak. So ``S12: {action: allow}`` lets erotic
   content pass and nothing else.
5. An instruction to the model that stands in an image or a recording orders what
   ``third_party_instruction`` says.
6. The most severe of what was ordered is done.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from mllm_protector.disclaimers import with_disclaimer
from mllm_protector.planted import find_planted
from mllm_protector.taxonomy import ADVICE, CATEGORIES
from mllm_protector.types import Action, Detection, Exchange, PlantedInstruction, Query, Standard

__all__ = ["CategoryRule", "Decision", "Matcher", "PatternRule", "Policy", "RewriteRules", "Texts"]

_SELF_HARM = "S11"
_ADVICE = frozenset(c.code for c in ADVICE)
# A category that holds at least this share of the harm explains it.
_EXPLAINS = 0.5


class Matcher(Protocol):
    """A compiled pattern whose cost is linear in the text (RE2's face)."""

    def search(self, text: str, /) -> object | None: ...
    def fullmatch(self, text: str, /) -> object | None: ...


@dataclass(frozen=True, slots=True)
class CategoryRule:
    """What is done about one hazard category.

    Attributes:
        threshold: probability in [0, 1] from which the rule applies.
        action: what it orders.
        text: refusal or disclaimer used for this category, None for the policy's own.
        target_fpr: rate of false alarms that the threshold still has to be taken from, see ``Policy``.
    """

    threshold: float
    action: Action
    text: str | None = None
    target_fpr: float | None = None


@dataclass(frozen=True, slots=True)
class PatternRule:
    """An allow-list or deny-list pattern.

    Attributes:
        pattern: RE2 syntax.
        matcher: the same, compiled.
        action: what finding it orders (ALLOW for an allow pattern).
        reason: why it is there, for the people who read a protection.
    """

    pattern: str
    matcher: Matcher = field(repr=False, compare=False)
    action: Action
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Texts:
    """Fixed texts of a policy.

    Attributes:
        refuse: the last resort: delivered when nothing else may be.
        unavailable: delivered when the guard itself failed and the policy refuses then.
        disclaim: appended by DISCLAIM; None takes a wording for the category at hand.
        crisis: the refusal where self-harm is in question; None takes ``refuse``.
        translations: language code -> name of a text above -> that text in the language.
    """

    refuse: str
    unavailable: str
    disclaim: str | None = None
    crisis: str | None = None
    translations: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def in_language(self, name: str, language: str) -> str | None:
        """Return the text called ``name`` in ``language``; the text itself where it is not translated."""
        own: str | None = getattr(self, name)
        return self.translations.get(language, {}).get(name, own)


@dataclass(frozen=True, slots=True)
class RewriteRules:
    """What a rewrite is held to, beside the standard of safety.

    Attributes:
        seconds: no further attempt begins after this time; back-ends are told what is left.
        relevance: floor in [0, 1] that a ``RelevanceMeter`` must find; 0 asks for none.
        copied_words: a rewrite that repeats a longer run of words of the harmful text is rejected.
        max_words: most words of a rewrite, None for no limit.
        tone: how it should sound, in words, for back-ends that can be told.
    """

    seconds: float = 60.0
    relevance: float = 0.1
    copied_words: int = 15
    max_words: int | None = None
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """What a policy orders for one exchange.

    Attributes:
        action: the order.
        hazards: category codes that led to it, most probable first.
        reason: one line for people.
        text: the refusal or disclaimer of the category that led to it, None for the policy's own.
    """

    action: Action
    hazards: tuple[str, ...] = ()
    reason: str = ""
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """A standard of safety.

    Attributes:
        name: how it is called in results.
        description: whom it is for, in a line.
        threshold: P(harmful) in (0, 1] from which ``action`` is ordered.
        action: the global order.
        on_error: REFUSE (fail closed) or ALLOW (fail open; every bypass is recorded).
        categories: code -> rule.
        allow: patterns that clear a response they match as a whole.
        deny: patterns that order their action wherever they are found.
        third_party_instruction: what finding one orders: FLAG, REFUSE, or ALLOW, which looks for none.
        texts: fixed texts.
        max_attempts: rewrites tried per exchange before the refusal, at least 1.
        rewrite: what rewrites are held to.
        country: two letters; whose ``resources`` are shown, "" for the default ones.
        resources: category code -> country (or ``default``) -> where to find help, shown under what is
            delivered in place of a response.
        target_fpr: rate of false alarms that the threshold still has to be taken from, by
            ``policies.resolve_targets`` with the detector's operating points; None once that is done. Until
            then the threshold is 0: everything is acted on.
    """

    name: str
    texts: Texts
    description: str = ""
    threshold: float = 0.5
    action: Action = Action.DETOXIFY
    on_error: Action = Action.REFUSE
    categories: Mapping[str, CategoryRule] = field(default_factory=dict)
    allow: tuple[PatternRule, ...] = ()
    deny: tuple[PatternRule, ...] = ()
    third_party_instruction: Action = Action.FLAG
    max_attempts: int = 3
    rewrite: RewriteRules = field(default_factory=RewriteRules)
    country: str = ""
    resources: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    target_fpr: float | None = None

    @property
    def targets(self) -> dict[str, float]:
        """Rates of false alarms that are still to be resolved: ``harm`` or category code -> rate."""
        own = {} if self.target_fpr is None else {"harm": self.target_fpr}
        rules = {c: r.target_fpr for c, r in self.categories.items() if r.target_fpr is not None}
        return own | rules

    def refusal(self, decision: Decision, language: str) -> str:
        """Return the fixed text delivered in place of a response, its resources included."""
        crisis = self.texts.in_language("crisis", language) if _SELF_HARM in decision.hazards else None
        text = decision.text or crisis or self.texts.in_language("refuse", language) or self.texts.refuse
        return with_disclaimer(text, self.resource(decision.hazards))

    def resource(self, hazards: tuple[str, ...]) -> str:
        """Return where help is found with the first of ``hazards`` that the policy knows it for, or ""."""
        for code in hazards:
            by_country = self.resources.get(code, {})
            found = by_country.get(self.country) or by_country.get("default")
            if found:
                return found
        return ""

    def decide(self, detection: Detection, exchange: Exchange) -> Decision:
        """Return the order for ``exchange`` given what the detector said of it."""
        order = self._of_response(detection, exchange)
        planted = self.third_party_instruction
        if order.action.severity >= planted.severity or not self.planted(exchange.query):
            return order
        return Decision(planted, reason="an instruction to the model stands in an image or a recording")

    def planted(self, query: Query) -> tuple[PlantedInstruction, ...]:
        """Return the instructions to the model that stand in the media of ``query``; () if ignored."""
        return () if self.third_party_instruction is Action.ALLOW else find_planted(query.image_text)

    def _of_response(self, detection: Detection, exchange: Exchange) -> Decision:
        denied = self.denied(exchange.response)
        if denied is not None:
            return denied
        for rule in self.allow:
            if rule.matcher.fullmatch(exchange.response.strip()):
                return Decision(Action.ALLOW, reason=f"allow pattern {rule.pattern!r}{_because(rule)}")
        return self._from_scores(detection)

    def denied(self, response: str) -> Decision | None:
        """Return the most severe order of the deny patterns found in ``response``, None if none is."""
        found = [rule for rule in self.deny if rule.matcher.search(response)]
        if not found:
            return None
        worst = max(found, key=lambda rule: rule.action.severity)
        return Decision(worst.action, reason=f"deny pattern {worst.pattern!r}{_because(worst)}")

    def standard(self) -> Standard:
        """Return what a rewritten text is held to: below every limit that orders a rewrite or refusal."""
        limits = {
            code: rule.threshold
            for code, rule in self.categories.items()
            if rule.action in (Action.DETOXIFY, Action.REFUSE)
        }
        return Standard(harm=self.threshold, categories=limits)

    def _from_scores(self, detection: Detection) -> Decision:
        ranked = sorted(detection.categories.items(), key=lambda item: (-item[1], item[0]))
        orders: list[Decision] = []
        for code, probability in ranked:
            rule = self.categories.get(code)
            if rule is not None and probability >= rule.threshold:
                reason = f"{_name(code)} {probability:.2f} >= {rule.threshold:.2f}"
                orders.append(Decision(rule.action, (code,), reason, rule.text))
        if detection.harm >= self.threshold and not self._excused(detection):
            reason = f"harm {detection.harm:.2f} >= {self.threshold:.2f}"
            hazards = tuple(c for c, p in ranked if c not in _ADVICE and p >= _EXPLAINS * detection.harm)
            orders.append(Decision(self.action, hazards, reason))
        if not orders:
            below = detection.harm < self.threshold
            reason = f"harm {detection.harm:.2f} < {self.threshold:.2f}" if below else "its category may pass"
            return Decision(Action.ALLOW, reason=reason)
        worst = max(orders, key=lambda order: order.action.severity)
        hazards = tuple(
            dict.fromkeys(code for order in orders if order.action is worst.action for code in order.hazards)
        )
        return Decision(worst.action, hazards, worst.reason, worst.text)

    def _excused(self, detection: Detection) -> bool:
        """True if only categories whose rules are milder than the global one explain the harm."""
        explaining = [
            code
            for code, probability in detection.categories.items()
            if code not in _ADVICE and probability >= _EXPLAINS * detection.harm
        ]
        return bool(explaining) and all(self._milder(self.categories.get(code)) for code in explaining)

    def _milder(self, rule: CategoryRule | None) -> bool:
        return rule is not None and (
            rule.action.severity < self.action.severity or rule.threshold > self.threshold
        )


def _name(code: str) -> str:
    known = CATEGORIES.get(code)
    return code if known is None else f"{code} {known.name}"


def _because(rule: PatternRule) -> str:
    return f" ({rule.reason})" if rule.reason else ""
