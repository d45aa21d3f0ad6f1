"""Reading the residual stream at chosen positions, for many token sequences, in few forward passes.

Rows are sorted by length and padded on the right, where causal attention never looks, so no mask is needed, except
where several answers to one prompt stand in one row behind it.
The forward pass stops at the last block that is read, and no logits are computed.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from harc.core.errors import ModelError
from harc.model.backbones import Backbone
from harc.model.packing import Segment, can_pack, pack_segments
from harc.model.prepacking import is_large

SPLIT_COST = 256  # padding tokens that one more forward pass must save to be worth its overhead


class _Stop(Exception):
    """Ends a forward pass once everything wanted has been read."""


@dataclass(frozen=True)
class Reading:
    """What to read from one token sequence.

    Attributes:
        ids: tokens, cut after the last position that is read.
        t_inst: index of the user's last token.
        t_post: index of the prompt's last token.
        window: (start, stop) of the response tokens to average; None where there is no response.
    """

    ids: tuple[int, ...]
    t_inst: int
    t_post: int
    window: tuple[int, int] | None = None


@dataclass(frozen=True)
class Residuals:
    """Residuals of one batch, float32 on the model's device.

    Attributes:
        rows: index of each row in the list of readings.
        inst, post: residual at t_inst and at t_post.
        resp: mean residual over the response window; zeros where a reading has none.
    """

    rows: list[int]
    inst: Float[Tensor, "batch slots hidden"]
    post: Float[Tensor, "batch slots hidden"]
    resp: Float[Tensor, "batch slots hidden"]


def hidden_of(args: tuple, kwargs: dict) -> Tensor:
    """The residual stream among a block's arguments."""
    return args[0] if args else kwargs["hidden_states"]


def stoppable() -> AbstractContextManager[None]:
    """For a forward pass that observed slots may end early."""
    return suppress(_Stop)


@contextmanager
def observe_slots(backbone: Backbone, slots: Sequence[int], see: Any, *, stop: bool = True) -> Iterator[None]:
    """Call `see(slot, hidden)` for each slot during forward passes; end a pass after the last one if `stop`.

    Args:
        backbone: the model.
        slots: slots to observe, 0..n_layers.
        see: called with the slot and the residual stream, shape (batch, time, hidden).
        stop: raise _Stop inside the model after the last slot; the caller suppresses it.
    """
    last = max(slots)
    handles = []

    def before(slot: int) -> Any:
        def hook(module: Any, args: tuple, kwargs: dict) -> None:
            see(slot, hidden_of(args, kwargs))
            if stop and slot == last:
                raise _Stop

        return hook

    def after(module: Any, args: tuple, output: Any) -> None:
        see(backbone.n_layers, output[0] if isinstance(output, tuple) else output)
        if stop:
            raise _Stop

    for slot in slots:
        if slot == backbone.n_layers:
            handles.append(backbone.blocks[-1].register_forward_hook(after))
        else:
            handles.append(backbone.blocks[slot].register_forward_pre_hook(before(slot), with_kwargs=True))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def plan_batches(lengths: Sequence[int], tokens_per_forward: int) -> list[list[int]]:
    """Group row indices, longest first, into forward passes with the least padding.

    Rows x longest stays within the token budget (one row always fits); a further group must save SPLIT_COST tokens.
    """
    order = sorted(range(len(lengths)), key=lambda row: (-lengths[row], row))
    best = [(0, 0)]  # per number of rows taken: cost, start of the last group
    for stop in range(1, len(order) + 1):
        options = []
        for start in range(stop - 1, -1, -1):
            padded = (stop - start) * lengths[order[start]]
            if padded > tokens_per_forward and stop - start > 1:
                break
            options.append((best[start][0] + padded + SPLIT_COST, start))
        best.append(min(options))
    groups, stop = [], len(order)
    while stop:
        start = best[stop][1]
        groups.append(order[start:stop])
        stop = start
    return groups[::-1]


def pad_right(rows: Sequence[Sequence[int]], pad: int, device: Any) -> Int[Tensor, "batch time"]:
    """Token rows as one tensor, filled up on the right."""
    longest = max(len(row) for row in rows)
    return torch.tensor([[*row, *[pad] * (longest - len(row))] for row in rows], device=device)


def window_weights(
    windows: Sequence[tuple[int, int]], longest: int, device: Any
) -> Float[Tensor, "batch time"]:
    """Weights whose sum over time averages each row's window; zeros for an empty window."""
    bounds = torch.tensor(windows, device=device)
    place = torch.arange(longest, device=device)
    inside = (place >= bounds[:, :1]) & (place < bounds[:, 1:])
    return inside.float() / inside.sum(1, keepdim=True).clamp_min(1)


