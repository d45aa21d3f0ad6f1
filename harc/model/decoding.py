"""A batch decoded with one key-value cache: prompts read in with little padding, then a token a step for every row.

Families differ in what their forward takes; what is known of that is here.
"""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import pad
from torch.nn.utils.rnn import pad_sequence

from harc.core.errors import ModelError

CACHES = ("past_key_values", "cache_params")
"""Arguments in which families take keys and values, or states of a recurrence."""
COMPACT_BELOW = 0.75  # drop finished rows once the unfinished ones are fewer than this share of the batch
PADDING_ALLOWED = 512  # padding tokens of one pass, beyond which a pass of its own for the rest costs less


@dataclass(frozen=True)
class Signature:
    """What a family's forward takes.

    Attributes:
        cache: name of the argument that holds the past.
        positions: whether it takes position_ids; others count them from the mask, or have none.
        last_only: whether it can be asked for the last token's logits alone.
    """

    cache: str
    positions: bool
    last_only: bool


def find_base(model: Any) -> Any:
    """The transformers model without a PEFT wrapper."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def read_signature(model: Any) -> Signature:
    """How a model is called.

    Raises:
        ModelError: for a model that keeps its past elsewhere (RWKV's `state`), or reads a second text (an encoder).
    """
    base = find_base(model)
    kind: Any = type(base)
    if getattr(base.config, "is_encoder_decoder", False):
        raise _refuse(kind, "an encoder and a decoder")
    return _read_class(kind)


@cache
def _read_class(kind: Any) -> Signature:
    takes = inspect.signature(kind.forward).parameters
    caches = [name for name in CACHES if name in takes]
    if not caches:
        raise _refuse(kind, "a forward without past_key_values or cache_params")
    return Signature(caches[0], "position_ids" in takes, "logits_to_keep" in takes)


def _refuse(kind: type, found: str) -> ModelError:
    return ModelError(
        kind.__name__,
        expected="a decoder-only model that keeps its past in a cache of transformers",
        found=found,
        fix="use another model, or serve it and name the server (--endpoint)",
    )


def run_step(
    model: Any,
    ids: Int[Tensor, "batch time"],
    mask: Int[Tensor, "batch past_and_time"],
    positions: Int[Tensor, "batch time"],
    past: Any,
) -> Float[Tensor, "batch vocabulary"]:
    """Logits of the next token; `past` takes the new tokens in.

    A recurrence's state holds no padding, so its mask ends with the prompt.
    """
    signature = read_signature(model)
    first = mask.shape[1] == ids.shape[1]
    arguments = {
        "input_ids": ids,
        "attention_mask": mask if first or signature.cache == CACHES[0] else None,
        signature.cache: past,
        "use_cache": True,
    }
    if signature.positions:
        arguments["position_ids"] = positions
    if signature.last_only:
        arguments["logits_to_keep"] = 1
    return model(**arguments).logits[:, -1]


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
    prompts: Sequence[Sequence[int]], pad_id: int, device: torch.device
) -> tuple[Int[Tensor, "batch time"], Int[Tensor, "batch time"]]:
    """(ids, mask) of prompts of one width."""
    rows = [torch.tensor(row, device=device) for row in prompts]
    fill = partial(pad_sequence, batch_first=True, padding_side="left")
    return fill(rows, padding_value=pad_id), fill([torch.ones_like(row) for row in rows])


def read_prompts(
    model: Any, prompts: Sequence[Sequence[int]], pad_id: int, padding_allowed: int | None = None
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
        parts.append(_read_once(model, prompts[start : start + size], pad_id))
        start += size
    return parts[0] if len(parts) == 1 else _join(model, parts)


def _read_once(model: Any, prompts: Sequence[Sequence[int]], pad_id: int) -> Prefilled:
    from transformers import DynamicCache

    ids, mask = pad_left(prompts, pad_id, model.device)
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    cache = DynamicCache(config=model.config)
    logits = run_step(model, ids, mask, positions, cache)
    return Prefilled(logits, cache, mask, positions[:, -1:])


def _join(model: Any, parts: Sequence[Prefilled]) -> Prefilled:
    """One batch of several; hooks that keep something of their own on a cache give it a method `join_state`."""
    from transformers import DynamicCache

    width = parts[0].mask.shape[1]
    joined = DynamicCache(config=model.config)
    for place in range(len(parts[0].cache.layers)):
        layers = [part.cache.layers[place] for part in parts]
        # Keys and values of shape (batch, heads, time, size): zeros stand where the mask lets nothing through.
        keys, values = (
            torch.cat(
                [pad(getattr(layer, kind), (0, 0, width - layer.keys.shape[-2], 0)) for layer in layers]
            )
            for kind in ("keys", "values")
        )
        joined.update(keys, values, place)
    if hasattr(parts[0].cache, "join_state"):
        parts[0].cache.join_state(joined, [part.cache for part in parts[1:]])
    return Prefilled(
        torch.cat([part.logits for part in parts]),
        joined,
        torch.cat([pad(part.mask, (width - part.mask.shape[1], 0)) for part in parts]),
        torch.cat([part.last_positions for part in parts]),
    )


def decode_batch(
    model: Any,
    prompts: Sequence[Sequence[int]],
    pad_id: int,
    ends: Tensor,
    max_new_tokens: int,
    pick: Callable[[Tensor, list[int]], Tensor],
    padding_allowed: int | None = None,
) -> list[tuple[list[int], bool]]:
    """Tokens of each prompt (end token left out) and whether the model ended the turn itself."""
    read = read_prompts(model, prompts, pad_id, padding_allowed)
    cache, mask, positions, logits = read.cache, read.mask, read.last_positions, read.logits
    tokens: list[list[int]] = [[] for _ in prompts]
    stopped = [False] * len(prompts)
    rows = list(range(len(prompts)))  # the prompt behind each row that is still in the batch
    for step in range(max_new_tokens):
        chosen = pick(logits, rows)
        for row, token, ended in zip(rows, chosen.tolist(), torch.isin(chosen, ends).tolist(), strict=True):
            if not stopped[row]:
                stopped[row] = ended
                if not ended:
                    tokens[row].append(token)
        alive = [place for place, row in enumerate(rows) if not stopped[row]]
        if not alive or step + 1 == max_new_tokens:
            break
        if len(alive) < COMPACT_BELOW * len(rows):
            kept = torch.tensor(alive, device=model.device)
            cache.reorder_cache(kept)  # unlike batch_select_indices, it knows states beside keys and values
            chosen, mask, positions = chosen[kept], mask[kept], positions[kept]
            rows = [rows[place] for place in alive]
        mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1)
        positions = positions + 1
        logits = run_step(model, chosen[:, None], mask, positions, cache)
    return list(zip(tokens, stopped, strict=True))
