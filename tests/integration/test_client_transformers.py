"""``protect_generate`` and ``protect_stream`` on a real, tiny model of LLaVA's architecture."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from PIL import Image as Picture
from tests.tiny_models import SIDE, save_tiny_llama, save_tiny_llava

from mllm_protector import Protector
from mllm_protector.clients.transformers import ProtectedStreamer, protect_generate, protect_stream
from mllm_protector.errors import BackendError, InputError
from mllm_protector.policies import parse_policy
from mllm_protector.streaming import Hold
from mllm_protector.testing import FailingBackend, ScriptedDetector, ScriptedDetoxifier
from mllm_protector.types import Action, Image

SAFE = "Here is a safe answer."
SMALL = Hold(first=8, step=8, context=8, look_ahead=4)
PICTURE = Picture.new("RGB", (SIDE, SIDE), "red")
MESSAGES: list[dict[str, Any]] = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": [{"type": "image", "image": PICTURE}, {"type": "text", "text": "What?"}]},
]


@pytest.fixture(scope="module")
def llava(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    folder = save_tiny_llava(tmp_path_factory.mktemp("llava"))
    model = transformers.LlavaForConditionalGeneration.from_pretrained(folder)
    processors: Any = transformers.AutoProcessor
    return model, processors.from_pretrained(folder)


def guard(detector: Any = None, policy: str = "extends: default", reader: Any = None) -> Protector:
    rewriter = {"scripted": ScriptedDetoxifier(SAFE)}
    judge = ScriptedDetector() if detector is None else detector
    return Protector(judge, parse_policy(policy, name="test"), rewriter, image_reader=reader)


class Speaking:
    """The tiny model, made to say a text, whatever it would have said: all else is its own ``generate``."""

    def __init__(self, llava: tuple[Any, Any], text: str) -> None:
        self.model, processor = llava
        self.ids = processor.tokenizer(text, add_special_tokens=False).input_ids
        self.device, self.dtype = self.model.device, self.model.dtype
        self.steps = 0

    def generate(self, **options: Any) -> Any:
        begun = options["input_ids"].shape[1]

        def force(ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
            self.steps = ids.shape[1] - begun
            wanted = self.ids[self.steps] if self.steps < len(self.ids) else 2
            return torch.full_like(scores, -1e9).index_fill(1, torch.tensor([wanted]), 0.0)

        processors = transformers.LogitsProcessorList([force])
        return self.model.generate(**options, logits_processor=processors, max_new_tokens=400)


def test_what_the_model_says_of_itself_comes_through(llava: tuple[Any, Any]) -> None:
    model, processor = llava
    inputs = processor.apply_chat_template(
        MESSAGES, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    )
    ids = model.generate(**inputs, max_new_tokens=24, do_sample=False)[0, inputs["input_ids"].shape[1] :]
    own = processor.tokenizer.decode(ids, skip_special_tokens=True)
    found = protect_generate(model, processor, guard(), MESSAGES, max_new_tokens=24, do_sample=False)
    assert own and found.response == own and found.action is Action.ALLOW
    assert found.exchange.query.prompt == "What?" and found.exchange.query.history[0].content == "Be kind."
    stream = protect_stream(model, processor, guard(), MESSAGES, max_new_tokens=24, do_sample=False)
    assert "".join(stream) == own and stream.protection is not None


def test_a_pipelines_model_and_processor_will_do(llava: tuple[Any, Any]) -> None:
    pipe: Any = transformers.pipeline("image-text-to-text", model=llava[0], processor=llava[1])
    plain = pipe(text=MESSAGES, max_new_tokens=12, do_sample=False, return_full_text=False)
    found = protect_generate(
        pipe.model, pipe.processor, guard(), MESSAGES, max_new_tokens=12, do_sample=False
    )
    assert found.response == plain[0]["generated_text"]


def test_a_harmful_answer_is_rewritten(llava: tuple[Any, Any]) -> None:
    model = Speaking(llava, "This is harmful.")
    found = protect_generate(model, llava[1], guard(), MESSAGES)
    assert (found.response, found.action) == (SAFE, Action.DETOXIFY)


def test_a_stream_is_held_back_and_cut_where_the_harm_begins(llava: tuple[Any, Any]) -> None:
    text = "One is fine. Two is fine. Three is harmful. " + "Four is more. " * 12
    model = Speaking(llava, text)
    stream = protect_stream(model, llava[1], guard(), MESSAGES, hold=SMALL)
    pieces = list(stream)
    assert "".join(pieces) == f"One is fine. Two is fine. \n\n{SAFE}"
    assert stream.protection is not None and stream.protection.action is Action.DETOXIFY
    assert stream.protection.recheck is not None and model.steps < len(text) // 2, "the model was stopped"


def test_refusals_and_caveats(llava: tuple[Any, Any]) -> None:
    model = Speaking(llava, "All is well. This is harmful. And so on.")
    refusing = guard(policy="extends: default\naction: refuse\ntexts: {refuse: No.}")
    assert "".join(protect_stream(model, llava[1], refusing, MESSAGES)) == "No."
    advice = ScriptedDetector({"dose": 0.1}, {"dose": "health-advice"}, otherwise=0.0)
    advice.words["dose"] = 0.45
    caring = guard(
        advice, "extends: default\ncategories: {health-advice: {threshold: 0.4, action: disclaim}}"
    )
    said = "".join(protect_stream(Speaking(llava, "Take one dose a day."), llava[1], caring, MESSAGES))
    assert said.startswith("Take one dose a day.\n\n") and len(said) > 30


def test_a_guard_that_fails_holds_the_answer_back(llava: tuple[Any, Any], caplog: Any) -> None:
    model = Speaking(llava, "A secret.")
    for found in (
        protect_generate(model, llava[1], guard(FailingBackend()), MESSAGES).response,
        "".join(protect_stream(model, llava[1], guard(FailingBackend()), MESSAGES)),
    ):
        assert "secret" not in found and found
    caplog.clear()
    open_ = guard(FailingBackend(), "extends: default\non_error: allow")
    assert "".join(protect_stream(model, llava[1], open_, MESSAGES)) == "A secret."
    assert any(r.levelname == "CRITICAL" and "UNJUDGED" in r.message for r in caplog.records)


class Reader:
    def __init__(self) -> None:
        self.seen: list[Image] = []

    def read(self, images: Sequence[Image], /) -> list[str]:
        self.seen += images
        return ["the forbidden word"] * len(images)


def test_images_are_read_once_and_judged_with_the_answer(llava: tuple[Any, Any], tmp_path: Path) -> None:
    PICTURE.save(tmp_path / "red.png")
    asked = [
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": str(tmp_path / "red.png")}},
                                     {"type": "text", "text": "What?"}]}
    ]  # fmt: skip
    detector = ScriptedDetector({"forbidden": 0.9}, read_images=True)
    reader = Reader()
    model = Speaking(llava, "Yes. " * 40)
    stream = protect_stream(model, llava[1], guard(detector, reader=reader), asked, hold=SMALL)
    assert "Yes" not in "".join(stream) and len(reader.seen) == 1
    assert "Yes" not in protect_generate(model, llava[1], guard(detector, reader=reader), asked).response


def test_leaving_a_stream_stops_the_model(llava: tuple[Any, Any]) -> None:
    model = Speaking(llava, "Plain words. " * 25)
    stream = protect_stream(model, llava[1], guard(), MESSAGES, hold=SMALL)
    reading = iter(stream)
    assert next(reading)
    reading.close()  # type: ignore[attr-defined]
    for thread in threading.enumerate():
        if thread.name == "mllm-protector-generate":
            thread.join(20)
    assert model.steps < 300 and stream.over


def test_a_model_that_fails_and_what_cannot_be_asked(llava: tuple[Any, Any]) -> None:
    model, processor = llava
    with pytest.raises(BackendError, match="the model failed"):
        list(protect_stream(model, processor, guard(), MESSAGES, max_new_tokens=-1))
    with pytest.raises(InputError, match="unjudged"):
        protect_generate(model, processor, guard(), MESSAGES, streamer=object())
    with pytest.raises(InputError, match="must be 1"):
        protect_generate(model, processor, guard(), MESSAGES, num_return_sequences=2)
    for content in (7, [{"type": "audio"}], [{"type": "image", "path": "/no/such.png"}]):
        with pytest.raises(InputError, match="messages"):
            protect_generate(model, processor, guard(), [{"role": "user", "content": content}])
    with pytest.raises(InputError, match="user message"):
        protect_generate(model, processor, guard(), [{"role": "system", "content": "x"}])


def test_a_text_model_and_its_tokenizer(tmp_path: Path) -> None:
    folder = save_tiny_llama(tmp_path)
    model = transformers.LlamaForCausalLM.from_pretrained(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    asked = [{"role": "user", "content": "Hi"}]
    found = protect_generate(model, tokenizer, guard(), asked, max_new_tokens=8, do_sample=False)
    stream = protect_stream(model, tokenizer, guard(), asked, max_new_tokens=8, do_sample=False)
    assert isinstance(stream, ProtectedStreamer) and "".join(stream) == found.response


def test_the_documentation_shows_what_works(llava: tuple[Any, Any]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "integrations.md").read_text()
    (snippet,) = (b for b in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "protect_stream" in b)
    names: dict[str, Any] = {}
    exec(snippet, names)
    whole, streamed, action = names["answer"](*llava, PICTURE)
    assert whole == streamed and action is Action.ALLOW
