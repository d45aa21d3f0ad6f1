"""A batch decoded with one key-value cache: prompts read in, then a token a step for every row."""

from collections.abc import Callable, Sequence
from functools import cache as memoize
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from harc.model.prefilling import read_prompts, run_step

COMPACT_BELOW = 0.75  # drop finished rows once the unfinished ones are fewer than this share of the batch


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
    reserve_room(cache, max_new_tokens)
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


def reserve_room(cache: Any, tokens: int) -> None:
    """Have plain layers of keys and values write new tokens into room kept for them.

    transformers' own copy the whole cache at every token. The numbers are the same to the last bit.

    Args:
        cache: of transformers; layers of other kinds stay as they are.
        tokens: room to keep.
    """
    from transformers.cache_utils import DynamicLayer

    for place, layer in enumerate(cache.layers):
        if type(layer) is DynamicLayer and layer.get_seq_length():
            cache.layers[place] = roomy = _find_layer_class()()
            roomy.lazy_initialization(layer.keys, layer.values)
            roomy.keys, roomy.values, roomy.room = layer.keys, layer.values, tokens


@memoize
def _find_layer_class() -> Any:
    from transformers.cache_utils import DynamicLayer

    class RoomyLayer(DynamicLayer):
        """Keys and values that are views of longer buffers."""

        keys: Any
        values: Any
        room = 0
        buffers: Any = ()
        views: Any = (None, None)

        def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> Any:
            held, new = (self.keys, self.values), (key_states, value_states)
            start = self.keys.shape[-2]
            stop = start + key_states.shape[-2]
            # Whoever drops or reorders rows leaves tensors of their own here, which move into new buffers.
            moved = any(part is not view for part, view in zip(held, self.views, strict=True))
            if moved or stop > self.buffers[0].shape[-2]:
                self.buffers = [pad(part, (0, 0, 0, stop - start + self.room)) for part in held]
            for buffer, states in zip(self.buffers, new, strict=True):
                buffer[..., start:stop, :] = states
            self.views = self.keys, self.values = [buffer[..., :stop, :] for buffer in self.buffers]
            return self.keys, self.values

    return RoomyLayer
