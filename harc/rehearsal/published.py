"""Shapes and quirks of published models, as their config.json on the hub says: what stand-ins are made of.

A test counts the parameters that each shape makes, and compares them with what its model card says.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
CHATML_ENDS = ("<|im_end|>", "<|endoftext|>")


@dataclass(frozen=True)
class PublishedModel:
    """What is known of one model without its weights.

    Attributes:
        architecture: prefix of its classes in transformers.
        chat: the layout of its conversations.
        layers, hidden, inner, heads, key_value_heads: its shape.
        vocabulary: tokens.
        billions: parameters, as its card says.
        tied: whether the head is the embedding.
        ends: tokens that end an answer, as generation_config.json lists them.
        sampling: what generation_config.json says beside these.
        quirks: further entries of config.json.
    """

    architecture: Literal["Llama", "Qwen2", "Mixtral"]
    chat: Literal["llama3", "chatml", "inst"]
    layers: int
    hidden: int
    inner: int
    heads: int
    key_value_heads: int
    vocabulary: int
    billions: float
    tied: bool = False
    ends: tuple[str, ...] = ()
    sampling: dict[str, Any] = field(default_factory=dict)
    quirks: dict[str, Any] = field(default_factory=dict)


def _describe_llama3(
    layers: int, hidden: int, inner: int, heads: int, billions: float, factor: float = 8.0, tied: bool = False
) -> PublishedModel:
    return PublishedModel(
        "Llama",
        "llama3",
        layers,
        hidden,
        inner,
        heads,
        8,
        128256,
        billions,
        tied,
        ("<|end_of_text|>", "<|eom_id|>", "<|eot_id|>"),
        {"do_sample": True, "temperature": 0.6, "top_p": 0.9},
        {"rope_parameters": LLAMA3_ROPE | {"factor": factor}, "max_position_embeddings": 131072},
    )


def _describe_qwen2(
    layers: int,
    hidden: int,
    inner: int,
    heads: int,
    key_value_heads: int,
    billions: float,
    tied: bool = False,
) -> PublishedModel:
    return PublishedModel(
        "Qwen2",
        "chatml",
        layers,
        hidden,
        inner,
        heads,
        key_value_heads,
        151936 if tied else 152064,
        billions,
        tied,
        CHATML_ENDS,
        {"do_sample": True, "temperature": 0.7, "top_p": 0.8, "top_k": 20, "repetition_penalty": 1.05},
        {
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e6},
            "max_position_embeddings": 32768,
            "use_sliding_window": False,
        },
    )


PUBLISHED: dict[str, PublishedModel] = {
    "meta-llama/Llama-3.1-8B-Instruct": _describe_llama3(32, 4096, 14336, 32, 8.03),
    "meta-llama/Llama-3.1-70B-Instruct": _describe_llama3(80, 8192, 28672, 64, 70.55),
    "meta-llama/Llama-3.2-1B-Instruct": _describe_llama3(16, 2048, 8192, 32, 1.24, factor=32.0, tied=True),
    "Qwen/Qwen2.5-7B-Instruct": _describe_qwen2(28, 3584, 18944, 28, 4, 7.62),
    "Qwen/Qwen2.5-72B-Instruct": _describe_qwen2(80, 8192, 29568, 64, 8, 72.71),
    "Qwen/Qwen2.5-1.5B-Instruct": _describe_qwen2(28, 1536, 8960, 12, 2, 1.54, tied=True),
    "Qwen/Qwen2.5-Coder-0.5B-Instruct": _describe_qwen2(24, 896, 4864, 14, 2, 0.494, tied=True),
    "Qwen/Qwen2.5-Coder-1.5B-Instruct": _describe_qwen2(28, 1536, 8960, 12, 2, 1.54, tied=True),
    "HuggingFaceTB/SmolLM2-135M-Instruct": PublishedModel(
        "Llama",
        "chatml",
        30,
        576,
        1536,
        9,
        3,
        49152,
        0.1345,
        True,
        ("<|im_end|>",),
        {},
        {"rope_parameters": {"rope_type": "default", "rope_theta": 1e5}, "max_position_embeddings": 8192},
    ),
    "mistralai/Mixtral-8x7B-Instruct-v0.1": PublishedModel(
        "Mixtral",
        "inst",
        32,
        4096,
        14336,
        32,
        8,
        32000,
        46.70,
        False,
        ("</s>",),
        {},
        {"rope_parameters": {"rope_type": "default", "rope_theta": 1e6}, "max_position_embeddings": 32768},
    ),
}
"""By their names on the hub."""
