"""From a policy's name or file to a ``Policy``: parsing, inheritance, and errors that name the cure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import re2
import yaml
from pydantic import BaseModel, ValidationError

from mllm_protector.errors import PolicyError
from mllm_protector.policies.document import (
    AllowDocument,
    CategoryDocument,
    PatternDocument,
    PolicyDocument,
    RewriteDocument,
    TextsDocument,
)
from mllm_protector.policy import CategoryRule, PatternRule, Policy, Texts
from mllm_protector.refusals import CRISIS, REFUSALS, UNAVAILABLE
from mllm_protector.suggest import nearest
from mllm_protector.taxonomy import CATEGORIES
from mllm_protector.types import Action

__all__ = ["load_policy", "parse_policy", "policy_names", "policy_schema", "policy_source"]

_PARTS: Mapping[str, type[BaseModel]] = {
    "categories": CategoryDocument,
    "allow": AllowDocument,
    "deny": PatternDocument,
    "texts": TextsDocument,
    "rewrite": RewriteDocument,
}
_PLANTED = {"ignore": Action.ALLOW, "flag": Action.FLAG, "refuse": Action.REFUSE}
_MAX_BYTES = 1_000_000
_SUFFIXES = (".yaml", ".yml")
# A compiled RE2 program may use this much memory; a pattern that needs more is refused when loaded.
_PATTERN_MEMORY = 1 << 20


def policy_names() -> list[str]:
    """Return the names of the shipped policies, sorted."""
    return sorted(f.name.removesuffix(".yaml") for f in _shipped().iterdir() if f.name.endswith(".yaml"))


def policy_schema() -> dict[str, Any]:
    """Return the JSON Schema of a policy file."""
    schema = PolicyDocument.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["properties"]["categories"]["anyOf"][0]["propertyNames"] = {"enum": list(CATEGORIES)}
    return schema


def policy_source(name_or_path: str | Path) -> str:
    """Return the YAML text of a shipped policy or a policy file."""
    return _read(_locate(name_or_path, None))


def load_policy(name_or_path: str | Path) -> Policy:
    """Return the policy of that name, or in that file.

    Raises:
        PolicyError: it is unknown, unreadable, malformed, or inherits from itself.
    """
    return _resolve(_locate(name_or_path, None), ())


def parse_policy(text: str, *, name: str = "policy", folder: Path | None = None) -> Policy:
    """Return the policy written in ``text``; ``extends`` paths are relative to ``folder``."""
    return _inherit(_document(text, name), name, folder, ())


class _Source:
    """Where a policy's text stands: ``key`` identifies it, ``folder`` resolves relative paths."""

    def __init__(self, key: str, default_name: str, folder: Path | None, path: Any) -> None:
        self.key, self.default_name, self.folder, self.path = key, default_name, folder, path


def _shipped() -> Any:
    return resources.files("mllm_protector.policies")


def _locate(name_or_path: str | Path, folder: Path | None) -> _Source:
    text = str(name_or_path)
    if text in policy_names():
        return _Source(f"shipped:{text}", text, None, _shipped() / f"{text}.yaml")
    looks_like_path = text.endswith(_SUFFIXES) or "/" in text or isinstance(name_or_path, Path)
    if not looks_like_path:
        raise PolicyError(f"unknown policy {text!r}{nearest(text, policy_names())}; a file's path also works")
    path = Path(text) if folder is None else folder / text
    if not path.is_file():
        raise PolicyError(f"no policy file at {path}; shipped policies: {', '.join(policy_names())}")
    return _Source(str(path.resolve()), path.stem, path.resolve().parent, path)


def _read(source: _Source) -> str:
    try:
        data: bytes = source.path.read_bytes()
    except OSError as error:
        raise PolicyError(f"cannot read the policy {source.path}: {error.strerror}") from error
    if len(data) > _MAX_BYTES:
        raise PolicyError(f"the policy {source.path} has {len(data)} bytes; at most {_MAX_BYTES} are read")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise PolicyError(
            f"the policy {source.path} is not UTF-8 (byte {error.start}); save it as UTF-8"
        ) from error


def _resolve(source: _Source, seen: tuple[str, ...]) -> Policy:
    if source.key in seen:
        chain = " -> ".join(Path(key).name for key in (*seen, source.key))
        raise PolicyError(f"policies extend each other in a circle: {chain}; remove one `extends`")
    document = _document(_read(source), source.default_name)
    return _inherit(document, source.default_name, source.folder, (*seen, source.key))


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML's safe subset, in which a repeated key is an error instead of a silent loss."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands here twice", node.start_mark
                )
        return super().construct_mapping(node, deep)

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise yaml.constructor.ConstructorError(
                None, None, "aliases (*name) are not allowed", event.start_mark
            )
        return super().compose_node(parent, index)


def _document(text: str, name: str) -> PolicyDocument:
    try:
        loaded = yaml.load(text, Loader=_UniqueKeyLoader)  # noqa: S506 (a safe loader, made stricter)
    except (yaml.YAMLError, RecursionError) as error:
        raise PolicyError(f"policy {name}: not valid YAML: {_one_line(error)}") from error
    if loaded is None:
        loaded = {}
    if not isinstance(loaded, dict):
        raise PolicyError(f"policy {name}: a policy is a mapping of keys, this is a {type(loaded).__name__}")
    _check_codes(loaded, name)
    try:
        return PolicyDocument.model_validate(loaded)
    except ValidationError as error:
        raise PolicyError(f"policy {name}: {_explain(error)}") from error


