"""What the speed comparison runs on: random Llamas of given shapes, and filler texts of given lengths."""

import argparse
import random
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SHAPES = {
    "tiny": {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 12, "num_attention_heads": 4,
                 "num_key_value_heads": 2, "vocab_size": 2048},
    "smollm2": {"hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9,
                    "num_key_value_heads": 3, "vocab_size": 49152, "tie_word_embeddings": True},
    "llama8b": {"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32,
                    "num_key_value_heads": 8, "vocab_size": 128256},
}  # fmt: skip
WORDS = [
    "garden",
    "river",
    "window",
    "candle",
    "bridge",
    "violin",
    "basket",
    "ladder",
    "orchard",
    "harbour",
    "mirror",
    "teapot",
]
# Lengths of one micro-batch: 6 harmful, 4 harmless, 2 pseudo-harmful rows; 1,875 tokens, 3,612 when padded to 301.
PROMPT_TOKENS = (40, 42, 44, 46, 50, 60, 45, 55, 60, 45, 38, 40)
RESPONSE_TOKENS = (60, 64, 70, 80, 90, 70, 256, 200, 150, 120, 90, 60)


def build_backbone(arguments: argparse.Namespace) -> Any:
    """A random Llama of the shape, with a small byte-level tokenizer."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    from harc.model.backbones import Backbone
    from harc.model.chat import ChatFormat

    tokenizer = AutoTokenizer.from_pretrained(ROOT / "tests/golden/data/llama/model")
    config = LlamaConfig(
        **SHAPES[arguments.shape], max_position_embeddings=2048, bos_token_id=1, eos_token_id=3
    )
    torch.manual_seed(0)
    with torch.device(arguments.device):
        torch.set_default_dtype(getattr(torch, arguments.dtype))
        model = LlamaForCausalLM(config).requires_grad_(False).eval()
        torch.set_default_dtype(torch.float32)
    return Backbone(model, tokenizer, ChatFormat(tokenizer))


def write_text(generator: random.Random, tokenizer: Any, tokens: int) -> str:
    """Filler of about so many tokens."""
    text = ""
    while len(tokenizer(text, add_special_tokens=False).input_ids) < tokens:
        text += " " + generator.choice(WORDS)
    return text.strip()


def build_pairs(tokenizer: Any, count: int) -> dict[str, list[tuple[str, str]]]:
    """Pairs by kind: harmful prompts are short, a fifth of the harmless ones long; answers run to 256 tokens."""
    generator = random.Random(0)

    def write(tokens: int) -> str:
        return write_text(generator, tokenizer, tokens)

    harmful = [write(generator.randint(20, 50)) for _ in range(count)]
    harmless = [
        write(generator.randint(150, 230) if i % 5 == 0 else generator.randint(20, 90)) for i in range(count)
    ]
    return {
        "harm": [(prompt, write(generator.randint(150, 300))) for prompt in harmful],
        "refuse": [(prompt, write(generator.randint(30, 90))) for prompt in harmful],
        "helpful": [(prompt, write(generator.randint(150, 300))) for prompt in harmless],
    }


def build_rows(tokenizer: Any, count: int) -> list[dict[str, str]]:
    """The rows of one micro-batch; fewer than 12 are spread over all categories."""
    generator = random.Random(1)
    categories = ["harmful"] * 6 + ["harmless"] * 4 + ["pseudo_harmful"] * 2
    rows = [
        {
            "category": category,
            "prompt": write_text(generator, tokenizer, prompt - 12),
            "response": write_text(generator, tokenizer, response),
        }
        for category, prompt, response in zip(categories, PROMPT_TOKENS, RESPONSE_TOKENS, strict=True)
    ]
    return [rows[place * len(rows) // count] for place in range(count)]
