"""Tiny random models of real architectures, made here: LLaVA (sees), Llama and BERT (do not)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

from mllm_protector.checkpoints import HARM, Calibration
from mllm_protector.networks.harm import HarmNetwork, JointNetwork, load_transformer, save_head
from mllm_protector.networks.manifest import JOINT, TrainedManifest
from mllm_protector.networks.template import PAPER_TEXT, REWRITE_TEXT, TextTemplate
from mllm_protector.training.finish import write_folder

SIDE = 32
_PATCH = 8
_SPECIAL = ["<unk>", "<s>", "</s>", "<pad>", "<image>"]
_TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}{{ m['role'] | upper }}: {% if m['content'] is string %}"
    "{{ m['content'] }}{% else %}{% for c in m['content'] %}{% if c['type'] == 'image' %}<image>\n"
    "{% else %}{{ c['text'] }}{% endif %}{% endfor %}{% endif %} {% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT: {% endif %}"
)


def _tokenizer() -> Any:
    """Letters are tokens: it reads any ASCII text and needs no training."""
    letters = [chr(code) for code in range(32, 127)] + ["\n"]
    vocabulary = {token: place for place, token in enumerate([*_SPECIAL, *letters])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens(_SPECIAL)
    fast: Any = transformers.PreTrainedTokenizerFast
    return fast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="<pad>",
        extra_special_tokens={"image_token": "<image>"},
    )  # fmt: skip


def _text_config(size: int) -> Any:
    return transformers.LlamaConfig(
        vocab_size=size, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=2048, bos_token_id=1, eos_token_id=2, pad_token_id=3,
        initializer_range=0.3,
    )  # fmt: skip


def save_tiny_llama(folder: Path, *, template: bool = True, seed: int = 0) -> Path:
    """Save a text-only causal model with its tokenizer; return the folder."""
    torch.manual_seed(seed)
    tokenizer = _tokenizer()
    if template:
        tokenizer.chat_template = _TEMPLATE
    transformers.LlamaForCausalLM(_text_config(len(tokenizer))).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def save_tiny_guard(folder: Path, base: Path, kind: str, *, harm: float = -3.0) -> Path:
    """Save an untrained checkpoint of ``kind`` (detector or joint) over ``base``; return the folder.

    Args:
        folder: a new one.
        base: a Llama.
        kind: what its manifest says.
        harm: bias of the logit of harm.
    """
    writes = kind == JOINT
    torch.manual_seed(0)
    transformer = load_transformer(str(base), writes=writes)
    network = JointNetwork(transformer, 1) if writes else HarmNetwork(transformer, 1, "last")
    network.head.bias.data.fill_(harm)
    template = TextTemplate(REWRITE_TEXT if writes else PAPER_TEXT, max_length=256, prompt_tokens=96)
    manifest = TrainedManifest(
        kind=kind, name="tiny", base="tiny", weights="whole", max_length=256, template=template,
        pooling="last", outputs=(HARM,), calibration={HARM: Calibration()},
    )  # fmt: skip

    def fill(part: Path) -> None:
        network.transformer.save_pretrained(part)
        save_head(network.head, part)
        transformers.AutoTokenizer.from_pretrained(base).save_pretrained(part)

    write_folder(folder, manifest, fill)
    return folder


def save_tiny_bert(folder: Path, *, seed: int = 0) -> Path:
    """Save an encoder with its tokenizer; return the folder."""
    torch.manual_seed(seed)
    tokenizer = _tokenizer()
    tokenizer.cls_token, tokenizer.sep_token = "<s>", "</s>"
    config = transformers.BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, max_position_embeddings=512, pad_token_id=3, initializer_range=0.3,
    )  # fmt: skip
    transformers.BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def save_tiny_llava(folder: Path, *, template: bool = True, seed: int = 0) -> Path:
    """Save a LLaVA-architecture model of 32 x 32 pixels with its processor; return the folder."""
    torch.manual_seed(seed)
    tokenizer = _tokenizer()
    vision = transformers.CLIPVisionConfig(
        hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, image_size=SIDE,
        patch_size=_PATCH, projection_dim=32, initializer_range=0.3,
    )  # fmt: skip
    config = transformers.LlavaConfig(
        vision_config=vision, text_config=_text_config(len(tokenizer)), image_token_index=4,
        image_seq_length=(SIDE // _PATCH) ** 2, vision_feature_select_strategy="default",
        vision_feature_layer=-1,
    )  # fmt: skip
    transformers.LlavaForConditionalGeneration(config).save_pretrained(folder)
    pictures = transformers.CLIPImageProcessor(
        size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}
    )
    processor: Any = transformers.LlavaProcessor
    processor(
        image_processor=pictures, tokenizer=tokenizer, patch_size=_PATCH,
        vision_feature_select_strategy="default", num_additional_image_tokens=1,
        chat_template=_TEMPLATE if template else None,
    ).save_pretrained(folder)  # fmt: skip
    return folder
