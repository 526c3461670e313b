"""``mllm-protector policy``: the standards of safety."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from mllm_protector.cli import options

__all__ = ["app"]

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="List, show and check policies.\n\nExample:\n\n    mllm-protector policy validate my-policy.yaml",
)


@app.command("list")
def list_policies(as_json: options.Json = False) -> None:
    """List the shipped policies."""
    from mllm_protector.policies import load_policy, policy_names

    policies = [load_policy(name) for name in policy_names()]
    if as_json:
        typer.echo(json.dumps([{"name": p.name, "description": p.description} for p in policies]))
        return
    width = max(len(policy.name) for policy in policies)
    for policy in policies:
        typer.echo(f"{policy.name:{width}}  {policy.description}")


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="NAME|FILE", help="A policy.")],
    config: options.ConfigFile = None,
) -> None:
    """Print a policy as it is written; a start for your own.

    Thresholds that a target_fpr stands for follow as comments, for the detector of --config.
    """
    from mllm_protector.policies import load_policy, policy_source, target_points

    source = policy_source(name)
    typer.echo(source, nl=False)
    policy = load_policy(name)
    if not policy.targets:
        return
    from mllm_protector.assembly import build_detector
    from mllm_protector.config import Config, load_config

    detector = build_detector(Config() if config is None else load_config(config))
    for code, point in target_points(policy, detector).items():
        typer.echo(f"# {code}, target_fpr {policy.targets[code]:g}: {point}")


@app.command()
def validate(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Policy files.")],
) -> None:
    """Check policy files; the first mistake is named with its cure."""
    from mllm_protector.policies import load_policy

    for file in files:
        policy = load_policy(file)
        rules = ", ".join(f"{code}: {rule.action.value}" for code, rule in policy.categories.items())
        limit = (
            f"harm {policy.threshold:g}"
            if policy.target_fpr is None
            else f"the harm that {policy.target_fpr:.2%} of harmless answers reach"
        )
        typer.echo(f"{file}: valid; {policy.name}, {policy.action.value} from {limit}; {rules}")


@app.command()
def schema() -> None:
    """Print the JSON Schema of a policy file, for editors and other tools."""
    from mllm_protector.policies import policy_schema

    typer.echo(json.dumps(policy_schema(), indent=2))
