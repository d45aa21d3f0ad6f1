"""Several token sequences in one row of a forward pass, each blind to the others.

A row is a list of segments. A segment sees itself and the segment that it continues, and its positions go on from
there: answers that share a prompt read it once, and short rows leave no padding. Attention learns this from a mask
of four dimensions and from position ids, which transformers passes through unchanged; `can_pack` tries it out.
"""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float, Int
from torch import Tensor

from harc.model.backbones import Backbone
from harc.model.prepacking import is_large

PACK_COST = {"cuda": 8192, "cpu": 1024}
"""Row length at which masked attention costs about as much as the rest of a block; the CPU's from Qwen2.5-0.5B."""
TOLERANCES = {torch.float32: 1e-5}  # relative; half-precision models:
HALF_TOLERANCE = 0.05
_packs: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()


@dataclass(frozen=True)
class Segment:
    """Tokens of one row that belong together.

    Attributes:
        ids: the tokens.
        parent: index, in the same row, of the segment that this one continues; None for a beginning.
    """

    ids: tuple[int, ...]
    parent: int | None = None


@dataclass(frozen=True)
class Packed:
    """Arguments of a model's body for packed rows; `mask` is added to attention scores."""

    ids: Int[Tensor, "rows time"]
    positions: Int[Tensor, "rows time"]
    mask: Float[Tensor, "rows 1 time time"]

    @property
    def arguments(self) -> dict[str, Tensor]:
        """Names as transformers' bodies take them."""
        return {"input_ids": self.ids, "position_ids": self.positions, "attention_mask": self.mask}


def pack_segments(rows: Sequence[Sequence[Segment]], pad: int, device: Any, dtype: torch.dtype) -> Packed:
    """Lay out rows of segments, filled up on the right."""
    longest = max(sum(len(segment.ids) for segment in row) for row in rows)
    parts: tuple[list[list[int]], ...] = ([], [], [], [])  # ids, positions, owners, parents
    for row in rows:
        starts: list[int] = []
        line: tuple[list[int], ...] = ([], [], [], [])
        for number, segment in enumerate(row, start=1):
            parent = segment.parent
            start = 0 if parent is None else starts[parent] + len(row[parent].ids)
            starts.append(start)
            size = len(segment.ids)
            line[0].extend(segment.ids)
            line[1].extend(range(start, start + size))
            line[2].extend([number] * size)
            line[3].extend([0 if parent is None else parent + 1] * size)
        gap = longest - len(line[0])
        for part, values, filler in zip(parts, line, (pad, 0, 0, 0), strict=True):
            part.append([*values, *[filler] * gap])
    packed = torch.tensor(parts).to(device, non_blocking=True)
    owner, parent = packed[2], packed[3]
    seen = (owner[:, :, None] == owner[:, None]) | (
        (parent[:, :, None] == owner[:, None]) & (owner[:, None] > 0)
    )
    seen = (seen & torch.ones_like(seen[0]).tril())[:, None]
    mask = torch.zeros_like(seen, dtype=dtype).masked_fill_(~seen, torch.finfo(dtype).min)
    return Packed(packed[0], packed[1], mask)


@dataclass(frozen=True)
class Layout:
    """Right-padded rows as they go through a model's body, and where each of their tokens comes out.

    Attributes:
        arguments: of the body.
        place: index of each (row, time) among the body's outputs, rows behind each other; on the CPU.
        packed: whether several rows share one.
    """

    arguments: dict[str, Tensor]
    place: Int[Tensor, "batch time"]
    packed: bool

    def select(
        self,
        hidden: Float[Tensor, "rows length hidden"],
        rows: Int[Tensor, " tokens"],
        times: Int[Tensor, " tokens"],
    ) -> Float[Tensor, "tokens hidden"]:
        """Outputs at chosen tokens; the indices lie on the CPU, so that nothing waits for the device."""
        where = self.place[rows, times].to(hidden.device, non_blocking=True)
        return hidden.flatten(0, 1)[where]

    def spread(self, hidden: Float[Tensor, "rows length hidden"]) -> Float[Tensor, "batch time hidden"]:
        """Outputs by row and time; what stands at padding means nothing."""
        if not self.packed:
            return hidden
        return hidden.flatten(0, 1)[self.place.to(hidden.device, non_blocking=True)]

    def pool(
        self, hidden: Float[Tensor, "rows length hidden"], weights: Float[Tensor, "batch time"]
    ) -> Float[Tensor, "batch hidden"]:
        """Weighted sums over each row's tokens."""
        if not self.packed:
            return torch.einsum("bt,bth->bh", weights.to(hidden), hidden)
        flat = torch.zeros(len(weights), hidden.shape[0] * hidden.shape[1])
        flat.scatter_add_(1, self.place, weights)  # padding has weight zero, wherever it points
        return flat.to(hidden.device, hidden.dtype, non_blocking=True) @ hidden.flatten(0, 1)


