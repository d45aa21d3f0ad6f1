"""Prompts read into one key-value cache: little padding, and what several of them begin with once.

Families differ in what their forward takes; what is known of that is here.
"""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any
from weakref import WeakSet

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import pad
from torch.nn.utils.rnn import pad_sequence

from harc.core.errors import ModelError
from harc.model.prepacking import is_large

CACHES = ("past_key_values", "cache_params", "cache")
"""Arguments in which families take keys and values, or states of a recurrence; `cache` from transformers 5.24 on."""
PADDING_ALLOWED = 512  # padding tokens of one pass, beyond which a pass of its own for the rest costs less
LARGE_PASS = 32  # tokens that one more pass of a large model costs on a CPU
_read_whole: WeakSet[Any] = WeakSet()


@dataclass(frozen=True)
class Signature:
    """What a family's forward takes.

    Attributes:
        cache: name of the argument that holds the past.
        recurrent: whether the past is a recurrence's states alone, which hold no padding.
        positions: whether it takes position_ids; others count them from the mask, or have none.
        last_only: whether it can be asked for the last token's logits alone.
    """

    cache: str
    recurrent: bool
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
def find_cache_name(kind: Any) -> str | None:
    """The argument in which a class's forward takes its past; None for one that takes none."""
    takes = inspect.signature(kind.forward).parameters
    return next((name for name in CACHES if name in takes), None)


@cache
def _read_class(kind: Any) -> Signature:
    takes, name = inspect.signature(kind.forward).parameters, find_cache_name(kind)
    if name is None:
        raise _refuse(kind, f"a forward without {', '.join(CACHES)}")
    # Hybrids of recurrence and attention count positions.
    recurrent = bool(getattr(kind, "_is_stateful", False)) and "position_ids" not in takes
    return Signature(name, recurrent, "position_ids" in takes, "logits_to_keep" in takes)


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
        "attention_mask": mask if first or not signature.recurrent else None,
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
    """(ids, mask) of prompts, brought to one width."""
    rows = [torch.tensor(row, device=device) for row in prompts]
    fill = partial(pad_sequence, batch_first=True, padding_side="left")
    return fill(rows, padding_value=pad_id), fill([torch.ones_like(row) for row in rows])


@dataclass(frozen=True)
class Beginning:
    """Tokens that several prompts of a batch begin with, which are read once.

    Attributes:
        row: one of the prompts.
        start, stop: which of its tokens, those before being the beginning that this one continues.
        rows: prompts that go on alone after it.
        parts: longer beginnings that go on after it.
    """

    row: int
    start: int
    stop: int
    rows: list[int]
    parts: list[Any]


def plan_beginnings(
    prompts: Sequence[Sequence[int]], rows: list[int], start: int, least: int
) -> tuple[list[int], list[Beginning]]:
    """(prompts to read alone, beginnings to read once), each beginning saving `least` tokens at the least.

    Args:
        prompts: token ids.
        rows: of the prompts, those that agree up to `start`, which has been read.
        start: index of the first token to read.
        least: tokens that a beginning must save.
    """
    if len(rows) < 2:
        return rows, []
    chosen = [tuple(prompts[row]) for row in rows]
    most = min(map(len, chosen)) - 1  # a prompt's last token gives its logits
    first, last = min(chosen), max(chosen)  # what these two agree on, all do
    shared = next((place for place in range(most) if first[place] != last[place]), most)
    worth = (len(rows) - 1) * (shared - start) >= least
    alone = [row for row in rows if len(prompts[row]) == shared + 1]
    groups: dict[int, list[int]] = {}
    for row in rows:
        if len(prompts[row]) > shared + 1:
            groups.setdefault(prompts[row][shared], []).append(row)
    parts: list[Beginning] = []
    for group in groups.values():
        single, longer = plan_beginnings(prompts, group, shared if worth else start, least)
        alone, parts = [*alone, *single], [*parts, *longer]
    if not worth:
        return sorted(alone), parts
    return [], [Beginning(rows[0], start, shared, sorted(alone), parts)]


def shares_beginnings(model: Any) -> bool:
    """Whether prompts' common beginnings are read once: by large models on a CPU, where reading is what costs.

    Not by families that count positions from the mask, nor under hooks that read a row as a whole (`decides_per_row`);
    hooks that treat every position alike are none the wiser.
    """
    fit = read_signature(model).positions and not decides_per_row(model) and model not in _read_whole
    return fit and _saves_products(model)


