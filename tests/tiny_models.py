"""Tiny random chat models of many families for tests; one byte-level tokenizer serves them all."""

from functools import cache
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoTokenizer

from harc.model.backbones import Backbone
from harc.model.chat import ChatFormat

TOKENIZER = Path(__file__).parent / "golden" / "data" / "llama" / "model"
SHAPE = {
    "vocab_size": 591,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 5,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 512,
    "initializer_range": 0.3,
    "pad_token_id": 3,
    "bos_token_id": 1,
    "eos_token_id": 3,
}
FAMILIES: dict[str, dict[str, Any]] = {
    "Llama": {},
    "Qwen2": {},
    "Qwen3": {},
    "Mistral": {"sliding_window": 16},
    "Gemma2": {"sliding_window": 16, "final_logit_softcapping": 5.0},
    "Gemma3": {"sliding_window": 16, "final_logit_softcapping": 5.0},
    "Phi3": {},
    "GPTNeoX": {},
}
CONFIGS = {"Gemma3": "Gemma3TextConfig"}


def load_tokenizer() -> Any:
    """A fast tokenizer of 591 tokens with Llama-3's chat tokens."""
    return AutoTokenizer.from_pretrained(TOKENIZER)


def build_model(family: str, seed: int = 0, **changes: Any) -> Any:
    """A random causal language model of a family, in evaluation mode."""
    config_class = getattr(transformers, CONFIGS.get(family, f"{family}Config"))
    config = config_class(**{**SHAPE, **FAMILIES[family], **changes})
    torch.manual_seed(seed)
    model = getattr(transformers, f"{family}ForCausalLM")(config)
    return model.requires_grad_(False).eval()


@cache
def build_backbone(family: str = "Llama", seed: int = 0) -> Backbone:
    """A random backbone of a family; shared between tests, which leave it as it was."""
    tokenizer = load_tokenizer()
    return Backbone(build_model(family, seed), tokenizer, ChatFormat(tokenizer), source=f"tiny-{family}")
