"""The LangChain guard around langchain-core's own fake models: whole, batched, streamed, async."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models.fake import FakeListLLM
from langchain_core.language_models.fake_chat_models import FakeListChatModel, FakeMessagesListChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage
from langchain_core.output_parsers import JsonOutputParser, StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableGenerator, RunnableLambda

from mllm_protector import Protector
from mllm_protector.clients.langchain import protect
from mllm_protector.errors import InputError
from mllm_protector.policies import parse_policy
from mllm_protector.streaming import Hold
from mllm_protector.testing import FailingBackend, ScriptedDetector, ScriptedDetoxifier
from mllm_protector.types import Image

SAFE = "Here is a safe answer."
BAD = "This is harmful, and so on."
PLAIN = "A plain sentence that says little. " * 20
SMALL = Hold(first=20, step=20, context=20, look_ahead=10)


def guard(policy: str = "extends: default", detector: Any = None, reader: Any = None) -> Protector:
    return Protector(
        detector or ScriptedDetector(), parse_policy(policy, name="test"),
        {"scripted": ScriptedDetoxifier(SAFE)}, image_reader=reader,
    )  # fmt: skip


def says(*texts: str) -> FakeListChatModel:
    return FakeListChatModel(responses=list(texts))


def test_whole_answers() -> None:
    fine = protect(says("Fine."), guard()).invoke("How?")
    assert fine.content == "Fine." and fine.response_metadata["protector"]["action"] == "allow"
    bad = protect(says(BAD), guard()).invoke([HumanMessage("How?")])
    assert bad.content == SAFE and bad.response_metadata["protector"]["harm"] == 0.9
    refused = protect(says(BAD), guard("extends: default\naction: refuse\ntexts: {refuse: No.}")).invoke("x")
    assert refused.content == "No." and refused.response_metadata["finish_reason"] == "content_filter"


def test_a_batch_is_judged_together_and_errors_stay_theirs() -> None:
    detector = ScriptedDetector()
    model = says("Fine.", BAD, "Well.")
    found = protect(model, guard(detector=detector)).batch(["a", "b", "c"], {"max_concurrency": 1})
    assert [answer.content for answer in found] == ["Fine.", SAFE, "Well."]
    assert detector.calls[0] == 3

    def fail(given: str) -> str:
        if given == "b":
            raise ValueError("no such model")
        return BAD

    answers = protect(RunnableLambda(fail), guard()).batch(["a", "b"], return_exceptions=True)
    assert answers[0] == SAFE and isinstance(answers[1], ValueError)
    with pytest.raises(ValueError, match="no such model"):
        protect(RunnableLambda(fail), guard()).batch(["a", "b"])


def test_a_stream_is_held_back_and_ends_where_the_harm_begins() -> None:
    chunks = list(protect(says(PLAIN), guard()).stream("How?"))
    assert "".join(c.content for c in chunks) == PLAIN and len(chunks) > 100
    chunks = list(protect(says(PLAIN + BAD + PLAIN), guard(), hold=SMALL).stream("How?"))
    text = "".join(c.content for c in chunks)
    assert text.endswith(SAFE) and "harmful" not in text and text.startswith("A plain sentence")
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    assert whole.response_metadata["protector"]["action"] == "detoxify" and whole.content == text
    assert whole.response_metadata["finish_reason"] == "content_filter"


def test_async() -> None:
    guarded = protect(says(PLAIN + BAD), guard(), hold=SMALL)

    async def ask() -> None:
        assert (await protect(says(BAD), guard()).ainvoke("x")).content == SAFE
        many = await protect(says(BAD), guard()).abatch(["x"] * 8)
        assert [m.content for m in many] == [SAFE] * 8
        text = "".join([c.content async for c in guarded.astream("x")])
        assert text.endswith(SAFE) and "harmful" not in text

    asyncio.run(ask())


class Listener(BaseCallbackHandler):
    def __init__(self) -> None:
        self.heard: list[str] = []

    def on_llm_new_token(self, token: Any, **kwargs: Any) -> None:
        self.heard.append(str(token))

    def on_llm_end(self, response: Any, **kwargs: Any) -> None:
        self.heard.append(str(response))

    def on_chain_end(self, outputs: Any, **kwargs: Any) -> None:
        self.heard.append(str(outputs))


def test_callbacks_and_events_hear_nothing_unjudged() -> None:
    listener = Listener()
    chain = ChatPromptTemplate.from_messages([("human", "{question}")]) | protect(says(BAD), guard())
    told: dict[str, Any] = {"question": "How?"}
    assert chain.invoke(told, {"callbacks": [listener]}).content == SAFE
    assert "".join(c.content for c in chain.stream(told, {"callbacks": [listener]})) == SAFE

    async def events() -> str:
        return str([event async for event in chain.astream_events(told, version="v2")])

    heard = "".join(listener.heard) + asyncio.run(events())
    assert SAFE in heard and "harmful, and" not in heard and "harmful" not in heard


def test_chains_strings_and_parsers() -> None:
    prompt = ChatPromptTemplate.from_messages([("system", "Be kind."), ("human", "{question}")])
    assert protect(prompt | says(BAD) | StrOutputParser(), guard()).invoke({"question": "How?"}) == SAFE
    assert (prompt | protect(says(BAD), guard()) | StrOutputParser()).invoke({"question": "x"}) == SAFE
    assert protect(FakeListLLM(responses=[BAD]), guard()).invoke("x") == SAFE
    assert "".join(protect(FakeListLLM(responses=[PLAIN]), guard()).stream("x")) == PLAIN
    with pytest.raises(InputError, match="put the parser behind"):
        protect(says('{"a": 1}') | JsonOutputParser(), guard()).invoke("x")
    with pytest.raises(InputError, match=r"protect\(query"):
        protect(RunnableLambda(lambda _: BAD), guard()).invoke(7)


USED = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
BROKEN = {"name": "send", "args": BAD, "id": "1", "type": "invalid_tool_call", "error": "x"}
CALL = {"name": "send", "args": {"text": BAD}, "id": "1", "type": "tool_call"}


@pytest.mark.parametrize(
    "message",
    [
        AIMessage(content="Fine.", tool_calls=[CALL]),
        AIMessage(content="Fine.", additional_kwargs={"reasoning_content": BAD}),
        AIMessage(content="Fine.", invalid_tool_calls=[BROKEN]),
        AIMessage(content=[{"type": "text", "text": "Fine."}, {"type": "text", "text": BAD}]),
        AIMessage(content="Fine.", additional_kwargs={"tool_calls": [{"function": {"arguments": BAD}}]}),
    ],
    ids=["tool call", "reasoning", "invalid call", "blocks", "vendor's calls"],
)  # fmt: skip
def test_every_string_of_a_message_is_judged(message: AIMessage) -> None:
    model = FakeMessagesListChatModel(responses=[message])
    answer = protect(model, guard()).invoke("x")
    assert "is harmful" not in answer.model_dump_json() and SAFE in str(answer.content)
    assert not answer.tool_calls


def test_what_is_allowed_stays_whole() -> None:
    call = {**CALL, "args": {"text": "Hello."}}
    message = AIMessage(content="Fine.", tool_calls=[call], id="7", usage_metadata=USED)
    answer = protect(FakeMessagesListChatModel(responses=[message]), guard()).invoke("x")
    told = answer.response_metadata.pop("protector")
    assert answer == message and told["action"] == "allow"


def test_streamed_tool_calls_are_judged() -> None:
    def speak(_: Iterator[Any]) -> Iterator[AIMessageChunk]:
        for piece in json.dumps({"text": BAD}).split(" "):
            part: Any = {"name": None, "args": piece + " ", "id": "1", "index": 0, "type": "tool_call_chunk"}
            yield AIMessageChunk(content="", tool_call_chunks=[part])

    chunks = list(protect(RunnableGenerator(speak), guard(), hold=SMALL).stream("x"))
    assert not any(c.tool_call_chunks for c in chunks) and chunks[0].content


class Reader:
    def __init__(self) -> None:
        self.seen = 0

    def read(self, images: Sequence[Image], /) -> list[str]:
        self.seen += len(images)
        return ["the forbidden word"] * len(images)


PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
        {"type": "image", "base64": PIXEL, "mime_type": "image/png"},
    ],
    ids=["openai", "langchain"],
)
def test_images_are_read_once_and_judged_with_the_answer(part: dict[str, Any]) -> None:
    reader, detector = Reader(), ScriptedDetector({"forbidden": 0.9}, read_images=True)
    asked = [SystemMessage("Be kind."), HumanMessage([{"type": "text", "text": "What?"}, part])]
    guarded = protect(says(PLAIN), guard(detector=detector, reader=reader), hold=SMALL)
    assert "plain" not in guarded.invoke(asked).content and reader.seen == 1
    assert "plain" not in "".join(c.content for c in guarded.stream(asked)) and reader.seen == 2


def test_a_guard_that_fails_fails_closed() -> None:
    guarded = protect(says("A secret."), guard(detector=FailingBackend()))
    assert "secret" not in guarded.invoke("x").content
    assert "secret" not in "".join(c.content for c in guarded.stream("x"))