def lay_out_rows(
    ids: Int[Tensor, "batch time"],
    lengths: Sequence[int],
    pad: int,
    device: Any,
    dtype: torch.dtype,
    *,
    packed: bool,
) -> Layout:
    """Right-padded rows (on the CPU) as they are, or several to a row, after the tokens that all of them begin with."""
    shape = ids.shape
    if not packed:
        place = torch.arange(ids.numel()).view(shape)
        return Layout({"input_ids": ids.to(device, non_blocking=True)}, place, packed=False)
    shared = count_shared(ids, lengths)
    own = [length - shared for length in lengths]
    rows = plan_rows(own, shared, PACK_COST.get(torch.device(device).type, PACK_COST["cuda"]))
    longest = shared + max(sum(own[index] for index in row) for row in rows)
    place = torch.zeros(shape, dtype=torch.long)
    segments = []
    for number, row in enumerate(rows):
        start = number * longest + shared
        place[row, :shared] = torch.arange(start - shared, start)
        segments.append([Segment(tuple(ids[row[0], :shared].tolist()))] if shared else [])
        for index in row:
            place[index, shared : lengths[index]] = torch.arange(start, start + own[index])
            start += own[index]
            tokens = tuple(ids[index, shared : lengths[index]].tolist())
            segments[-1].append(Segment(tokens, parent=0 if shared else None))
    return Layout(pack_segments(segments, pad, device, dtype).arguments, place, packed=True)


def count_shared(ids: Int[Tensor, "batch time"], lengths: Sequence[int]) -> int:
    """Tokens that all rows begin with; each keeps one of its own, and a single row shares none."""
    if len(lengths) < 2:
        return 0
    agreed = int((ids == ids[:1]).all(0).long().cumprod(0).sum())
    return min(agreed, min(lengths) - 1)


def plan_rows(lengths: Sequence[int], shared: int = 0, pack_cost: int = PACK_COST["cuda"]) -> list[list[int]]:
    """Which sequences share a row, so that the padded rows cost least; longest first, into the emptiest row.

    Args:
        lengths: of the sequences, without what all of them begin with.
        shared: tokens of that, which each row holds once.
        pack_cost: row length at which attention doubles a row's cost.
    """
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    best: tuple[float, list[list[int]]] | None = None
    for count in range(1, len(lengths) + 1):
        rows: list[list[int]] = [[] for _ in range(count)]
        loads = [shared] * count
        for index in order:
            row = loads.index(min(loads))
            rows[row].append(index)
            loads[row] += lengths[index]
        cost = count * max(loads) * (1 + max(loads) / pack_cost)
        if best is None or cost < best[0]:
            best = (cost, rows)
    return best[1] if best else []


def plan_full_passes(lengths: Sequence[int], tokens_per_forward: int) -> list[list[int]]:
    """As few passes as a budget of tokens allows, for rows that are packed; longest first, one row at least."""
    passes: list[list[int]] = []
    room = 0
    for index in sorted(range(len(lengths)), key=lambda index: (-lengths[index], index)):
        if not passes or lengths[index] > room:
            passes.append([])
            room = tokens_per_forward
        passes[-1].append(index)
        room -= lengths[index]
    return passes


def can_pack(backbone: Backbone, longest: int) -> bool:
    """Whether this model keeps packed segments apart: known limits first, then a trial on a few tokens.

    Args:
        backbone: the model.
        longest: tokens of the longest packed row; a sliding window must not be shorter.
    """
    if getattr(backbone.body, "decides_per_row", False):  # steering takes a row for one conversation
        return False
    config = backbone.text_config
    limits = [getattr(config, name, None) for name in ("sliding_window", "attention_chunk_size")]
    if any(limit is not None and limit < longest for limit in limits):
        return False
    if getattr(config, "_attn_implementation", "eager") not in ("sdpa", "eager"):
        return False
    if "position_ids" not in inspect.signature(type(backbone.body).forward).parameters:
        return False
    try:
        return _try_packing(backbone)
    except (RuntimeError, TypeError, ValueError):  # such as a family that builds its biases from a flat mask
        return False


def packs_rows(backbone: Backbone, longest: int) -> bool:
    """Whether rows of training are packed: on a GPU, and by large models on a CPU, where their attention allows it.

    Decided once a model, by the first `longest`; see `can_pack`.
    """
    model = backbone.causal_lm
    if model not in _packs:
        worth = backbone.device.type == "cuda" or is_large(backbone.body)
        _packs[model] = worth and can_pack(backbone, longest)
    return _packs[model]


@torch.no_grad()
def _try_packing(backbone: Backbone) -> bool:
    """A prompt with two answers in one row against each answer after the prompt in a row of its own."""
    first = min(64, backbone.text_config.vocab_size // 2)
    prompt, answers = (
        tuple(range(first, first + 4)),
        ((first + 5, first + 6, first + 7), (first + 8, first + 9)),
    )
    row = [Segment(prompt), *(Segment(answer, parent=0) for answer in answers)]
    dtype = next(backbone.body.parameters()).dtype
    packed = pack_segments([row], 0, backbone.device, dtype)
    was_training = backbone.model.training
    backbone.model.eval()  # dropout would make any two passes differ
    together = backbone.body(**packed.arguments, use_cache=False).last_hidden_state[0]
    start, agree = len(prompt), True
    for answer in answers:
        ids = torch.tensor([[*prompt, *answer]], device=backbone.device)
        alone = backbone.body(input_ids=ids, use_cache=False).last_hidden_state[0, len(prompt) :]
        gap = (together[start : start + len(answer)] - alone).float().norm() / alone.float().norm()
        agree &= bool(gap <= TOLERANCES.get(dtype, HALF_TOLERANCE))  # NaN is no agreement
        start += len(answer)
    backbone.model.train(was_training)
    return agree
