"""``generate`` of a LLaVA-like model of transformers, guarded: no unjudged word reaches the caller.

    answer = protect_generate(model, processor, protector, messages, max_new_tokens=200)
    for text in protect_stream(model, processor, protector, messages, max_new_tokens=200): ...

``messages`` is one conversation as chat templates take it; an image is ``{"type": "image", "image": ...}``
(a picture, a path, an address or base64) or OpenAI's ``image_url``. The model and the processor of a
pipeline are ``pipe.model`` and ``pipe.processor``.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
import transformers
from transformers.image_utils import load_image

from mllm_protector.clients.held import CONTENT, Added, HeldAnswer, with_images_read
from mllm_protector.errors import BackendError, InputError
from mllm_protector.protector import Protector
from mllm_protector.streaming import Hold
from mllm_protector.types import Exchange, Image, Protection, Query, Turn

__all__ = ["ProtectedStreamer", "protect_generate", "protect_stream"]

_KEYS = ("image", "url", "path", "base64")


def protect_generate(
    model: Any, processor: Any, protector: Protector, messages: Sequence[Mapping[str, Any]], **options: Any
) -> Protection:
    """Answer one conversation and return what was done with the answer; show ``.response``.

    Args:
        model: what has ``generate``.
        processor: with a chat template; a tokenizer will do for models that see nothing.
        protector: the guard.
        messages: the conversation.
        options: for ``model.generate``, such as ``max_new_tokens``.

    Raises:
        InputError: the messages are malformed, an image cannot be opened, or an option would show
            unjudged text (``streamer``) or gives several answers.
        BackendError: the model failed.
    """
    _check(options)
    shown, query = _conversation(messages)
    inputs = _inputs(model, processor, shown)
    written = _generate(model, inputs, options)
    text = _tokenizer(processor).decode(written[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    return protector.protect([Exchange(with_images_read(protector, query), text)])[0]


def protect_stream(
    model: Any,
    processor: Any,
    protector: Protector,
    messages: Sequence[Mapping[str, Any]],
    *,
    hold: Hold | None = None,
    **options: Any,
) -> ProtectedStreamer:
    """Answer one conversation as a stream; arguments and errors as for ``protect_generate``.

    The model runs in a thread of its own. It stops once the stream was closed, or cut because of harm.

    Returns:
        An iterator of text, whose ``protection`` tells at the end what was done.
    """
    _check(options)
    shown, query = _conversation(messages)
    inputs = _inputs(model, processor, shown)
    streamer = ProtectedStreamer(_tokenizer(processor), protector, query, hold)

    def run() -> None:
        try:
            _generate(model, inputs, options, streamer)
        except Exception as error:  # noqa: BLE001 (raised where the stream is read)
            streamer.fail(error)

    threading.Thread(target=run, name="mllm-protector-generate", daemon=True).start()
    return streamer


class ProtectedStreamer(transformers.TextIteratorStreamer):
    """A ``TextIteratorStreamer`` that holds text back until it is judged; iterate over it in another thread.

    It can be given to any ``generate(streamer=...)`` of one answer; what ``generate`` itself returns then
    is not guarded.

    Args:
        tokenizer: decodes.
        protector: the guard.
        query: what was asked.
        hold: how much is held back.
        timeout: seconds to wait for the next text, None for ever.
    """

    def __init__(
        self,
        tokenizer: Any,
        protector: Protector,
        query: Query,
        hold: Hold | None = None,
        timeout: float | None = None,
    ) -> None:
        super().__init__(tokenizer, skip_prompt=True, timeout=timeout, skip_special_tokens=True)
        self._answer = HeldAnswer[str](protector, with_images_read(protector, query), hold)
        self._closed = False
        self._failure: Exception | None = None

    @property
    def protection(self) -> Protection | None:
        """What was done, None until the stream has ended."""
        return self._answer.protection

    @property
    def over(self) -> bool:
        """True if the model need not go on."""
        return self._closed or self.protection is not None

    def close(self) -> None:
        """Say that nobody reads on."""
        self._closed = True

    def fail(self, error: Exception) -> None:
        """End the stream with an error; what is held is dropped."""
        self._failure = error
        self.text_queue.put(self.stop_signal)

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        """Take what was decoded (the base class calls this) and queue what may go out."""
        out = self._answer.push({CONTENT: text}, text)
        if stream_end:
            out += self._answer.close()
        for piece in out:
            if said := piece.text if isinstance(piece, Added) else piece:
                self.text_queue.put(said)
        if stream_end:
            self.text_queue.put(self.stop_signal)

    def __next__(self) -> str:
        """Return the next text."""
        text: str | None = self.text_queue.get(timeout=self.timeout)
        if text is not self.stop_signal:
            return text
        if self._failure is not None:
            raise BackendError(f"the model failed: {self._failure}") from self._failure
        raise StopIteration

    def __iter__(self) -> Iterator[str]:
        """Yield text; leaving the loop stops the model."""
        try:
            while True:
                try:
                    text = next(self)
                except StopIteration:
                    return
                yield text
        finally:
            self.close()


class _Until(transformers.StoppingCriteria):
    """Ends generation once nobody wants more."""

    def __init__(self, streamer: ProtectedStreamer) -> None:
        self._streamer = streamer

    def __call__(self, input_ids: Any, scores: Any, **options: Any) -> Any:  # noqa: ARG002 (their face)
        return torch.full((input_ids.shape[0],), self._streamer.over, device=input_ids.device)


def _generate(
    model: Any,
    inputs: Mapping[str, Any],
    options: Mapping[str, Any],
    streamer: ProtectedStreamer | None = None,
) -> Any:
    given: dict[str, Any] = {**options, "return_dict_in_generate": False}
    if streamer is not None:
        stops = [*(given.get("stopping_criteria") or ()), _Until(streamer)]
        given |= {"streamer": streamer, "stopping_criteria": transformers.StoppingCriteriaList(stops)}
    with torch.inference_mode():
        return model.generate(**inputs, **given)


def _check(options: Mapping[str, Any]) -> None:
    if "streamer" in options:
        raise InputError("a streamer would see unjudged text; use protect_stream")
    if options.get("num_return_sequences", 1) != 1:
        raise InputError("num_return_sequences must be 1; ask again for another answer")


def _inputs(model: Any, processor: Any, messages: list[dict[str, Any]]) -> dict[str, Any]:
    made = processor.apply_chat_template(
        messages, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    )
    return {
        name: tensor.to(model.device, model.dtype if tensor.is_floating_point() else None)
        for name, tensor in made.items()
    }


def _tokenizer(processor: Any) -> Any:
    return getattr(processor, "tokenizer", processor)


def _conversation(messages: Sequence[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], Query]:
    """Return the messages with their images opened, and what they ask: both see the same pictures."""
    shown: list[dict[str, Any]] = []
    turns: list[Turn] = []
    images: list[Image] = []
    for place, message in enumerate(messages):
        content = message.get("content")
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        if not isinstance(parts, list):
            raise InputError(f"messages[{place}].content must be a string or a list of parts")
        seen = [_opened(part, f"messages[{place}].content[{n}]") for n, part in enumerate(parts)]
        images += [_encoded(part["image"]) for part in seen if part["type"] == "image"]
        said = "\n".join(str(part["text"]) for part in seen if part["type"] == "text")
        shown.append({**message, "content": content if isinstance(content, str) else seen})
        turns.append(Turn(str(message.get("role")), said))
    asked = max((n for n, turn in enumerate(turns) if turn.role == "user"), default=-1)
    if asked < 0:
        raise InputError("messages must hold at least one user message")
    history = tuple(turn for n, turn in enumerate(turns) if n != asked)
    return shown, replace(Query(turns[asked].content, tuple(images)), history=history)


def _opened(part: Any, path: str) -> dict[str, Any]:
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind == "text" and isinstance(part.get("text"), str):
        return dict(part)
    reference = None
    if kind == "image":
        reference = next((part[key] for key in _KEYS if part.get(key) is not None), None)
    elif kind == "image_url":
        reference = part.get("image_url")
        reference = reference.get("url") if isinstance(reference, Mapping) else reference
    if reference is None:
        raise InputError(f"{path} must be a text, an image or an image_url; nothing else is judged here")
    try:
        return {"type": "image", "image": load_image(reference)}
    except Exception as error:  # Whatever the loader raises, there is no picture.
        raise InputError(f"{path}: the image cannot be opened: {error}") from error


def _encoded(picture: Any) -> Image:
    stream = io.BytesIO()
    picture.convert("RGB").save(stream, "PNG")
    return Image(stream.getvalue(), "image/png")
