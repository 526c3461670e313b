"""What is asked for: scenarios and the prompts of the three requests, read strictly from one YAML file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from mllm_protector.errors import InputError
from mllm_protector.suggest import nearest
from mllm_protector.taxonomy import CATEGORIES

__all__ = ["SHIPPED", "Prompts", "Scenario", "Script", "load_script"]

SHIPPED = Path(__file__).parent / "scenarios.yaml"
_NEEDED = {"questions": ("count", "batch"), "harmful": ("question",), "safe": ("question",)}


@dataclass(frozen=True, slots=True)
class Scenario:
    """One kind of harm.

    Attributes:
        name: what it is called, once per file.
        about: what it covers.
        categories: codes that its harmful answers get.
    """

    name: str
    about: str
    categories: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Prompts:
    """Templates of the three requests; ``{name}`` is filled in.

    Attributes:
        system: said before each of them.
        questions: asks for ``{count}`` questions of ``{scenario}``, which covers ``{about}``; ``{batch}``
            counts how often it was asked, ``{known}`` lists some that are there.
        harmful: asks for a harmful answer to ``{question}``.
        safe: asks for a safe and relevant one.
    """

    system: str
    questions: str
    harmful: str
    safe: str


@dataclass(frozen=True, slots=True)
class Script:
    """A whole file.

    Attributes:
        prompts: the requests.
        scenarios: in order.
        digest: of the file, for reports.
    """

    prompts: Prompts
    scenarios: tuple[Scenario, ...]
    digest: str


def load_script(path: Path | None = None) -> Script:
    """Return the script in a file, or the one that ships, whose prompts a file may leave as they are.

    Raises:
        InputError: it cannot be read, or a key, a placeholder or a category is wrong.
    """
    data, digest = _read(path or SHIPPED)
    shipped = data if path is None else _read(SHIPPED)[0]
    where = str(path or SHIPPED.name)
    if not isinstance(data, dict):
        raise InputError(f"{where}: a mapping with the key `scenarios` is expected")
    _known(where, data, ("prompts", "scenarios"))
    prompts = _prompts(where, {**shipped["prompts"], **(data.get("prompts") or {})})
    rows = data.get("scenarios")
    if not isinstance(rows, list) or not rows:
        raise InputError(f"{where}: `scenarios` is a list of {{name, about, categories}}")
    scenarios = tuple(_scenario(f"{where}: scenario {n}", row) for n, row in enumerate(rows, start=1))
    names = [scenario.name for scenario in scenarios]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InputError(f"{where}: the scenario {twice!r} is there twice; give each its own name")
    return Script(prompts, scenarios, digest)


def _read(path: Path) -> tuple[Any, str]:
    try:
        data = path.read_bytes()
        return yaml.safe_load(data.decode("utf-8")), hashlib.sha256(data).hexdigest()[:12]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise InputError(f"{path} is not valid YAML: {' '.join(str(error).split())[:200]}") from error


def _prompts(where: str, data: Mapping[str, Any]) -> Prompts:
    _known(f"{where}: prompts", data, [f.name for f in fields(Prompts)])
    for name, value in data.items():
        if not isinstance(value, str):
            raise InputError(f"{where}: the prompt `{name}` must be text")
        for key in _NEEDED.get(name, ()):
            if f"{{{key}}}" not in value:
                raise InputError(f"{where}: the prompt `{name}` lacks the placeholder {{{key}}}")
    return Prompts(**{name: value.strip() for name, value in data.items()})


def _scenario(where: str, row: Any) -> Scenario:
    if not isinstance(row, dict):
        raise InputError(f"{where} must be a mapping of name, about and categories")
    _known(where, row, [f.name for f in fields(Scenario)])
    name, about, categories = row.get("name"), row.get("about"), row.get("categories")
    if not (isinstance(name, str) and name and isinstance(about, str) and about):
        raise InputError(f"{where} needs a name and an about, both text")
    if not isinstance(categories, list) or not categories:
        raise InputError(f"{where} ({name}) needs categories, such as [S2]")
    for code in categories:
        if code not in CATEGORIES:
            raise InputError(f"{where} ({name}): unknown category {code!r}{nearest(str(code), CATEGORIES)}")
    return Scenario(name, about, tuple(categories))


def _known(where: str, data: Mapping[str, Any], names: Any) -> None:
    for key in data:
        if key not in names:
            raise InputError(f"{where}: unknown key {key!r}{nearest(str(key), names)}")
