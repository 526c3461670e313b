"""Guards over a real local HTTP server and over tiny weights: what goes out, is read, and is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests import tiny_guards
from tests.guard_server import GuardServer
from tests.serving import Running

from mllm_protector.errors import BackendError, CheckpointError, ConfigError
from mllm_protector.registry import make
from mllm_protector.types import Detection, Exchange, Image, Query

ONE = Exchange(Query("what is it"), "a red lamp")


@pytest.fixture
def server() -> Iterator[tuple[GuardServer, str]]:
    guard = GuardServer()
    with Running(guard.app) as running:
        yield guard, f"{running.url}/v1"


def ask(name: str, url: str, exchange: Exchange = ONE, **options: Any) -> Detection:
    detector = make("detectors", name, {"endpoint": url, "retries": 0, **options})
    try:
        (found,) = detector.detect([exchange])
        assert isinstance(found, Detection)
        return found
    finally:
        detector.close()


def test_completions_put_the_answer_into_its_mouth(server: tuple[GuardServer, str]) -> None:
    guard, url = server
    found = ask("llama-guard", url, api="completions", model="my-guard")
    verdict, label, further = guard.bodies
    assert verdict["model"] == "my-guard" and verdict["max_tokens"] == 1 and verdict["logprobs"] == 20
    assert verdict["temperature"] == 0.0
    assert verdict["prompt"].endswith("<|end_header_id|>\n\n") and "Agent: a red lamp" in verdict["prompt"]
    assert label["prompt"] == verdict["prompt"] + "unsafe\nS"
    assert further["prompt"] == label["prompt"] + "1"
    assert found.harm > 0.5
    # "1" may go on to "10": the server's answer to "unsafe\nS1" begins no longer label, so "1" ends there.
    assert found.categories["S2"] == pytest.approx(found.harm * 0.7)
    assert found.categories["S10"] == pytest.approx(found.harm * 0.1)
    assert found.categories["S1"] == pytest.approx(found.harm * 0.2)


def test_llama_cpps_layout_gives_the_same(server: tuple[GuardServer, str]) -> None:
    guard, url = server
    first = ask("md-judge", url, api="completions")
    guard.llama_cpp = True
    second = ask("md-judge", url, api="completions")
    assert first.harm == second.harm and first.categories == second.categories


def test_chat_leaves_the_layout_to_the_server(server: tuple[GuardServer, str]) -> None:
    guard, url = server
    guard.answer = (["\n\n"], ["\n", "S", "10", ",", "S", "1"])
    found = ask("llama-guard", url)
    (body,) = guard.bodies
    assert body["messages"] == [
        {"role": "user", "content": "what is it"}, {"role": "assistant", "content": "a red lamp"},
    ]  # fmt: skip
    assert body["logprobs"] is True and body["top_logprobs"] == 20
    assert found.harm > 0.5 and set(found.categories) == {"S10", "S1"}


def test_qwen3guard_is_read_behind_its_lead(server: tuple[GuardServer, str]) -> None:
    guard, url = server
    guard.verdict = (" Unsafe", " Safe")
    guard.answer = (["Safety", ":"], ["\n", "Categories", ":", " Suicide & Self-Harm", "\nRefusal: No"])
    found = ask("qwen3guard", url)
    assert found.harm > 0.5 and set(found.categories) == {"S11"}
    assert ask("qwen3guard", url, categories=False).categories == {}


def test_settings_of_a_template_go_along(server: tuple[GuardServer, str]) -> None:
    guard, url = server
    guard.verdict = ("No", "Yes")
    assert ask("shieldgemma", url).harm < 0.5
    guidelines = [body["chat_template_kwargs"]["guideline"] for body in guard.bodies]
    assert len(guidelines) == 4 and guidelines[3].startswith('"No Sexually Explicit Information": ')
    guard.bodies.clear()
    guard.verdict, guard.answer = (" yes", " no"), (["<score>"], ["</score>"])
    assert ask("granite-guardian", url, version="3.3").harm > 0.5
    assert guard.bodies[0]["chat_template_kwargs"]["guardian_config"] == {"criteria_id": "harm"}


def test_wildguard_writes_its_first_lines_itself(server: tuple[GuardServer, str]) -> None:
    guard, url = server
    guard.verdict = (" yes", " no")
    assert ask("wildguard", url).harm > 0.5
    first, second = guard.bodies
    assert first["stop"] == ["Harmful response:"] and first["prompt"].endswith("<|assistant|>\n")
    assert second["prompt"].endswith("Harmful request: no\nResponse refusal: no\nHarmful response:")


def test_images_go_to_the_guard_that_sees(server: tuple[GuardServer, str]) -> None:
    guard, url = server
    seen = Exchange(Query("what is it", (Image(b"png", "image/png"),)), "a red lamp")
    ask("llama-guard", url, seen, version=4)
    ask("llama-guard", url, seen, version=3)
    first, second = (body["messages"][0]["content"] for body in guard.bodies)
    assert first[0] == {"type": "image_url", "image_url": {"url": "data:image/png;base64,cG5n"}}
    assert first[1] == {"type": "text", "text": "what is it"} and second == "what is it"


def test_a_missing_word_is_bounded(server: tuple[GuardServer, str]) -> None:
    guard, url = server
    guard.missing = True
    assert 0.9 < ask("llama-guard", url).harm < 1.0


def test_an_endpoint_without_log_probabilities_is_told(server: tuple[GuardServer, str]) -> None:
    guard, url = server
    guard.silent = True
    with pytest.raises(BackendError, match=r"no log probabilities.*allow_text"):
        ask("llama-guard", url)
    with pytest.raises(BackendError, match="no log probabilities"):
        ask("llama-guard", url, api="completions")
    assert ask("llama-guard", url, allow_text=True).harm == 1.0
    guard.verdict = ("safe", "unsafe")
    assert ask("llama-guard", url, allow_text=True).harm == 0.0
    guard.verdict = ("I'd rather not", "say")
    with pytest.raises(BackendError, match="no verdict in the answer"):
        ask("llama-guard", url, allow_text=True)


def test_another_model_is_noticed(server: tuple[GuardServer, str]) -> None:
    guard, url = server
    guard.verdict = ("Hello", "Hi")
    with pytest.raises(BackendError, match="is it this guard"):
        ask("llama-guard", url)
    with pytest.raises(BackendError, match="is it a model of this family"):
        ask("llama-guard", url, api="completions")


def test_an_endpoint_that_fails_is_told(server: tuple[GuardServer, str]) -> None:
    guard, url = server
    guard.status = 503
    with pytest.raises(BackendError, match="503"):
        ask("llama-guard", url)
    with pytest.raises(BackendError, match=r"127\.0\.0\.1:9"):
        ask("llama-guard", "http://127.0.0.1:9/v1")


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("llama-guard", {"version": 5}, "version is 1, 2, 3 or 4"),
        ("llama-guard", {"template": "mine"}, "template is written or model"),
        ("llama-guard", {"api": "chat"}, "give endpoint"),
        ("llama-guard", {"endpoint": "localhost"}, "no address"),
        ("llama-guard", {"endpoint": "http://a/v1", "colour": 1}, "colour"),
        ("llama-guard", {"endpoint": "http://a/v1", "window": 5}, "window is at least 100"),
        ("llama-guard", {"endpoint": "http://a/v1", "api": "completions", "allow_text": True}, "api: chat"),
        ("wildguard", {"endpoint": "http://a/v1", "api": "chat"}, "api: completions"),
        ("qwen3guard", {"controversial": 2}, r"in \[0, 1\]"),
        ("shieldgemma", {"guidelines": ["No Hate"]}, "did you mean 'No Hate Speech'"),
        ("granite-guardian", {"version": "2"}, "version is 3.0"),
        ("granite-guardian", {"risks": ["harms"]}, "did you mean 'harm'"),
        ("granite-guardian", {"version": "3.3"}, "template: model"),
        ("md-judge", {"version": 3}, "version is 1"),
        ("md-judge", {"reasons": 0}, "at least 1 token"),
    ],
)
def test_bad_options_name_their_cure(name: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make("detectors", name, options)


def test_the_models_own_template(tmp_path: Path) -> None:
    """Laid out by the tokenizer's template; an empty line that it writes itself is not written again."""
    template = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}{{ '\n\n' }}{% endfor %}"
    folder = tiny_guards.save_guard(tmp_path, "llama", tiny_guards.UNSAFE, template=template)
    own = make("detectors", "llama-guard", {"model": str(folder), "template": "model"})
    (found,) = own.detect([ONE])
    written = make("detectors", "llama-guard", {"model": str(folder)})
    assert found.harm > 0.5 and found.harm != written.detect([ONE])[0].harm
    wildguard = make("detectors", "wildguard", {"model": str(folder), "template": "model"})
    with pytest.raises(BackendError, match="without a chat template"):
        wildguard.detect([ONE])


