"""Reading a batch of prompts into one key-value cache, with little padding however their lengths differ."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from harc.model.decoding_step import run_step

PADDING_ALLOWED = 512  # padding tokens of one pass, beyond which a pass of its own for the rest costs less


@dataclass
class Prefilled:
    """What decoding goes on from.

    Attributes:
        logits: of the token after each prompt.
        cache: keys and values of all prompts, left-padded to one width.
        mask: 1 for tokens, 0 for padding.
        last_positions: position of each prompt's last token.
    """

    logits: Float[Tensor, "batch vocabulary"]
    cache: Any
    mask: Int[Tensor, "batch time"]
    last_positions: Int[Tensor, "batch 1"]


def split_by_length(lengths: Sequence[int], allowed: int) -> list[int]:
    """Sizes of consecutive groups of prompts, sorted longest first, none of which needs more padding than allowed."""
    sizes: list[int] = []
    longest = padding = 0
    for length in lengths:
        padding += longest - length
        if not sizes or padding > allowed:
            sizes.append(1)
            longest, padding = length, 0
        else:
            sizes[-1] += 1
    return sizes


def pad_left(
    prompts: Sequence[Sequence[int]], pad: int, device: torch.device
) -> tuple[Int[Tensor, "batch time"], Int[Tensor, "batch time"]]:
    """(ids, mask) of prompts of one width."""
    width = max(map(len, prompts))
    ids = torch.tensor([[pad] * (width - len(row)) + list(row) for row in prompts], device=device)
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in prompts], device=device)
    return ids, mask


def read_prompts(
    model: Any, prompts: Sequence[Sequence[int]], pad: int, padding_allowed: int | None = None
) -> Prefilled:
    """Run the model over a batch of prompts, sorted longest first, in as many passes as their lengths ask for.

    Models with other than plain cache layers (sliding windows, states) are read in one pass.
    """
    allowed = PADDING_ALLOWED if padding_allowed is None else padding_allowed
    from transformers import DynamicCache
    from transformers.cache_utils import DynamicLayer

    plain = all(type(layer) is DynamicLayer for layer in DynamicCache(config=model.config).layers)
    sizes = split_by_length(list(map(len, prompts)), allowed) if plain else [len(prompts)]
    parts, start = [], 0
    for size in sizes:
        parts.append(_read_once(model, prompts[start : start + size], pad))
        start += size
    return parts[0] if len(parts) == 1 else _join(model, parts)


def _read_once(model: Any, prompts: Sequence[Sequence[int]], pad: int) -> Prefilled:
    from transformers import DynamicCache

    ids, mask = pad_left(prompts, pad, model.device)
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    cache = DynamicCache(config=model.config)
    logits = run_step(model, ids, mask, positions, cache)
    return Prefilled(logits, cache, mask, positions[:, -1:])


def _widen(values: Tensor, width: int, dim: int) -> Tensor:
    """Values with zeros in front along `dim`."""
    missing = width - values.shape[dim]
    if not missing:
        return values
    shape = list(values.shape)
    shape[dim] = missing
    return torch.cat([values.new_zeros(shape), values], dim=dim)


def _join(model: Any, parts: Sequence[Prefilled]) -> Prefilled:
    """One batch of several; hooks that keep something of their own on a cache give it a method `join_state`."""
    from transformers import DynamicCache

    width = parts[0].mask.shape[1]
    joined = DynamicCache(config=model.config)
    for place in range(len(parts[0].cache.layers)):
        layers = [part.cache.layers[place] for part in parts]
        keys = torch.cat([_widen(layer.keys, width, -2) for layer in layers])
        joined.update(keys, torch.cat([_widen(layer.values, width, -2) for layer in layers]), place)
    if hasattr(parts[0].cache, "join_state"):
        parts[0].cache.join_state(joined, [part.cache for part in parts[1:]])
    return Prefilled(
        torch.cat([part.logits for part in parts]),
        joined,
        torch.cat([_widen(part.mask, width, 1) for part in parts]),
        torch.cat([part.last_positions for part in parts]),
    )
