"""Guards any LangChain chat model or chain: the same calls, judged answers.

    guarded = protect(ChatOpenAI(model="llava"), load_protector("strict"))
    guarded.invoke([HumanMessage("...")]); guarded.stream(...); await guarded.ainvoke(...); prompt | guarded

Callbacks, and with them tracers and ``astream_events``, see the guarded answer only: handed to the inner
model they would see every token before it is judged.
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, closing
from dataclasses import replace
from typing import Any, cast

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, convert_to_messages
from langchain_core.messages.utils import convert_to_openai_messages
from langchain_core.prompt_values import PromptValue
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import ensure_config, run_in_executor

from mllm_protector.clients.held import CONTENT, Added, HeldAnswer, with_images_read
from mllm_protector.errors import InputError
from mllm_protector.gateway.answer import choice_texts
from mllm_protector.gateway.parts import Able, read_parts
from mllm_protector.gateway.settings import LimitSettings
from mllm_protector.gateway.wire import chat_query
from mllm_protector.protector import Protector
from mllm_protector.streaming import Hold
from mllm_protector.types import Action, Exchange, Image, Protection, Query, Recording

__all__ = ["ProtectedRunnable", "protect"]

_log = logging.getLogger("mllm_protector.clients")


def protect(
    inner: Runnable[Any, Any],
    protector: Protector,
    *,
    hold: Hold | None = None,
    query: Callable[[Any], Query] | None = None,
) -> ProtectedRunnable:
    """Return ``inner`` with a guard around it.

    Args:
        inner: a chat model, a language model, or a chain that ends in one (or in a string parser).
        protector: the guard.
        hold: how much of a stream is held back.
        query: reads from an input what was asked; needed only if it is neither a string, nor messages,
            nor a prompt value, nor a dict with strings.
    """
    return ProtectedRunnable(inner, protector, hold, query or (lambda given: _query(given, protector)))


class ProtectedRunnable(Runnable[Any, Any]):
    """What ``protect`` returns. Messages tell what was done in ``response_metadata["protector"]``.

    An answer that is neither a string nor a message raises ``InputError``: put the parser behind the guard.
    """

    def __init__(
        self,
        inner: Runnable[Any, Any],
        protector: Protector,
        hold: Hold | None,
        query: Callable[[Any], Query],
    ) -> None:
        self.inner, self._protector, self._hold, self._query = inner, protector, hold, query

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """Answer one input."""

        def run(given: Any, config: RunnableConfig) -> Any:
            return self._guarded([given], [self.inner.invoke(given, _quiet(config), **kwargs)])[0]

        return self._call_with_config(cast("Any", run), input, config)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """Answer one input; judging runs off the event loop."""

        async def run(given: Any, config: RunnableConfig) -> Any:
            answer = await self.inner.ainvoke(given, _quiet(config), **kwargs)
            return (await run_in_executor(config, self._guarded, [given], [answer]))[0]

        return await self._acall_with_config(cast("Any", run), input, config)

    def batch(
        self,
        inputs: list[Any],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[Any]:
        """Answer several inputs; all answers are judged together."""

        def run(given: list[Any], config: list[RunnableConfig]) -> list[Any]:
            quiet = [_quiet(one) for one in config]
            return self._guarded(given, self.inner.batch(given, quiet, return_exceptions=True, **kwargs))

        return self._batch_with_config(cast("Any", run), inputs, config, return_exceptions=return_exceptions)

    async def abatch(
        self,
        inputs: list[Any],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[Any]:
        """Answer several inputs; all answers are judged together, off the event loop."""

        async def run(given: list[Any], config: list[RunnableConfig]) -> list[Any]:
            quiet = [_quiet(one) for one in config]
            answers = await self.inner.abatch(given, quiet, return_exceptions=True, **kwargs)
            return await run_in_executor(config[0], self._guarded, given, answers)

        return await self._abatch_with_config(
            cast("Any", run), inputs, config, return_exceptions=return_exceptions
        )

    def stream(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Iterator[Any]:
        """Answer one input chunk by chunk; what is not judged is held back."""

        def run(given: Iterator[Any], config: RunnableConfig) -> Iterator[Any]:
            for one in given:
                held = self._hold_back(one)
                chunks: Any = self.inner.stream(one, _quiet(config), **kwargs)
                with closing(chunks):  # what was cut or left tells the model to stop
                    for chunk in chunks:
                        yield from held.push(chunk)
                        if held.over:
                            return
                yield from held.close()

        yield from self._transform_stream_with_config(iter([input]), cast("Any", run), config)

    async def astream(
        self,
        input: Any,
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[Any]:
        """Answer one input chunk by chunk; judging runs off the event loop."""

        async def given() -> AsyncIterator[Any]:
            yield input

        async def run(given: AsyncIterator[Any], config: RunnableConfig) -> AsyncIterator[Any]:
            async for one in given:
                held = await run_in_executor(config, self._hold_back, one)
                chunks: Any = self.inner.astream(one, _quiet(config), **kwargs)
                async with aclosing(chunks):  # what was cut or left tells the model to stop
                    async for chunk in chunks:
                        for out in await run_in_executor(config, held.push, chunk):
                            yield out
                        if held.over:
                            return
                for out in await run_in_executor(config, held.close):
                    yield out

        async for out in self._atransform_stream_with_config(given(), cast("Any", run), config):
            yield out

    def _hold_back(self, given: Any) -> _HeldStream:
        query = with_images_read(self._protector, self._query(given))
        return _HeldStream(HeldAnswer(self._protector, query, self._hold))

    def _guarded(self, inputs: Sequence[Any], answers: Sequence[Any]) -> list[Any]:
        """Return the answers as they may go out; exceptions among them stay."""
        texts = [{} if isinstance(a, Exception) else _texts(a) for a in answers]
        queries = [
            with_images_read(self._protector, self._query(given)) if found else Query("")
            for given, found in zip(inputs, texts, strict=True)
        ]
        asked = [
            Exchange(q, text) for q, found in zip(queries, texts, strict=True) for text in found.values()
        ]
        judged = iter(self._protector.protect(asked))
        return [
            _rewritten(answer, {name: next(judged) for name in found})
            for answer, found in zip(answers, texts, strict=True)
        ]


class _HeldStream:
    """Chunks in, chunks out, over a ``HeldAnswer``."""

    def __init__(self, answer: HeldAnswer[Any]) -> None:
        self._answer, self._kind, self._id = answer, str, None

    @property
    def over(self) -> bool:
        return self._answer.protection is not None

    def push(self, chunk: Any) -> list[Any]:
        self._kind, self._id = type(chunk), getattr(chunk, "id", None) or self._id
        return self._made(self._answer.push(_texts(chunk), chunk))

    def close(self) -> list[Any]:
        return self._made(self._answer.close())

    def _made(self, out: list[Any]) -> list[Any]:
        made = [self._chunk(piece.text) if isinstance(piece, Added) else piece for piece in out]
        protection = self._answer.protection
        if protection is not None and issubclass(self._kind, BaseMessage):
            told: dict[str, Any] = {"protector": _told(protection)}
            if not protection.unchanged and protection.action is not Action.DISCLAIM:
                told["finish_reason"] = "content_filter"
            made.append(AIMessageChunk(content="", id=self._id, response_metadata=told))
        return made

    def _chunk(self, text: str) -> Any:
        return AIMessageChunk(content=text, id=self._id) if issubclass(self._kind, BaseMessage) else text


def _quiet(config: RunnableConfig) -> RunnableConfig:
    quiet = ensure_config(config)
    quiet["callbacks"] = []
    return quiet


def _query(given: Any, protector: Protector) -> Query:
    if isinstance(given, Mapping):
        return Query("\n".join(value for value in given.values() if isinstance(value, str)))
    if isinstance(given, PromptValue):
        given = given.to_messages()
    if isinstance(given, str):
        return Query(given)
    try:
        messages: Any = convert_to_openai_messages(convert_to_messages(given))
    except (NotImplementedError, TypeError, ValueError) as error:
        raise InputError(
            f"a {type(given).__name__} does not tell what was asked; give protect(query=...)"
        ) from error
    able = Able(protector.image_reader is not None, protector.transcriber is not None)
    parts = read_parts(messages, able)
    for missed in parts.not_run:
        _log.warning("not judged with the answer: %s", missed)
    media = [medium.content for medium in parts.media]
    return replace(
        chat_query({"messages": messages}, LimitSettings()),
        images=tuple(m for m in media if isinstance(m, Image)),
        recordings=tuple(m for m in media if isinstance(m, Recording)),
    )


def _texts(answer: Any) -> dict[str, str]:
    """Channel -> text of an answer or a chunk: content, arguments of tool calls, and all that is beside."""
    if isinstance(answer, str):
        return {CONTENT: answer} if answer else {}
    if not isinstance(answer, BaseMessage):
        raise InputError(
            f"a {type(answer).__name__} cannot be judged; guard the model and put the parser behind it"
        )
    if isinstance(answer, AIMessageChunk):
        calls: list[Any] = answer.tool_call_chunks
    else:
        calls = [*getattr(answer, "tool_calls", ()), *getattr(answer, "invalid_tool_calls", ())]
    beside = dict(answer.additional_kwargs)
    if calls:
        beside.pop("tool_calls", None)  # the same calls once more, as the vendor wrote them
    told = {
        "content": answer.content,
        "beside": beside,
        "tool_calls": [
            {"index": _index(call, place), "name": call["name"], "arguments": _written(call["args"])}
            for place, call in enumerate(calls)
        ],
    }
    return choice_texts({"message": told})


def _index(call: Mapping[str, Any], place: int) -> int:
    index = call.get("index")
    return index if isinstance(index, int) else place


def _written(arguments: Any) -> str:
    """Arguments of a call as text; while they stream they are."""
    return arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False, default=str)


def _rewritten(answer: Any, protections: Mapping[str, Protection]) -> Any:
    if isinstance(answer, Exception):
        return answer
    worst = max(protections.values(), key=lambda p: (p.action.severity, p.harm or 0.0), default=None)
    if worst is None:
        return answer
    if isinstance(answer, str):
        return worst.response
    metadata = {**answer.response_metadata, "protector": _told(worst)}
    changed = {name: p for name, p in protections.items() if not p.unchanged}
    if not changed:
        return answer.model_copy(update={"response_metadata": metadata})
    metadata.pop("logprobs", None)  # they spell the old text
    if set(changed) == {CONTENT} and worst.action is not Action.REFUSE:
        return answer.model_copy(update={"content": worst.response, "response_metadata": metadata})
    # A refusal, or harm beside the content: nothing of the message stays but its id.
    metadata["finish_reason"] = "content_filter"
    return AIMessage(
        content=worst.response,
        id=answer.id,
        response_metadata=metadata,
        usage_metadata=getattr(answer, "usage_metadata", None),
    )


def _told(protection: Protection) -> dict[str, Any]:
    return {
        "action": protection.action.value, "harm": protection.harm, "policy": protection.policy,
        "reason": protection.reason,
    }  # fmt: skip