def _check_codes(loaded: dict[Any, Any], name: str) -> None:
    named = [loaded.get("categories"), loaded.get("resources")]
    for code in (code for part in named if isinstance(part, dict) for code in part):
        if code not in CATEGORIES:
            raise PolicyError(
                f"policy {name}: unknown hazard category {code!r}{nearest(str(code), CATEGORIES)}"
            )


def _explain(error: ValidationError) -> str:
    # A misspelt key is the cause where a required one seems to be missing too.
    errors = error.errors()
    first = next((e for e in errors if e["type"] == "extra_forbidden"), errors[0])
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        key = str(first["loc"][-1])
        return f"unknown key {where!r}{nearest(key, _known_keys(first['loc']))}"
    if first["type"] == "value_error":  # our own words, about several keys
        return f"{where or 'the policy'}: {first['ctx']['error']}"
    return f"{where}: {first['msg'].lower()} (got {first['input']!r})"


def _known_keys(location: tuple[int | str, ...]) -> Iterable[str]:
    """Return the keys that are allowed where an unknown one stood."""
    if len(location) == 1:
        return PolicyDocument.model_fields
    return _PARTS[str(location[0])].model_fields


def _one_line(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    return f"line {mark.line + 1}: {problem}" if mark is not None else str(problem)


def _inherit(document: PolicyDocument, name: str, folder: Path | None, seen: tuple[str, ...]) -> Policy:
    if document.extends is None:
        base = Policy(name=name, texts=_built_in())
    else:
        base = _resolve(_locate(document.extends, folder), seen)
    d = document
    threshold, target = _limit(d.threshold, d.target_fpr, base.threshold, base.target_fpr)
    action = base.action if d.action is None else Action(d.action)
    return Policy(
        name=d.name or name,
        description=base.description if d.description is None else d.description,
        threshold=threshold,
        action=action,
        on_error=base.on_error if d.on_error is None else Action(d.on_error),
        max_attempts=base.max_attempts if d.max_attempts is None else d.max_attempts,
        categories=dict(base.categories)
        | _rules(d, base, CategoryRule(threshold, action, target_fpr=target)),
        allow=base.allow + tuple(_pattern(a.pattern, Action.ALLOW, a.reason, name) for a in d.allow or ()),
        deny=base.deny + tuple(_pattern(p.pattern, Action(p.action), p.reason, name) for p in d.deny or ()),
        third_party_instruction=base.third_party_instruction
        if d.third_party_instruction is None
        else _PLANTED[d.third_party_instruction],
        texts=base.texts if d.texts is None else _texts(d.texts, base.texts),
        rewrite=base.rewrite
        if d.rewrite is None
        else replace(base.rewrite, **d.rewrite.model_dump(exclude_none=True)),
        country=base.country if d.country is None else d.country,
        resources=dict(base.resources) | (d.resources or {}),
        target_fpr=target,
    )


def _limit(
    threshold: float | None, target: float | None, inherited: float, inherited_target: float | None
) -> tuple[float, float | None]:
    """The threshold and the target_fpr in force; a target leaves the threshold at 0 until it is resolved."""
    if threshold is not None:
        return threshold, None
    return (inherited, inherited_target) if target is None else (0.0, target)


def _built_in() -> Texts:
    """The wordings that ship, in ten languages."""
    translations = {
        language: {
            "refuse": REFUSALS[language],
            "unavailable": UNAVAILABLE[language],
            "crisis": CRISIS[language],
        }
        for language in REFUSALS
    }
    return Texts(REFUSALS["en"], UNAVAILABLE["en"], crisis=CRISIS["en"], translations=translations)


def _texts(document: TextsDocument, base: Texts) -> Texts:
    """A text that a policy sets replaces its translations too: they would say something else."""
    own = document.model_dump(exclude={"translations"}, exclude_none=True)
    kept = {
        language: {name: text for name, text in texts.items() if name not in own}
        for language, texts in base.translations.items()
    }
    for language, texts in (document.translations or {}).items():
        kept[language] = kept.get(language, {}) | texts.model_dump(exclude_none=True)
    return replace(base, **own, translations={language: texts for language, texts in kept.items() if texts})


def _rules(document: PolicyDocument, base: Policy, plain: CategoryRule) -> dict[str, CategoryRule]:
    """The rules that the document names; ``plain`` is what a rule without keys would be."""
    rules = {}
    for code, rule in (document.categories or {}).items():
        inherited = base.categories.get(code, plain)
        limit = _limit(rule.threshold, rule.target_fpr, inherited.threshold, inherited.target_fpr)
        rules[code] = CategoryRule(
            threshold=limit[0],
            target_fpr=limit[1],
            action=inherited.action if rule.action is None else Action(rule.action),
            text=rule.text or inherited.text,
        )
    return rules


def _pattern(pattern: str, action: Action, reason: str, name: str) -> PatternRule:
    options = re2.Options()
    options.max_mem = _PATTERN_MEMORY
    options.log_errors = False
    try:
        compiled = re2.compile(pattern, options)
    except re2.error as error:
        message = error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else str(error)
        raise PolicyError(f"policy {name}: pattern {pattern!r} is not RE2 syntax: {message}") from error
    return PatternRule(pattern, compiled, action, reason)