def read_whole(model: Any) -> None:
    """Have a model's prompts read whole from now on: it was seen to go wrong otherwise (harc.model.decoding_check)."""
    _read_whole.add(model)


def decides_per_row(model: Any) -> bool:
    """Whether hooks take each row of a pass for one whole prompt, as steering does."""
    return getattr(find_base(model).base_model, "decides_per_row", False)


def _saves_products(model: Any) -> bool:
    return model.device.type == "cpu" and is_large(model)


def read_prompts(
    model: Any, prompts: Sequence[Sequence[int]], pad_id: int, padding_allowed: int | None = None
) -> Prefilled:
    """Run the model over a batch of prompts, sorted longest first, in as many passes as their lengths ask for.

    What several prompts begin with is read once where that pays; see `shares_beginnings`. Models with other than plain
    cache layers (sliding windows, states) are read in one pass.
    """
    from transformers import DynamicCache
    from transformers.cache_utils import DynamicLayer

    rows = list(range(len(prompts)))
    if not all(type(layer) is DynamicLayer for layer in DynamicCache(config=model.config).layers):
        return _read_once(model, prompts, pad_id, None)
    allowed = padding_allowed
    if allowed is None:
        allowed = LARGE_PASS if _saves_products(model) else PADDING_ALLOWED
    # A beginning costs two passes: its own, and one for what follows it.
    share = shares_beginnings(model)
    alone, parts = plan_beginnings(prompts, rows, 0, 2 * allowed) if share else (rows, [])
    read = _read_after(model, prompts, Beginning(0, 0, 0, alone, parts), pad_id, allowed, None)
    return read[0][1] if len(read) == 1 and read[0][0] == rows else _join(model, read)


def _read_after(
    model: Any, prompts: Sequence[Sequence[int]], begun: Beginning, pad_id: int, allowed: int, past: Any
) -> list[tuple[list[int], Prefilled]]:
    """What goes on after a beginning that `past` holds: prompts in passes with little padding, longer beginnings."""
    start = 0 if past is None else past.get_seq_length()
    rows, left = begun.rows, [prompts[row][start:] for row in begun.rows]
    read, first = [], 0
    for size in split_by_length(list(map(len, left)), allowed):
        stop = first + size
        read.append((rows[first:stop], _read_once(model, left[first:stop], pad_id, past)))
        first = stop
    for part in begun.parts:
        longer = _read_once(model, [prompts[part.row][part.start : part.stop]], pad_id, past).cache
        read += _read_after(model, prompts, part, pad_id, allowed, longer)
    return read


def _read_once(model: Any, prompts: Sequence[Sequence[int]], pad_id: int, past: Any) -> Prefilled:
    """One pass over prompts, or over what follows their common beginning in `past`, a cache of one row."""
    from transformers import DynamicCache

    ids, mask = pad_left(prompts, pad_id, model.device)
    cache, start = DynamicCache(config=model.config), 0
    if past is not None:
        start = past.get_seq_length()
        for place, layer in enumerate(past.layers):
            cache.update(*(part.expand(len(ids), -1, -1, -1) for part in (layer.keys, layer.values)), place)
    positions = start + (mask.cumsum(-1) - 1).clamp(min=0)
    mask = pad(mask, (start, 0), value=1)
    return Prefilled(run_step(model, ids, mask, positions, cache), cache, mask, positions[:, -1:])


def _join(model: Any, read: Sequence[tuple[list[int], Prefilled]]) -> Prefilled:
    """One batch of several, in the prompts' order; hooks with a state of their own give a cache `join_state`."""
    from transformers import DynamicCache

    parts = [part for _, part in read]
    order = torch.tensor([row for rows, _ in read for row in rows], device=model.device).argsort()
    width = max(part.mask.shape[1] for part in parts)
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
        joined.update(keys[order], values[order], place)
    if hasattr(parts[0].cache, "join_state"):
        parts[0].cache.join_state(joined, [part.cache for part in parts[1:]])
    masks = torch.cat([pad(part.mask, (width - part.mask.shape[1], 0)) for part in parts])
    logits = torch.cat([part.logits for part in parts])
    last = torch.cat([part.last_positions for part in parts])
    return Prefilled(logits[order], joined, masks[order], last[order])
