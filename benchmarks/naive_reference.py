"""The method the plain way, as a yardstick: what one writes first, from the paper's description.

Two full models, logits everywhere, padded batches in the given order, responses of 256 tokens, every activation kept
on the host until the mean is taken. Same results as harc, in more time and memory.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.functional import cosine_similarity, cross_entropy, log_softmax, normalize


def pad_left(rows: list[list[int]], pad: int, device: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """(ids, mask) of rows filled up on the left."""
    longest = max(map(len, rows))
    ids = torch.tensor([[pad] * (longest - len(row)) + row for row in rows], device=device)
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows], device=device)
    return ids, mask


def pad_right(rows: list[list[int]], pad: int, device: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """(ids, mask) of rows filled up on the right."""
    longest = max(map(len, rows))
    ids = torch.tensor([row + [pad] * (longest - len(row)) for row in rows], device=device)
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows], device=device)
    return ids, mask


class Recorder:
    """Keeps the input of every block, and the output of the last, while forward passes run."""

    def __init__(self, blocks: Sequence[torch.nn.Module]) -> None:
        self.slots: list[torch.Tensor] = []
        self.handles = [block.register_forward_pre_hook(self._before) for block in blocks]
        self.handles.append(blocks[-1].register_forward_hook(self._after))

    def _before(self, module: Any, args: tuple) -> None:
        self.slots.append(args[0])

    def _after(self, module: Any, args: tuple, output: Any) -> None:
        self.slots.append(output[0] if isinstance(output, tuple) else output)

    def close(self) -> None:
        """Stop recording."""
        for handle in self.handles:
            handle.remove()


@torch.no_grad()
def collect_prompts(
    model: Any, blocks: Sequence[Any], prompts: list[list[int]], after: int, pad: int
) -> torch.Tensor:
    """(prompts, slots, 2, hidden) on the host: residuals at t_inst and t_post, eight prompts at a time."""
    device, kept = next(model.parameters()).device, []
    for start in range(0, len(prompts), 8):
        ids, mask = pad_left(prompts[start : start + 8], pad, device)
        recorder = Recorder(blocks)
        model(input_ids=ids, attention_mask=mask, use_cache=False)
        recorder.close()
        kept.append(torch.stack([slot[:, [-after - 1, -1]].float().cpu() for slot in recorder.slots], dim=1))
    return torch.cat(kept)


@torch.no_grad()
def collect_responses(
    model: Any, blocks: Sequence[Any], pairs: list[tuple[list[int], list[int]]], window: int, pad: int
) -> torch.Tensor:
    """(pairs, slots, hidden) on the host: mean residual over each response's first tokens; last slot zero."""
    device, kept = next(model.parameters()).device, []
    for start in range(0, len(pairs), 8):
        chunk = pairs[start : start + 8]
        ids, mask = pad_right([prompt + response for prompt, response in chunk], pad, device)
        recorder = Recorder(blocks)
        model(input_ids=ids, attention_mask=mask, use_cache=False)
        recorder.close()
        for row, (prompt, response) in enumerate(chunk):
            stop = len(prompt) + min(window, len(response))
            pooled = [slot[row, len(prompt) : stop].mean(0).float().cpu() for slot in recorder.slots[:-1]]
            kept.append(torch.stack([*pooled, torch.zeros_like(pooled[0])]))
    return torch.stack(kept)


def extract(
    model: Any,
    blocks: Sequence[Any],
    prompts: tuple[list[list[int]], list[list[int]]],
    pairs: dict[str, list[tuple[list[int], list[int]]]],
    after: int,
    pad: int,
    window: int = 32,
) -> dict[str, torch.Tensor]:
    """The four direction families from token ids."""
    harmful, harmless = (collect_prompts(model, blocks, side, after, pad) for side in prompts)
    difference = harmful.mean(0) - harmless.mean(0)
    answers = {
        kind: collect_responses(model, blocks, rows, window, pad).mean(0) for kind, rows in pairs.items()
    }
    raw = {
        "v_harm": difference[:, 0],
        "v_ref": difference[:, 1],
        "v_harm_resp": answers["harm"] - answers["helpful"],
        "v_ref_resp": answers["refuse"] - answers["helpful"],
    }
    return {name: normalize(value, dim=-1, eps=1e-8) for name, value in raw.items()}


def compute_loss(
    adapted: Any,
    base: Any,
    blocks: Sequence[Any],
    rows: list[tuple[list[int], list[int], bool]],
    directions: dict[str, torch.Tensor],
    selected: list[int],
    after: int,
    pad: int,
    weights: dict[str, float],
    margin: float = 0.5,
    window: int = 32,
) -> torch.Tensor:
    """The total loss of one micro-batch of (prompt, response, is harmful) rows, KL anchored at t_post."""
    device = next(adapted.parameters()).device
    ids, mask = pad_right([prompt + response for prompt, response, _ in rows], pad, device)
    harmful = torch.tensor([flag for _, _, flag in rows], device=device)
    recorder = Recorder(blocks)
    logits = adapted(input_ids=ids, attention_mask=mask, use_cache=False).logits
    recorder.close()
    with torch.no_grad():
        target = base(input_ids=ids[~harmful], attention_mask=mask[~harmful], use_cache=False).logits
    response = torch.zeros_like(ids, dtype=torch.bool)
    for index, (prompt, answer, _) in enumerate(rows):
        response[index, len(prompt) : len(prompt) + len(answer)] = True
    couple = _couple(recorder.slots, rows, harmful, directions, selected, after, margin, window)
    student = log_softmax(logits[~harmful][:, :-1].float(), dim=-1)
    teacher = log_softmax(target[:, :-1].float(), dim=-1)
    kept = response[~harmful][:, 1:]
    kl = ((teacher.exp() * (teacher - student)).sum(-1) * kept).sum() / kept.sum()
    labels = torch.where(response[harmful], ids[harmful], -100)[:, 1:]
    ce = cross_entropy(logits[harmful][:, :-1].float().flatten(0, 1), labels.flatten(), ignore_index=-100)
    return weights["couple"] * couple + weights["kl"] * kl + weights["ce"] * ce


def _couple(
    slots: list[torch.Tensor],
    rows: list[tuple[list[int], list[int], bool]],
    harmful: torch.Tensor,
    directions: dict[str, torch.Tensor],
    selected: list[int],
    after: int,
    margin: float,
    window: int,
) -> torch.Tensor:
    """Sum of both sides' coupling, each the mean over slots and rows."""
    costs = []
    for slot in selected:
        hidden = slots[slot]
        for index, (prompt, response, _) in enumerate(rows):
            pooled = hidden[index, len(prompt) : len(prompt) + min(window, len(response))].mean(0)
            places = {
                "v_ref": hidden[index, len(prompt) - 1],
                "v_harm": hidden[index, len(prompt) - 1 - after],
                "v_ref_resp": pooled,
                "v_harm_resp": pooled,
            }
            for name, vector in places.items():
                cosine = cosine_similarity(vector, directions[name][slot].to(vector), dim=-1)
                costs.append(torch.relu(margin - cosine) if harmful[index] else torch.relu(cosine))
    return torch.stack(costs).sum() / (len(selected) * len(rows))
