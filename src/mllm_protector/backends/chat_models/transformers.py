"""Image-text and text-only models through Hugging Face transformers: answers, likelihoods, gradients."""

from __future__ import annotations

import importlib.util
import io
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import PIL.Image
import torch
import transformers
from numpy.typing import NDArray

from mllm_protector.errors import BackendError, CheckpointError, ConfigError, MissingExtraError
from mllm_protector.interfaces import Likelihood
from mllm_protector.networks.harm import quiet_transformers
from mllm_protector.types import Query

__all__ = ["TransformersChatModel"]


class TransformersChatModel:
    """Answers queries, and, as a white box, tells how likely given answers are and how pixels change that.

    Args:
        model: a hub id, or the folder of a saved model.
        revision: branch, tag or commit on the hub.
        device: ``cpu``, ``cuda``, ``cuda:1`` ...; ``auto`` takes CUDA where there is one.
        dtype: ``auto`` (as saved), ``float32``, ``bfloat16`` or ``float16``.
        four_bit: load the weights in 4 bits (bitsandbytes, CUDA only).
        adapter: a LoRA adapter (hub id or folder), merged into the weights where they are not in 4 bits.
        template: ``chat`` lays a query out by the model's chat template; ``raw`` takes the prompt as it is.
        stop: texts that end an answer and are no part of it.
        system: a system prompt before every query, "" for none.
        max_new_tokens: of an answer.
        temperature: 0 decodes greedily.
        seed: of the sampling.
        batch_size: queries that are answered together.

    Raises:
        CheckpointError: the model is not there or cannot be loaded.
        ConfigError: an argument is not one of those above.
        MissingExtraError: 4 bits need bitsandbytes.
    """

    def __init__(
        self,
        model: str,
        *,
        revision: str | None = None,
        device: str = "auto",
        dtype: str = "auto",
        four_bit: bool = False,
        adapter: str | None = None,
        template: str = "chat",
        stop: Sequence[str] = (),
        system: str = "",
        max_new_tokens: int = 256,
        temperature: float = 0.0,
        seed: int = 0,
        batch_size: int = 8,
    ) -> None:
        if dtype not in ("auto", "float32", "bfloat16", "float16"):
            raise ConfigError(f"transformers: dtype {dtype!r} is none of auto, float32, bfloat16, float16")
        if batch_size < 1 or max_new_tokens < 1 or temperature < 0:
            raise ConfigError(
                "transformers: batch_size and max_new_tokens are at least 1, temperature at least 0"
            )
        if template not in ("chat", "raw"):
            raise ConfigError(f"transformers: template {template!r} is neither chat nor raw")
        self._raw, self._stop = template == "raw", tuple(stop)
        self._device = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
        self._system, self._new, self._temperature = system, max_new_tokens, temperature
        self._seed, self._batch = seed, batch_size
        options: dict[str, Any] = {"dtype": "auto" if dtype == "auto" else getattr(torch, dtype)}
        if four_bit:
            options |= _four_bits(self._device)
        try:
            config = transformers.AutoConfig.from_pretrained(model, revision=revision)
            self.sees = type(config) in transformers.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING
            auto: Any = (
                transformers.AutoModelForImageTextToText if self.sees else transformers.AutoModelForCausalLM
            )
            reader: Any = transformers.AutoProcessor if self.sees else transformers.AutoTokenizer
            self._model: Any = auto.from_pretrained(model, revision=revision, **options).eval()
            self._processor: Any = reader.from_pretrained(model, revision=revision)
            if adapter is not None:
                self._model = _adapted(self._model, adapter, merge=not four_bit).eval()
        except (OSError, ValueError, KeyError, ImportError) as error:
            if isinstance(error, ModuleNotFoundError) and error.name == "peft":
                raise MissingExtraError(
                    "an adapter needs peft; pip install 'mllm-protector[transformers]'"
                ) from error
            words = " ".join(str(error).split())[:300]
            raise CheckpointError(f"transformers cannot load the model {model!r}: {words}") from error
        self._model.requires_grad_(False)
        if not four_bit:
            self._model.to(self._device)
        self._tokenizer: Any = self._processor.tokenizer if self.sees else self._processor
        self._tokenizer.padding_side = "left"
        if self._tokenizer.pad_token_id is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token
        self._lock = threading.Lock()

    # -- a chat model -------------------------------------------------------------------------------

    def generate(self, queries: Sequence[Query], /) -> list[str]:
        """Return one response per query, in order; queries with and without images are batched apart.

        Raises:
            BackendError: an image cannot be read, or images are given to a model that sees none.
        """
        answers = [""] * len(queries)
        for seeing in (False, True):
            places = [i for i, query in enumerate(queries) if bool(query.images) is seeing]
            for start in range(0, len(places), self._batch):
                chosen = places[start : start + self._batch]
                for place, text in zip(chosen, self._write([queries[i] for i in chosen]), strict=True):
                    answers[place] = text
        return answers

    def _write(self, queries: Sequence[Query]) -> list[str]:
        options: dict[str, Any] = {"max_new_tokens": self._new, "do_sample": self._temperature > 0}
        if self._temperature > 0:
            options["temperature"] = self._temperature
        with self._lock, torch.inference_mode():
            torch.manual_seed(self._seed)
            inputs = self._inputs(queries)
            options["pad_token_id"] = self._tokenizer.pad_token_id
            begun = inputs["input_ids"].shape[1]
            if self._stop:
                options["stopping_criteria"] = [_StopAt(self._stop, begun, self._tokenizer)]
            written = self._model.generate(**inputs, **options)
        texts = self._tokenizer.batch_decode(written[:, begun:], skip_special_tokens=True)
        return [_until(text, self._stop).strip() for text in texts]

    # -- the next token -----------------------------------------------------------------------------

    @property
    def tokenizer(self) -> Any:
        """The model's tokenizer; not to be changed."""
        return self._tokenizer

    def next_tokens(self, queries: Sequence[Query], /) -> NDArray[np.float32]:
        """Return log p of every token of the vocabulary as the first of an answer, [queries, vocabulary].

        Raises:
            BackendError: a query is longer than the model's context, or an image cannot be read.
        """
        rows: dict[int, NDArray[np.float32]] = {}
        for seeing in (False, True):
            places = [i for i, query in enumerate(queries) if bool(query.images) is seeing]
            for start in range(0, len(places), self._batch):
                chosen = places[start : start + self._batch]
                rows |= dict(zip(chosen, self._first_tokens([queries[i] for i in chosen]), strict=True))
        return np.stack([rows[i] for i in range(len(queries))])

    def _first_tokens(self, queries: Sequence[Query]) -> NDArray[np.float32]:
        with self._lock, torch.inference_mode():
            inputs = self._inputs(queries)
            length = inputs["input_ids"].shape[1]
            most = getattr(self._model.config.get_text_config(), "max_position_embeddings", None) or length
            if length > most:
                raise BackendError(
                    f"an input of {length} tokens is over the model's {most}; give it less text"
                )
            # Padding stands to the left: positions begin at the first token that is none.
            positions = (inputs["attention_mask"].cumsum(-1) - 1).clamp(min=0)
            logits = self._model(**inputs, position_ids=positions, logits_to_keep=1).logits[:, -1]
            found: NDArray[np.float32] = torch.log_softmax(logits.float(), -1).cpu().numpy()
        return found

    # -- a white box --------------------------------------------------------------------------------

    def log_likelihood(self, queries: Sequence[Query], answers: Sequence[str], /) -> list[Likelihood]:
        """Return log p(answer | query) of each pair, teacher-forced, in nats.

        Raises:
            BackendError: an answer has no tokens, or an image cannot be read.
        """
        found = []
        with self._lock, torch.inference_mode():
            for query, answer in zip(queries, answers, strict=True):
                inputs, target = self._forced(query, answer)
                logits = self._model(**inputs).logits[0, -len(target) - 1 : -1].float()
                chosen = torch.log_softmax(logits, -1).gather(1, target[:, None])
                found.append(Likelihood(float(chosen.sum()), len(target)))
        return found

    def picture_size(self) -> tuple[int, int]:
        """Return (height, width) of the pictures whose pixels reach the model one to one.

        Raises:
            BackendError: the model sees none, or cuts pictures into tiles or patches of its own.
        """
        self._need_eyes()
        settings = self._processor.image_processor
        wanted = getattr(settings, "crop_size", None) or settings.size
        get = wanted.get if hasattr(wanted, "get") else lambda key: getattr(wanted, key, None)
        side = get("shortest_edge")
        return int(get("height") or side or 0), int(get("width") or side or 0)

    def gradient(
        self, query: Query, pixels: NDArray[np.float32], target: str, /
    ) -> tuple[float, NDArray[np.float32]]:
        """Return the mean negative log-likelihood of ``target`` in nats, and its gradient by the pixels.

        Args:
            query: the text; its images are replaced by ``pixels``.
            pixels: float32 [height, width, 3] in [0, 1], of ``picture_size``.
            target: what the model is to say.

        Raises:
            BackendError: the pixels do not reach this model one to one.
        """
        picture = PIL.Image.fromarray(np.rint(pixels * 255).astype(np.uint8))
        with self._lock, torch.enable_grad():
            inputs, wanted = self._forced(query, target, [picture])
            free = torch.tensor(pixels, device=self._model.device).requires_grad_()
            inputs["pixel_values"] = self._normalised(free, inputs["pixel_values"])
            logits = self._model(**inputs).logits[0, -len(wanted) - 1 : -1].float()
            loss = torch.nn.functional.cross_entropy(logits, wanted)
            (gradient,) = torch.autograd.grad(loss, free)
        return float(loss.detach()), gradient.float().cpu().numpy()

    def _normalised(self, pixels: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        """What the processor makes of pixels, differentiable; checked against what it made of them."""
        settings = self._processor.image_processor
        mean, deviation = (
            torch.tensor(v, device=pixels.device) for v in (settings.image_mean, settings.image_std)
        )
        made = ((pixels - mean) / deviation).permute(2, 0, 1)[None]
        # Half a grey level, which the processor's picture was rounded to, and no more.
        near = float(0.51 / 255 / deviation.min())
        if made.shape != seen.shape or float((made.detach() - seen.float()).abs().max()) > near + 2e-2:
            raise BackendError(
                f"{type(self._model).__name__} does not take pixels one to one (pixel_values "
                f"{list(seen.shape)}); gradients need a model of LLaVA 1.5's kind"
            )
        return made.to(seen.dtype)

    # -- inputs -------------------------------------------------------------------------------------

    def _forced(
        self, query: Query, answer: str, pictures: list[Any] | None = None
    ) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        """Return the inputs of the query with the answer behind them, and the answer's token ids."""
        inputs = self._inputs([query], pictures)
        ids = self._tokenizer(answer, add_special_tokens=False, return_tensors="pt").input_ids[0]
        ids = ids.to(self._model.device)
        if not len(ids):
            raise BackendError("an answer without tokens has no likelihood")
        shape = inputs["input_ids"].shape
        for name, tensor in inputs.items():
            if tensor.shape == shape:  # attention and token types go on as for text
                fill = ids if name == "input_ids" else torch.full_like(ids, int(name == "attention_mask"))
                inputs[name] = torch.cat([tensor, fill[None].to(tensor.dtype)], dim=1)
        return inputs, ids

    def _inputs(self, queries: Sequence[Query], pictures: list[Any] | None = None) -> dict[str, torch.Tensor]:
        """Return padded inputs; all of the queries have images, or none has."""
        shown = [pictures or [_picture(i.data) for i in query.images] for query in queries]
        texts = [self._prompt(query, len(p)) for query, p in zip(queries, shown, strict=True)]
        options: dict[str, Any] = {"padding": True, "return_tensors": "pt"}
        if any(shown):
            self._need_eyes()
            options["images"] = shown
        # A chat template writes the first token itself; a second one would be out of place.
        begins = self._tokenizer.bos_token
        if begins and all(text.startswith(begins) for text in texts):
            options["add_special_tokens"] = False
        made = self._processor(text=texts, **options)
        dtype = self._model.dtype
        return {
            name: tensor.to(self._model.device, dtype if tensor.is_floating_point() else None)
            for name, tensor in made.items()
            if name != "token_type_ids" or self.sees
        }

    def _prompt(self, query: Query, pictures: int) -> str:
        if self._raw:
            return query.prompt
        turns = [(turn.role, turn.content) for turn in query.history]
        if self._system:
            turns.insert(0, ("system", self._system))
        if not getattr(self._processor, "chat_template", None):
            return self._plain(turns, query.prompt, pictures)
        if not self.sees:
            messages: list[dict[str, Any]] = [{"role": r, "content": t} for r, t in turns]
            messages.append({"role": "user", "content": query.prompt})
        else:
            messages = [{"role": r, "content": [{"type": "text", "text": t}]} for r, t in turns]
            parts: list[dict[str, str]] = [{"type": "image"}] * pictures
            messages.append({"role": "user", "content": [*parts, {"type": "text", "text": query.prompt}]})
        text: str = self._processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        return text

    def _plain(self, turns: Sequence[tuple[str, str]], prompt: str, pictures: int) -> str:
        """The format of LLaVA 1.5 (Vicuna), for models that come without a template."""
        said = {"system": "", "user": "USER: ", "assistant": "ASSISTANT: "}
        before = "".join(f"{said.get(role, 'USER: ')}{text} " for role, text in turns)
        images = f"{getattr(self._processor, 'image_token', '<image>')}\n" * pictures
        return f"{before}USER: {images}{prompt} ASSISTANT:"

    def _need_eyes(self) -> None:
        if not self.sees:
            raise BackendError(f"{type(self._model).__name__} sees no images; give an image-text model")


class _StopAt(transformers.StoppingCriteria):
    """Ends each answer of a batch as soon as it holds one of the texts."""

    def __init__(self, stop: tuple[str, ...], begun: int, tokenizer: Any) -> None:
        self._stop, self._begun, self._tokenizer = stop, begun, tokenizer
        self._tail = 2 + max(len(text) for text in stop)  # a token has at least one character

    def __call__(self, input_ids: Any, scores: Any, **options: Any) -> Any:  # noqa: ARG002 (their face)
        tails = input_ids[:, max(self._begun, input_ids.shape[1] - self._tail) :]
        texts = self._tokenizer.batch_decode(tails, skip_special_tokens=True)
        return torch.tensor([any(s in text for s in self._stop) for text in texts], device=input_ids.device)


def _until(text: str, stop: Sequence[str]) -> str:
    return text[: min((at for at in map(text.find, stop) if at >= 0), default=len(text))]


def _adapted(model: Any, adapter: str, *, merge: bool) -> Any:
    import peft

    with quiet_transformers():
        adapted = peft.PeftModel.from_pretrained(model, adapter)
    return adapted.merge_and_unload() if merge else adapted


def _picture(data: bytes) -> Any:
    try:
        return PIL.Image.open(io.BytesIO(data)).convert("RGB")
    except (OSError, ValueError, SyntaxError, PIL.Image.DecompressionBombError) as error:
        raise BackendError(f"an image cannot be read: {error}") from error


def _four_bits(device: str) -> dict[str, Any]:
    if not device.startswith("cuda"):
        raise ConfigError("transformers: four_bit needs a CUDA device")
    if importlib.util.find_spec("bitsandbytes") is None:
        raise MissingExtraError("four_bit needs bitsandbytes; pip install bitsandbytes")
    settings = transformers.BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_compute_dtype=torch.bfloat16)
    return {"quantization_config": settings, "device_map": device}
