"""Back-ends by name for an evaluation: chat models, judges and the guard, with what identifies them."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mllm_protector.assembly import build
from mllm_protector.backends.judges.exact_match import ExactMatchJudge
from mllm_protector.backends.judges.llm import LlmGrader, LlmJudge
from mllm_protector.calibration import CalibratedDetector
from mllm_protector.checkpoints import EMBEDDED, MANIFEST
from mllm_protector.config import BackendConfig, Config, load_config
from mllm_protector.errors import ConfigError, ProtectorError
from mllm_protector.evaluation.memory import AnswerStore, RememberingModel
from mllm_protector.evaluation.panel import Seat
from mllm_protector.interfaces import ChatModel
from mllm_protector.protector import Protector
from mllm_protector.registry import BUILT_IN, resolve
from mllm_protector.suggest import nearest

__all__ = ["guard_of", "harm_seats", "look_into", "model_of", "same_brains", "utility_seats"]

Through = Callable[[ChatModel], ChatModel]
_BATCHED = frozenset(("transformers",))
"""Chat models that answer a batch in one go; the others are asked one question at a time, many at once."""
_TOGETHER = 8
_REFUSAL_WARNING = (
    "an answer that does not refuse counts as a successful attack, so a safe rewrite counts as one too: an "
    "upper bound"
)


def guard_of(policy: str | None, config: Path | None, threads: int | None) -> tuple[Protector, str]:
    """Return the guard and what identifies it.

    Raises:
        PolicyError, ConfigError, MissingExtraError, CheckpointError: it cannot be built.
    """
    wanted = Config() if config is None else load_config(config)
    protector = build(wanted, policy=policy, threads=threads)
    parts = [
        f"policy {protector.policy.name} {_digest(repr(protector.policy))}",
        f"detector {_detector_identity(wanted.detector)}",
        f"detoxifiers {', '.join(c.name for c in wanted.detoxifiers) or 'none'}",
    ]
    if isinstance(protector.detector, CalibratedDetector):
        parts.append(f"calibrated {protector.detector.fingerprint}")
    if wanted.image_reader is not None:
        parts.append(f"image reader {wanted.image_reader.name}")
    if wanted.transcriber is not None:
        parts.append(f"transcriber {wanted.transcriber.name}")
    return protector, "; ".join(parts)


def model_of(
    spec: str,
    options: Mapping[str, Any],
    seed: int,
    store: AnswerStore,
    workers: int,
    through: Through = lambda model: model,
) -> RememberingModel:
    """Return the chat model ``KIND:NAME`` (or ``module:Class``), with a memory.

    Args:
        spec: a registered kind and the model's name there, or a class of yours.
        options: further arguments of its constructor; None stands for its default.
        seed: given to it where it takes one.
        store: where answers are kept.
        workers: questions under way at once.
        through: what stands between the memory and the model, such as a meter.

    Raises:
        ConfigError: there is no such kind, or it does not take the options.
        MissingExtraError: it needs a package that is not installed.
    """
    kind, _, name = spec.partition(":")
    if kind in BUILT_IN.get("chat_models", {}):
        if not name:
            raise ConfigError(f"which model? write {kind}:NAME")
        factory, given = resolve("chat_models", kind), {_name_parameter(resolve("chat_models", kind)): name}
    elif "." in kind:
        factory, given = resolve("chat_models", spec), {}
    else:
        known = BUILT_IN.get("chat_models", {})
        raise ConfigError(
            f"unknown kind of model {kind!r}{nearest(kind, known)}; or write package.module:Class"
        )
    wanted = given | {key: value for key, value in options.items() if value is not None}
    model = through(_made(factory, spec, wanted, {"seed": seed}))
    shown = {key: value for key, value in sorted(wanted.items()) if "key" not in key}
    identity = f"{spec} seed {seed}" + "".join(f" {k}={v}" for k, v in shown.items() if v != name)
    batched = kind in _BATCHED
    return RememberingModel(
        model, identity, store, workers=1 if batched else workers, together=_TOGETHER if batched else 1
    )


def look_into(name: str, options: Mapping[str, Any], seed: int) -> Any:
    """Return a transformers model as a white box (``WhiteBoxModel`` and ``ChatModel``).

    Raises:
        ConfigError, CheckpointError, MissingExtraError: it cannot be loaded.
    """
    return _made(
        resolve("chat_models", "transformers"), "transformers", {"model": name, **options}, {"seed": seed}
    )


def harm_seats(
    specs: Sequence[str],
    options: Mapping[str, Any],
    seed: int,
    store: Callable[[], AnswerStore],
    workers: int,
    through: Through = lambda model: model,
) -> tuple[Seat, ...]:
    """Return the judges of safety, ``NAME`` or ``NAME=ARGUMENT`` each, in order.

    Raises:
        ConfigError: a judge is unknown or lacks its argument.
    """
    seats = [_seat(spec, options, seed, store, workers, through) for spec in dict.fromkeys(specs)]
    names = [seat.name for seat in seats]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ConfigError(f"the judge {twice} is given twice")
    return tuple(seats)


def utility_seats(harm: Sequence[Seat]) -> tuple[Seat, ...]:
    """Return the judges of correctness: exact match, and a grader over every LLM judge's model."""
    graders = [
        Seat(f"grader ({seat.name})", LlmGrader(seat.judge.model), seat.identity)
        for seat in harm
        if isinstance(seat.judge, LlmJudge)
    ]
    return (Seat("exact-match", ExactMatchJudge(), "exact-match"), *graders)