def stream_residuals(
    backbone: Backbone,
    readings: Sequence[Reading],
    *,
    last_slot: int | None = None,
    tokens_per_forward: int = 4096,
    share: bool | None = None,
) -> Iterator[Residuals]:
    """Read all slots up to `last_slot` (n_layers if None) for every reading, batch by batch, longest first.

    Memory on the device does not grow with the number of readings; the caller decides what to keep.

    Args:
        backbone: the model.
        readings: what to read.
        last_slot: last slot to read.
        tokens_per_forward: padded tokens of one forward pass.
        share: read a prompt that several readings begin with once; None does so for large models, if their attention
            allows it.
    """
    slots = list(range((backbone.n_layers if last_slot is None else last_slot) + 1))
    lines = _plan_lines(backbone, readings, share)
    lengths = [_count_tokens(readings, line) for line in lines]
    for chosen in plan_batches(lengths, tokens_per_forward):
        batch = [lines[index] for index in chosen]
        rows = [row for line in batch for row in line]
        inputs = _lay_out(backbone, readings, batch)
        reader = _BatchReader(readings, batch, inputs["input_ids"])
        with torch.no_grad(), observe_slots(backbone, slots, reader.see), stoppable():
            backbone.body(**inputs, use_cache=False)
        parts = [torch.stack(part, dim=1) for part in zip(*reader.seen, strict=True)]
        for part in parts:
            check_finite(part, f"{backbone.source or 'model'}, activations")
        yield Residuals(rows, *parts)


def _plan_lines(backbone: Backbone, readings: Sequence[Reading], share: bool | None) -> list[list[int]]:
    """Readings by row of a forward pass: those with the same prompt in one, where that is wanted and works."""
    alone = [[index] for index in range(len(readings))]
    if share is None:
        share = is_large(backbone.body)
    if not share:
        return alone
    lines: dict[tuple[int, ...], list[int]] = {}
    for index, reading in enumerate(readings):
        lines.setdefault(reading.ids[: reading.t_post + 1], []).append(index)
    together = list(lines.values())
    longest = max((_count_tokens(readings, line) for line in together), default=0)
    return together if len(together) < len(readings) and can_pack(backbone, longest) else alone


def _count_tokens(readings: Sequence[Reading], line: list[int]) -> int:
    """Tokens of a row: the prompt once, and what follows it in each reading."""
    prompt = readings[line[0]].t_post + 1
    return prompt + sum(len(readings[index].ids) - prompt for index in line)


def _lay_out(backbone: Backbone, readings: Sequence[Reading], batch: list[list[int]]) -> dict[str, Tensor]:
    """Arguments of the model's body; plain right-padded rows where no two readings share one."""
    pad, device = backbone.chat.pad_id, backbone.device
    if all(len(line) == 1 for line in batch):
        return {"input_ids": pad_right([readings[line[0]].ids for line in batch], pad, device)}
    rows = []
    for line in batch:
        prompt = readings[line[0]].t_post + 1
        answers = [Segment(readings[index].ids[prompt:], parent=0) for index in line]
        rows.append([Segment(readings[line[0]].ids[:prompt]), *answers])
    return pack_segments(rows, pad, device, next(backbone.body.parameters()).dtype).arguments


class _BatchReader:
    """Keeps, slot after slot, only the wanted positions of one batch; float32 on the first device."""

    def __init__(
        self, readings: Sequence[Reading], batch: list[list[int]], ids: Int[Tensor, "rows time"]
    ) -> None:
        self.device = ids.device
        place, inst, post, windows = [], [], [], []
        for row, line in enumerate(batch):
            shift = 0  # answers stand behind each other
            for reading in (readings[index] for index in line):
                place.append(row)
                inst.append(reading.t_inst)
                post.append(reading.t_post)
                start, stop = reading.window or (0, 0)
                windows.append((start + shift, stop + shift))
                shift += len(reading.ids) - reading.t_post - 1
        self.place, self.inst, self.post = torch.tensor([place, inst, post], device=self.device)
        self.pooled = any(start < stop for start, stop in windows)
        self.alone = len(place) == len(batch)
        self.weights = window_weights(windows, ids.shape[1], self.device)
        self.seen: list[tuple[Tensor, Tensor, Tensor]] = []

    def see(self, slot: int, hidden: Float[Tensor, "rows time hidden"]) -> None:
        """Take the positions of one slot; later blocks of a model spread over devices come from another."""
        there = hidden.device
        place = self.place.to(there)
        inst, post = hidden[place, self.inst.to(there)], hidden[place, self.post.to(there)]
        if self.pooled:
            wide = hidden.float() if self.alone else hidden.float()[place]
            resp = torch.einsum("bt,bth->bh", self.weights.to(there), wide)
        else:
            resp = torch.zeros_like(inst)
        self.seen.append(tuple(part.to(self.device, torch.float32) for part in (inst, post, resp)))


def check_finite(values: Tensor, where: str) -> None:
    """Raise a ModelError if any value is NaN or infinite."""
    if not torch.isfinite(values).all():
        bad = int((~torch.isfinite(values)).sum())
        raise ModelError(
            where,
            expected="finite activations",
            found=f"{bad} NaN or infinite values",
            fix="load the model in float32 or bfloat16, and check its weights",
        )
