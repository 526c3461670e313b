"""What the README and the docs show is run, and what they list is whole."""

from __future__ import annotations

import json
import re
import shlex
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.tiny_models import save_tiny_llama
from tests.unit.training.material import rows, write_rows
from typer.main import get_command
from typer.testing import CliRunner

from mllm_protector.backends.detectors.guards.detector import build as build_guard
from mllm_protector.backends.detectors.sequence_classifier import SequenceClassifier
from mllm_protector.cli.app import app
from mllm_protector.config import load_config
from mllm_protector.gateway.settings import gateway_settings
from mllm_protector.interfaces import HarmDetector
from mllm_protector.policies import parse_policy
from mllm_protector.registry import available, make, resolve
from mllm_protector.taxonomy import CATEGORIES

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
IDS = [page.name for page in PAGES]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def commands(page: Path) -> list[list[str]]:
    """The ``mllm-protector`` commands of a page's console blocks, comments and continuations resolved."""
    lines = "\n".join(blocks(page, "console")).replace("\\\n", " ").splitlines()
    split = [shlex.split(line[2:], comments=True) for line in lines if line.startswith("$ ")]
    return [words[1:] for words in split if words[0] == "mllm-protector"]


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_python_snippets_run(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    for snippet in blocks(page, "python"):
        exec(compile(snippet, page.name, "exec"), {})


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_yaml_snippets_load(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "not-a-key")
    for snippet in blocks(page, "yaml"):
        if {"detector", "detoxifiers", "gateway"} & set(yaml.safe_load(snippet) or {}):
            (tmp_path / "guard.yaml").write_text(snippet)
            gateway_settings(load_config(tmp_path / "guard.yaml").gateway)
        else:
            parse_policy(snippet)


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_commands_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command shown works, in a folder with the files that the page speaks of."""
    policy = next(b for b in blocks(ROOT / "README.md", "yaml") if "shop.yaml" in b)
    for name in ("shop.yaml", "my.yaml"):
        (tmp_path / name).write_text(policy)
    (tmp_path / "answers.jsonl").write_text(
        json.dumps({"prompt": "What is it?", "response": "A lamp."}) + "\n"
    )
    (tmp_path / "guard.yaml").write_text("detoxifiers: [{name: embedded}]\n")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    if page.name == "train.md":
        write_rows(tmp_path / "rows.jsonl", rows())
        save_tiny_llama(tmp_path / "base")
        configuration = next(b for b in blocks(page, "yaml") if b.startswith("# guard.yaml"))
        (tmp_path / "guard.yaml").write_text(configuration)
    monkeypatch.chdir(tmp_path)
    for arguments in commands(page):
        for output in [Path(a) for a, o in zip(arguments[1:], arguments, strict=False) if o == "-o"]:
            output.unlink(missing_ok=True)
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, (arguments, result.output)


def detectors(config: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """A detector's name and options, and those of its members."""
    options = config.get("options", {})
    inside = [options[key] for key in ("first", "second") if key in options] + options.get("members", [])
    return [(config["name"], options), *(pair for one in inside for pair in detectors(one))]


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_detector_snippets_give_options_that_there_are(page: Path) -> None:
    """Those over an endpoint are built; of the others, which need weights, names and options are checked."""
    behind = {
        name
        for kind in ("openai", "transformers")
        for name in signature(resolve("chat_models", kind)).parameters
    }
    behind |= set(signature(build_guard).parameters) | set(signature(SequenceClassifier).parameters)
    for snippet in blocks(page, "yaml"):
        config = (yaml.safe_load(snippet) or {}).get("detector")
        for name, options in detectors(config) if config else ():
            factory = resolve("detectors", name)
            taken = signature(factory).parameters
            further = behind if any(p.kind is p.VAR_KEYWORD for p in taken.values()) else set()
            assert set(options) <= set(taken) | further, (page.name, name, options)
            if name in ("cascade", "ensemble") or "endpoint" in options:
                made = make("detectors", name, options)
                assert isinstance(made, HarmDetector)


def test_the_detectors_page_has_every_detector() -> None:
    text = (ROOT / "docs" / "detectors.md").read_text()
    assert [name for name in available("detectors") if f"| `{name}` |" not in text] == []


def test_the_pages_show_commands() -> None:
    assert sum(len(commands(page)) for page in PAGES) >= 8


def test_every_category_is_in_the_docs() -> None:
    text = (ROOT / "docs" / "policies.md").read_text()
    for code, category in CATEGORIES.items():
        assert f"| `{code}` | {category.name} | {category.about} |" in text


def test_links_lead_somewhere() -> None:
    for page in [*PAGES, ROOT / "CONTRIBUTING.md"]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_cli_page_names_every_command_and_option() -> None:
    text = (ROOT / "docs" / "cli.md").read_text()
    group = get_command(app)
    names = group.list_commands(None)  # type: ignore[attr-defined]
    assert set(names) >= {"check", "protect", "explain", "policy", "model"}
    for name in names:
        assert f"mllm-protector {name}" in text
        for parameter in group.get_command(None, name).params:  # type: ignore[attr-defined]
            for option in [o for o in parameter.opts if o.startswith("--")]:
                assert f"`{option}" in text, f"{name} {option}"