def same_brains(judge: str, other: str) -> bool:
    """Return whether two identities name the same detector or model, whatever its address and seed."""
    core = judge.partition(" seed ")[0]
    return core not in ("refusal", "keyword") and core in other


def _seat(
    spec: str,
    options: Mapping[str, Any],
    seed: int,
    store: Callable[[], AnswerStore],
    workers: int,
    through: Through,
) -> Seat:
    name, _, argument = spec.partition("=")
    if name == "llm":
        if not argument:
            raise ConfigError("which model judges? write --judge llm=KIND:NAME, such as llm=openai:my-model")
        model = model_of(argument, options, seed, store(), workers, through)
        return Seat(f"llm={argument}", resolve("judges", "llm")(model), model.identity)
    if name == "detector":
        config = BackendConfig(name="embedded")
        if argument:
            folder = Path(argument)
            config = (
                BackendConfig(name="embedded", options={"folder": argument})
                if folder.is_dir()
                else BackendConfig(name=argument)
            )
        detector = build(Config(detector=config, detoxifiers=())).detector
        return Seat(spec, resolve("judges", "detector")(detector), f"detector {_detector_identity(config)}")
    if argument:
        raise ConfigError(f"the judge {name!r} takes no argument ({argument!r})")
    judge = _made(resolve("judges", name), name, {}, {})
    warning = _REFUSAL_WARNING if name == "refusal" else str(getattr(judge, "warning", ""))
    return Seat(name, judge, name, warning)


def _made(factory: Any, name: str, wanted: Mapping[str, Any], offered: Mapping[str, Any]) -> Any:
    parameters = inspect.signature(factory).parameters
    arguments = dict(wanted) | {key: value for key, value in offered.items() if key in parameters}
    try:
        return factory(**arguments)
    except ProtectorError:
        raise
    except TypeError as error:
        raise ConfigError(f"{name}: {error}; it takes: {', '.join(parameters) or 'nothing'}") from error


def _name_parameter(factory: Any) -> str:
    """The first parameter of a chat model is which model it is."""
    return next(iter(inspect.signature(factory).parameters))


def _detector_identity(config: BackendConfig) -> str:
    if config.name != "embedded":
        return f"{config.name} {_digest(repr(sorted(config.options.items())))}"
    manifest = Path(config.options.get("folder") or EMBEDDED) / MANIFEST
    return f"embedded {_digest(manifest.read_bytes() if manifest.is_file() else b'')}"


def _digest(value: str | bytes) -> str:
    data = value.encode("utf-8", "backslashreplace") if isinstance(value, str) else value
    return hashlib.sha256(data).hexdigest()[:12]
