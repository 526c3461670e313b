"""``synthesise`` put together: models, judges, the account of what they used, and the report."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Self

import typer
import yaml

from mllm_protector.backends.judges.llm import LlmJudge
from mllm_protector.backends.judges.refusal import Refusal, refusal_of
from mllm_protector.cli.grid import show
from mllm_protector.data.files import write_whole
from mllm_protector.data.synthesis.metering import MeteredModel, Pacer, Spending
from mllm_protector.data.synthesis.pipeline import Outcome, Plan, Synthesis
from mllm_protector.data.synthesis.pipeline import synthesise as make_records
from mllm_protector.data.synthesis.scenarios import load_script
from mllm_protector.data.writing import write_records
from mllm_protector.errors import BackendError, ConfigError, OutputError
from mllm_protector.evaluation.backends import harm_seats, model_of
from mllm_protector.evaluation.memory import AnswerStore, RememberingModel
from mllm_protector.evaluation.panel import Seat
from mllm_protector.evaluation.rendering.tables import Table
from mllm_protector.interfaces import ChatModel
from mllm_protector.suggest import nearest

__all__ = ["Settings", "load_settings", "run", "show_report"]

_TEMPERATURE = 0.9
"""Of the writing model where it is an endpoint: at 0 the questions of a scenario resemble each other."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a run is made of; also the keys of ``--config``.

    Attributes:
        model: who writes, ``KIND:NAME`` or ``module:Class``.
        base_url: where that is.
        model_options: further arguments of it, such as ``temperature`` or ``prices``.
        judges: as for ``evaluate``; () asks the writing model itself.
        judge_base_url: where the judge is; None: where the model is.
        scenarios: a file of scenarios, None for the one that ships.
        count: questions to keep.
        source, licence: of the records.
        budget_tokens: begin no round beyond so many.
        requests_per_minute: of all models together.
        workers: requests under way at once.
        seed: of the models.
    """

    model: str
    base_url: str | None = None
    model_options: Mapping[str, Any] = field(default_factory=dict)
    judges: tuple[str, ...] = ()
    judge_base_url: str | None = None
    scenarios: Path | None = None
    count: int = 100
    source: str = "synthetic"
    licence: str = "none stated"
    budget_tokens: int | None = None
    requests_per_minute: float | None = None
    workers: int = 8
    seed: int = 0


_KINDS: Mapping[str, tuple[type, ...]] = {
    "model": (str,), "base_url": (str,), "model_options": (dict,), "judges": (list,),
    "judge_base_url": (str,), "scenarios": (str,), "count": (int,), "source": (str,), "licence": (str,),
    "budget_tokens": (int,), "requests_per_minute": (int, float), "workers": (int,), "seed": (int,),
}  # fmt: skip


def load_settings(path: Path) -> dict[str, Any]:
    """Return the keys of a configuration file; a relative path of scenarios is taken from its folder.

    Raises:
        ConfigError: it cannot be read, or a key is unknown or of the wrong kind.
    """
    try:
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"{path} is not valid YAML: {' '.join(str(error).split())[:200]}") from error
    if not isinstance(loaded, dict):
        raise ConfigError(f"{path}: a mapping of keys is expected, such as `model: openai:my-model`")
    names = [f.name for f in fields(Settings)]
    for key, value in loaded.items():
        if key not in names:
            raise ConfigError(f"{path}: unknown key {key!r}{nearest(str(key), names)}")
        if isinstance(value, bool) or not isinstance(value, _KINDS[key]):
            raise ConfigError(f"{path}: `{key}` must be {' or '.join(kind.__name__ for kind in _KINDS[key])}")
    for key in ("count", "workers", "budget_tokens", "requests_per_minute"):
        if key in loaded and loaded[key] <= 0:
            raise ConfigError(f"{path}: `{key}` must be above 0")
    if "scenarios" in loaded:
        loaded["scenarios"] = path.parent / loaded["scenarios"]
    if "judges" in loaded:
        loaded["judges"] = tuple(map(str, loaded["judges"]))
    return loaded


def run(
    settings: Settings,
    out: Path,
    *,
    cache: Path | None = None,
    overwrite: bool = False,
    advanced: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:
    """Make the records, write them, and return the report, which also lies beside them.

    Raises:
        ConfigError, InputError, MissingExtraError: something cannot be built or read.
        BackendError: no question was kept; OutageError: a model is gone.
        OutputError: the result cannot be written.
    """
    script = load_script(settings.scenarios)
    account = _Account(out.with_name(out.name + ".usage.json"))
    pacer = Pacer(settings.requests_per_minute)

    def metered(model: ChatModel) -> ChatModel:
        account.models.append(MeteredModel(model, pacer))
        return account.models[-1]

    def spent() -> bool:
        account.save()
        return settings.budget_tokens is not None and account.total.tokens >= settings.budget_tokens

    with AnswerStore(cache or out.with_name(out.name + ".answers.sqlite")) as store, account:
        model = model_of(settings.model, _options(settings), settings.seed, store, settings.workers, metered)
        judges = _judges(settings, model, store, metered)
        made = make_records(
            Plan(script, settings.count, settings.source, settings.licence),
            model,
            [seat.judge for seat in judges],
            refuses=lambda text: refusal_of(text) is Refusal.FULL,
            stop=spent,
            advanced=advanced,
        )
    report = _report(
        settings, made, account, model.identity, [seat.identity for seat in judges], script.digest
    )
    if not made.records and not made.stopped:
        what = (
            ", ".join(f"{name} {number}" for name, number in made.outcomes.most_common(3)) or "nothing came"
        )
        raise BackendError(f"no question was kept ({what}); try another model, judge or scenarios")
    write_records(out, made.records, overwrite=overwrite)
    write_whole(
        out.with_name(out.name + ".report.json"), json.dumps(report, ensure_ascii=False, indent=1) + "\n"
    )
    return report


def show_report(report: Mapping[str, Any], out: Path) -> None:
    """Print what was made, what was not and why, and what it cost."""
    head = ("scenario", "kept", "wanted")
    rows = tuple((n, str(s["kept"]), str(s["wanted"])) for n, s in report["scenarios"].items())
    show(Table("Scenarios", head, rows))
    show(
        Table(
            "What came of it", ("outcome", "count"), tuple((n, str(c)) for n, c in report["outcomes"].items())
        )
    )
    used = report["usage"]
    roughly = "about " if used["estimated"] else ""
    typer.echo(
        f"{report['records']} records in {out}; {used['requests']} requests, {roughly}"
        f"{used['prompt_tokens']} + {roughly}{used['completion_tokens']} tokens, cost {used['cost']:.4f}",
        err=True,
    )
    if report["stopped"]:
        typer.secho(
            "note: the budget is spent; a larger --budget-tokens and --overwrite go on", err=True, fg="yellow"
        )


class _Account:
    """What the models used, runs before this one included; at the end of its block they are closed."""

    def __init__(self, path: Path) -> None:
        self.models: list[MeteredModel] = []
        self._path = path
        self._before = Spending()
        if path.exists():
            try:
                self._before = Spending(**json.loads(path.read_bytes()))
            except (OSError, ValueError, TypeError) as error:
                raise OutputError(f"{path} is damaged; delete it to count from 0") from error

    @property
    def total(self) -> Spending:
        """All of it."""
        return sum((model.spending for model in self.models), self._before)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for model in self.models:
            model.close()
        self.save()

    def save(self) -> None:
        """Keep the total for the runs to come."""
        if self.total.requests:
            write_whole(self._path, json.dumps(asdict(self.total)) + "\n")


def _options(settings: Settings) -> dict[str, Any]:
    warm = {"temperature": _TEMPERATURE} if settings.model.startswith("openai:") else {}
    return {"base_url": settings.base_url, **warm, **settings.model_options}


def _judges(
    settings: Settings, model: RememberingModel, store: AnswerStore, metered: Callable[[ChatModel], ChatModel]
) -> tuple[Seat, ...]:
    """Return who judges: those named, else the writing model itself, at an endpoint with temperature 0."""
    options = {"base_url": settings.judge_base_url or settings.base_url}
    if not settings.judges:
        if not settings.model.startswith("openai:"):  # a local model is not loaded twice
            return (Seat(f"llm={settings.model}", LlmJudge(model), model.identity),)
        options |= {key: value for key, value in settings.model_options.items() if key != "temperature"}
    specs = settings.judges or (f"llm={settings.model}",)
    return harm_seats(specs, options, settings.seed, lambda: store, settings.workers, metered)


def _report(
    settings: Settings, made: Synthesis, account: _Account, model: str, judges: list[str], script: str
) -> dict[str, Any]:
    order = [Outcome.KEPT, *sorted(set(made.outcomes) - {Outcome.KEPT})]
    return {
        "records": len(made.records),
        "model": model,
        "judges": judges,
        "scenario_file": script,
        "licence": settings.licence,
        "scenarios": {name: {"kept": kept, "wanted": n} for name, (kept, n) in made.scenarios.items()},
        "outcomes": {name: made.outcomes[name] for name in order},
        "usage": asdict(account.total),
        "stopped": made.stopped,
    }
