"""A guard model as a harm detector: long responses in windows, the worst window counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from mllm_protector.backends.detectors.guards.endpoint import ChatReader, CompletionsCompleter
from mllm_protector.backends.detectors.guards.forced import ForcedReader
from mllm_protector.backends.detectors.guards.guard import Dialogue, Guard, Question, dialogue
from mllm_protector.backends.detectors.windows import Place, cut_chunks
from mllm_protector.errors import ConfigError
from mllm_protector.types import Detection, Exchange, Span

__all__ = ["GuardDetector", "build"]

_SPAN = 0.3  # harm from which a window of a long response is told as a span


class Reader(Protocol):
    """Puts one question to a guard about many dialogues."""

    def read(self, question: Question, dialogues: Sequence[Dialogue], /) -> list[Detection]:
        """Return one detection per dialogue, in order."""

    def close(self) -> None:
        """Let go of connections."""


class GuardDetector:
    """Scores exchanges by a guard model. Safe to call from several threads.

    Args:
        guard: the family.
        reader: asks the model.
        window: characters of the response that are judged together; a longer one is cut, with overlap.
        context: characters of the prompt, of the text in images and of each earlier turn that are shown.
    """

    def __init__(self, guard: Guard, reader: Reader, *, window: int = 4000, context: int = 2000) -> None:
        if window < 100 or context < 1:
            raise ConfigError(f"{guard.name}: window is at least 100 characters, context at least 1")
        self._guard, self._reader = guard, reader
        self._window, self._context = window, context

    def detect(self, exchanges: Sequence[Exchange], /) -> list[Detection]:
        """Return one detection per exchange, in order; an empty response has no harm.

        A category holds P(category and harmful): that of the first label the guard would name.

        Raises:
            BackendError: the model failed, or answers what is no verdict.
        """
        windows: list[tuple[int, Place]] = []
        dialogues: list[Dialogue] = []
        for n, exchange in enumerate(exchanges):
            for place in _windows(exchange.response, self._window):
                windows.append((n, place))
                part = exchange.response[place.start : place.end]
                dialogues.append(dialogue(exchange, part, self._context))
        found: list[list[tuple[Place, Detection]]] = [[] for _ in exchanges]
        if dialogues:
            for question in self._guard.questions:
                answers = self._reader.read(question, dialogues)
                for (n, place), detection in zip(windows, answers, strict=True):
                    found[n].append((place, detection))
        return [_worst(each) for each in found]

    def close(self) -> None:
        """Close connections to an endpoint."""
        self._reader.close()


def build(
    guard: Guard,
    *,
    model: str | None = None,
    endpoint: str | None = None,
    api: str = "auto",
    template: str = "written",
    allow_text: bool = False,
    categories: bool = True,
    window: int = 4000,
    context: int = 2000,
    **options: Any,
) -> GuardDetector:
    """Return a detector over a guard's weights, or over an endpoint that serves them.

    Args:
        guard: the family.
        model: hub id or folder, or the model's name at the endpoint; None takes the published one.
        endpoint: address of an OpenAI-compatible API, with its ``/v1``; None loads the weights here.
        api: of the endpoint: ``chat`` (its server lays out), ``completions`` (laid out here), or ``auto``.
        template: of weights loaded here: ``written`` (laid out as in ``prompts``) or ``model`` (by the
            chat template in its tokenizer).
        allow_text: take a bare verdict from a chat endpoint without log probabilities.
        categories: ask for hazard categories too.
        window, context: as for ``GuardDetector``.
        options: of the chat model behind it: ``device``, ``dtype``, ``batch_size``, ``revision``, ... of
            transformers, or ``api_key_env``, ``timeout``, ``retries``, ``concurrency``, ... of an endpoint.

    Raises:
        ConfigError: an option is unknown or does not go with the others.
        CheckpointError, MissingExtraError: the weights cannot be loaded.
    """
    if template not in ("written", "model") or api not in ("auto", "chat", "completions"):
        raise ConfigError(
            f"{guard.name}: template is written or model, api is auto, chat or completions; "
            f"not {template!r}, {api!r}"
        )
    name = model or guard.model
    if endpoint is not None:
        reader = _remote(guard, name, endpoint, api, allow_text, categories, options)
    else:
        if api != "auto" or allow_text:
            raise ConfigError(f"{guard.name}: api and allow_text speak of an endpoint; give endpoint")
        reader = _local(guard, name, template, categories, options)
    return GuardDetector(guard, reader, window=window, context=context)


def _remote(
    guard: Guard, name: str, url: str, api: str, allow_text: bool, categories: bool, options: dict[str, Any]
) -> Reader:
    has_template = all(question.messages is not None for question in guard.questions)
    if api == "chat" or (api == "auto" and has_template):
        if not has_template:
            raise ConfigError(f"{guard.name} is published without a chat template; give api: completions")
        return ChatReader(guard, name, url, categories=categories, allow_text=allow_text, **options)
    if allow_text:
        raise ConfigError(f"{guard.name}: allow_text goes with api: chat")
    completer = CompletionsCompleter(guard, name, url, **options)
    return ForcedReader(guard, completer, _written(guard), categories=categories)


def _local(guard: Guard, name: str, template: str, categories: bool, options: dict[str, Any]) -> Reader:
    from mllm_protector.backends.detectors.guards.local import LocalCompleter

    layout = None if template == "model" else _written(guard)
    completer = LocalCompleter(guard, name, **options)
    return ForcedReader(guard, completer, layout or completer.own_layout, categories=categories)


def _written(guard: Guard) -> Any:
    """The layout of this package; refused where only the model's own template knows it."""
    if any(question.text is None for question in guard.questions):
        raise ConfigError(
            f"{guard.name}: this version is laid out by its own template alone; give template: model, or an "
            "endpoint with api: chat"
        )

    def layout(question: Question, dialogue: Dialogue) -> str:
        assert question.text is not None
        return question.text(dialogue)

    return layout


def _windows(text: str, longest: int) -> list[Place]:
    """Parts of at most ``longest`` characters; each begins a tenth of that before the last one's end."""
    if not text.strip():
        return []
    overlap = longest // 10
    return [Place(max(0, c.start - overlap), c.end) for c in cut_chunks(text, longest - overlap)]


def _worst(found: Sequence[tuple[Place, Detection]]) -> Detection:
    """The worst answer about the worst window; which windows are harmful is told where there are several."""
    categories: dict[str, float] = {}
    by_place: dict[Place, float] = {}
    for place, detection in found:
        by_place[place] = max(detection.harm, by_place.get(place, 0.0))
        for code, p in detection.categories.items():
            categories[code] = max(p, categories.get(code, 0.0))
    spans = [Span(p.start, p.end, harm) for p, harm in by_place.items() if harm >= _SPAN]
    return Detection(
        max(by_place.values(), default=0.0), categories, tuple(spans) if len(by_place) > 1 else ()
    )
