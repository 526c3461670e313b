"""The command ``mllm-protector``: finds the command asked for, and turns errors into exit codes."""

from __future__ import annotations

import errno
import importlib
import os
import sys
from types import MappingProxyType
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from mllm_protector import __version__
from mllm_protector.cli.exits import EXIT_CODES, INTERRUPTED, READER_GONE
from mllm_protector.errors import OutputError, ProtectorError

__all__ = ["app", "main"]

_COMMANDS = MappingProxyType(
    {
        "check": "mllm_protector.cli.check",
        "protect": "mllm_protector.cli.protect",
        "explain": "mllm_protector.cli.explain",
        "serve": "mllm_protector.gateway.command",
        "audit": "mllm_protector.cli.audit",
        "policy": "mllm_protector.cli.policy",
        "model": "mllm_protector.cli.model",
        "evaluate": "mllm_protector.cli.evaluate",
        "compare": "mllm_protector.cli.compare",
        "attack": "mllm_protector.cli.attack",
        "analyse": "mllm_protector.cli.analyse",
        "data": "mllm_protector.cli.data",
        "synthesise": "mllm_protector.cli.synthesise",
        "train": "mllm_protector.cli.train",
        "export": "mllm_protector.cli.export",
        "calibrate": "mllm_protector.cli.calibrate",
        "cascade": "mllm_protector.cli.cascade",
    }
)


class _LazyGroup(TyperGroup):
    """A group whose commands are imported when they are named."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        """Return the names, in the order a newcomer meets them."""
        return list(_COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        """Import a command; None if there is no such command."""
        if cmd_name not in _COMMANDS:
            return None
        command = typer.main.get_command(importlib.import_module(_COMMANDS[cmd_name]).app)
        command.name = cmd_name
        return command

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Name the nearest command where there is no such command."""
        if args[0] not in _COMMANDS and not args[0].startswith("-"):
            from mllm_protector.suggest import nearest

            ctx.fail(f"no command {args[0]!r}{nearest(args[0], _COMMANDS)}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command; an error of ours is one line on stderr and an exit code."""
        try:
            return super().invoke(ctx)
        except ProtectorError as error:
            if os.environ.get("MLLM_PROTECTOR_DEBUG"):
                raise
            typer.secho(f"error: {' '.join(str(error).split())}", err=True, fg="red")
            _quiet()
            raise typer.Exit(error.exit_code) from error
        except BrokenPipeError as error:  # `| head` has seen enough
            _quiet()
            raise typer.Exit(READER_GONE) from error
        except OSError as error:  # what a command prints goes to standard output unguarded
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
                raise
            typer.secho(f"error: standard output cannot be written: {error.strerror}", err=True, fg="red")
            _quiet()
            raise typer.Exit(OutputError.exit_code) from error
        except KeyboardInterrupt as error:
            typer.echo("interrupted", err=True)
            raise typer.Exit(INTERRUPTED) from error


app = typer.Typer(
    cls=_LazyGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EXIT_CODES,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mllm-protector {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Guard what a multimodal LLM answers: find harmful responses, mend them, and judge the result again."""


def main() -> None:
    """Run the command line."""
    try:
        app(prog_name="mllm-protector")
    except KeyboardInterrupt:  # before or after a command had its say
        sys.exit(INTERRUPTED)


def _quiet() -> None:
    """Point standard output nowhere, so that what is left in its buffer cannot fail again at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
