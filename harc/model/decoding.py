"""A batch decoded with one key-value cache: prompts read in, then a token a step for every row."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

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
