"""Tiny models in the architectures of the guards: verdicts rigged one way, random otherwise."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Regex, Tokenizer, models, pre_tokenizers

from mllm_protector.backends.detectors.guards import guard
from mllm_protector.taxonomy import LABEL_SETS

_SPECIAL = ["<unk>", "<s>", "</s>", "<pad>"]
_PIECE = r"\n|\w+|[^\w\s]"
_WORDS = (
    "lamp cat dog red blue green old new tell me what is it bad good thing Text in the image User Assistant"
)
UNSAFE, SAFE = ("unsafe", "Unsafe", "yes", "Yes"), ("safe", "Safe", "no", "No")
CONTEXT = 2560


@cache
def _vocabulary() -> tuple[str, ...]:
    """Every piece of the guards' layouts, of their labels and of the tests' own words."""
    folder = Path(guard.__file__).parent / "prompts"
    texts = [path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.txt"))]
    texts += [_WORDS, " ".join(map(str, range(100))), " ".join((*UNSAFE, *SAFE, "Controversial"))]
    texts += [*LABEL_SETS["qwen3guard"], "Question Answer BEGINNING OF CONVERSATION USER ASSISTANT"]
    pieces = dict.fromkeys(piece for text in texts for piece in re.findall(_PIECE, text))
    return (*_SPECIAL, *(piece for piece in pieces if piece not in _SPECIAL))


def tokenizer() -> Any:
    """Words are tokens, white space but line ends is dropped; begins every text with ``<s>``."""
    made = Tokenizer(models.WordLevel({piece: n for n, piece in enumerate(_vocabulary())}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Split(Regex(_PIECE), "removed", invert=True)
    made.add_special_tokens(_SPECIAL)
    fast: Any = transformers.PreTrainedTokenizerFast
    return fast(
        tokenizer_object=made, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="<pad>"
    )


def _sizes(**changes: Any) -> dict[str, Any]:
    sizes = {
        "vocab_size": len(_vocabulary()), "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": CONTEXT,
        "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 3, "initializer_range": 0.1,
        "tie_word_embeddings": False, "head_dim": 8,
    }  # fmt: skip
    return sizes | changes


def _llama(**changes: Any) -> Any:
    return transformers.LlamaConfig(**_sizes(**changes))


def _llama4() -> Any:
    return transformers.Llama4TextConfig(
        **_sizes(intermediate_size_mlp=48, num_local_experts=2, moe_layers=[], attention_chunk_size=CONTEXT)
    )


ARCHITECTURES: dict[str, Callable[[], Any]] = {
    "llama": _llama,
    "llama4": _llama4,
    "mistral": lambda: transformers.MistralConfig(**_sizes(sliding_window=None)),
    "qwen3": lambda: transformers.Qwen3Config(**_sizes()),
    "gemma2": lambda: transformers.Gemma2Config(**_sizes(query_pre_attn_scalar=8)),
    "granite": lambda: transformers.GraniteConfig(**_sizes()),
}


def save_guard(
    folder: Path, architecture: str, says: tuple[str, ...], *, template: str | None = None
) -> Path:
    """Save a causal model whose next token is most likely one of ``says``; return the folder.

    How likely depends on all of the input: the first dimension of every embedding carries a constant that
    those words' rows of the head read, everything else is random.
    """
    torch.manual_seed(0)
    causal: Any = transformers.AutoModelForCausalLM
    model = causal.from_config(ARCHITECTURES[architecture]())
    chosen = [_vocabulary().index(word) for word in says]
    with torch.no_grad():
        model.get_input_embeddings().weight[:, 0] = 4.0
        model.get_output_embeddings().weight[:, 0] = 0.0
        model.get_output_embeddings().weight[chosen, 0] = 1.0
    model.save_pretrained(folder)
    made = tokenizer()
    if template is not None:
        made.chat_template = template
    made.save_pretrained(folder)
    return folder


def save_classifier(
    folder: Path, *, labels: tuple[str, ...], several: bool = False, positions: int = 512
) -> Path:
    """Save a BERT with a random classification head; return the folder."""
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(_vocabulary()), hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, max_position_embeddings=positions, pad_token_id=3, initializer_range=0.4,
        id2label=dict(enumerate(labels)), label2id={label: n for n, label in enumerate(labels)},
        problem_type="multi_label_classification" if several else "single_label_classification",
    )  # fmt: skip
    transformers.BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


def save_llama_classifier(folder: Path, labels: int) -> Path:
    """Save a causal model with a classification head, as BeaverDam is one; return the folder."""
    torch.manual_seed(0)
    classifier: Any = transformers.LlamaForSequenceClassification
    classifier(_llama(num_labels=labels)).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


def save_paper_detector(folder: Path, *, head: bool = True) -> tuple[Path, Path]:
    """Save a base model and a LoRA adapter with a one-logit head, as the paper's; return both folders."""
    import peft

    torch.manual_seed(0)
    base, adapter = folder / "base", folder / "adapter"
    transformers.LlamaForCausalLM(_llama()).save_pretrained(base)
    tokenizer().save_pretrained(base)
    wanted: Any = transformers.AutoModelForSequenceClassification
    network = wanted.from_pretrained(base, num_labels=1)
    kind = peft.TaskType.SEQ_CLS if head else peft.TaskType.FEATURE_EXTRACTION
    settings = peft.LoraConfig(task_type=kind, r=4, lora_alpha=32, target_modules=["q_proj", "v_proj"])
    with warnings.catch_warnings():  # peft asks transformers for something that it is about to rename
        warnings.simplefilter("ignore", FutureWarning)
        adapted: Any = peft.get_peft_model(network, settings)
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_B" in name or "score" in name:
                weight.normal_(0.0, 0.4)
    adapted.save_pretrained(adapter)
    return base, adapter