def test_a_template_that_fails_is_told(tmp_path: Path) -> None:
    folder = tiny_guards.save_guard(
        tmp_path, "llama", tiny_guards.UNSAFE, template="{{ raise_exception('no') }}"
    )
    detector = make("detectors", "llama-guard", {"model": str(folder), "template": "model"})
    with pytest.raises(BackendError, match="chat template failed"):
        detector.detect([ONE])


def test_weights_that_are_no_guard(tmp_path: Path) -> None:
    from tests.tiny_models import save_tiny_llama

    with pytest.raises(CheckpointError):
        make("detectors", "llama-guard", {"model": str(tmp_path / "nothing")})
    letters = save_tiny_llama(tmp_path / "letters")
    with pytest.raises(ConfigError, match="no token for 'unsafe'"):
        make("detectors", "llama-guard", {"model": str(letters)})


def test_the_probability_is_that_of_the_logits(tmp_path: Path) -> None:
    """Against a forward pass by hand: softmax over the vocabulary, spellings merged."""
    import torch
    import transformers

    from mllm_protector.backends.detectors.guards import llama_guard
    from mllm_protector.backends.detectors.guards.guard import dialogue

    folder = tiny_guards.save_guard(tmp_path, "llama", tiny_guards.UNSAFE)
    (found,) = make("detectors", "llama-guard", {"model": str(folder)}).detect([ONE])
    tokenizer = tiny_guards.tokenizer()
    model = transformers.LlamaForCausalLM.from_pretrained(folder)
    ids = tokenizer(llama_guard._text(3, dialogue(ONE, ONE.response, 2000)) + "\n\n", return_tensors="pt")
    with torch.inference_mode():
        p = torch.softmax(model(ids.input_ids).logits[0, -1].float(), -1)
    unsafe, safe = (
        sum(float(p[tokenizer.convert_tokens_to_ids(word)]) for word in words)
        for words in (("unsafe", "Unsafe"), ("safe", "Safe"))
    )
    assert found.harm == pytest.approx(unsafe / (unsafe + safe), abs=1e-4)
