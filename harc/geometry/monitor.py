"""Reading a model's harmfulness and refusal directions at every token while it generates, changing nothing.

The model runs as it would without: forward hooks project the residual stream onto the directions and keep the numbers
on the model's device until somebody asks. Whatever calls the model may be at work: `generate`, a loop with a key-value
cache, prompts read in chunks, batches padded on either side, requests that take turns, each with a cache of its own.
"""

import threading
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from harc.core.errors import ConfigError, ModelError
from harc.geometry.directions import FAMILIES, Directions
from harc.model.activations import check_finite, hidden_of
from harc.model.backbones import Backbone
from harc.model.chat import ChatFormat

LEAST_NORM = 1e-12  # of a residual, so that a state of zeros has cosine 0
UNKNOWN = -1  # id of a token that the model was given as an embedding
MOST_HELD = 65_536  # numbers of a slot's states that wait for the pass to end
CACHES = ("past_key_values", "cache_params", "cache")
PACKED = ("cu_seq_lens_q", "cu_seqlens_q", "block_table")  # arguments by which several requests share one row


@dataclass(frozen=True)
class Trace:
    """One sequence as the model has read it so far, padding left out.

    A token is read where the model has just seen it; the last token of an answer, which nothing follows, is not there.

    Attributes:
        ids: its tokens; UNKNOWN for embeddings.
        prompt_tokens: how many of them are the prompt.
        slots: slots that were read, in order.
        cosine, dot: by family, cosine of the residual with the direction, and their product.
    """

    ids: tuple[int, ...]
    prompt_tokens: int
    slots: tuple[int, ...]
    cosine: dict[str, Float[np.ndarray, "tokens slots"]]
    dot: dict[str, Float[np.ndarray, "tokens slots"]]

    def take_side(self, family: str, *, dot: bool = False) -> Float[np.ndarray, "tokens slots"]:
        """Cosines (or products) of a family on its own side: response tokens for `*_resp`, prompt tokens for others."""
        values = (self.dot if dot else self.cosine)[family]
        return values[self.prompt_tokens :] if family.endswith("_resp") else values[: self.prompt_tokens]


@dataclass
class _Pass:
    """One forward pass: what the slots held, for every row and token; projections lie in parts, slot after slot."""

    ids: Int[Tensor, "rows tokens"] | None
    shape: tuple[int, int]
    real: Tensor | None
    held: list[Tensor] = field(default_factory=list)
    dots: list[Float[Tensor, "slots rows tokens families"]] = field(default_factory=list)
    norms: list[Float[Tensor, "slots rows tokens"]] = field(default_factory=list)

    def count_slots(self) -> int:
        """Slots that are projected."""
        return sum(len(part) for part in self.norms)

    def cut(self, tokens: int) -> "_Pass":
        """The first so many columns of it."""

        def keep(part: Any) -> Any:
            return None if part is None else part[:, :tokens]

        dots, norms = ([part[:, :, :tokens] for part in parts] for parts in (self.dots, self.norms))
        return _Pass(keep(self.ids), (self.shape[0], tokens), keep(self.real), [], dots, norms)


@dataclass
class _Stream:
    """The passes of one batch, from its first token on; the cache tells which batch a pass goes on with."""

    first: int
    cache: Any = None
    passes: list[_Pass] = field(default_factory=list)
    fault: tuple[str, str, str] | None = None

    def rewind(self, length: int) -> None:
        """Forget what lies behind the cache's length: the caller took tokens back, as speculative decoding does."""
        kept, end = [], self.first
        for one in self.passes:
            width = min(one.shape[1], length - end)
            if width > 0:
                kept.append(one if width == one.shape[1] else one.cut(width))
            end += one.shape[1]
        self.passes = kept


class Monitor:
    """Hooks that read while the block lasts.

    Examples:
        >>> with Monitor(model, load_directions(path), slots=(12,)) as monitor:
        ...     model.generate(**inputs)
        ...     for trace in monitor.list_traces():
        ...         print(trace.take_side("v_harm")[-1], trace.take_side("v_ref_resp").mean(0))

    Beam search reorders rows where no hook sees it, and is not for this; neither are servers that pack several requests
    into one row (`list_traces` refuses those). A loop that never ends calls `clear` between requests.
    """

    def __init__(
        self,
        model: Any,
        directions: Directions,
        slots: Sequence[int] | None = None,
        ends: Sequence[int] | None = None,
    ) -> None:
        """Check that model and directions fit.

        Args:
            model: a causal language model of transformers, with or without an adapter, or a `Backbone`.
            directions: read on this model.
            slots: slots to read; all by default. Slot L enters block L; the last one leaves the last block.
            ends: tokens after which a response is over; those of the model's generation config by default.

        Raises:
            ModelError: for directions of another depth or width.
            ConfigError: for a slot that the model does not have.
        """
        self.backbone = model if isinstance(model, Backbone) else wrap_model(model)
        check_directions(self.backbone, directions)
        self.slots = tuple(range(self.backbone.n_slots)) if slots is None else tuple(sorted(set(slots)))
        outside = [slot for slot in self.slots if not 0 <= slot <= self.backbone.n_layers]
        if outside or not self.slots:
            raise ConfigError(
                "slots", expected=f"some of 0..{self.backbone.n_layers}",
                found=", ".join(map(str, outside)) or "none", fix="choose slots that the model has",
            )  # fmt: skip
        families = directions.families
        self.families = tuple(name for name in FAMILIES if name in families)
        rows = [torch.stack([families[name][slot] for name in self.families], dim=1) for slot in self.slots]
        vectors = torch.stack(rows).float()
        self._vectors = {vectors.device: vectors}  # (slots, hidden, families), on each device that needs them
        self.ends = frozenset(_read_ends(self.backbone) if ends is None else ends)
        self._streams: list[_Stream] = []
        self._now = threading.local()  # servers generate in threads
        self._lock = threading.Lock()
        self._handles: list[Any] = []

    def __enter__(self) -> "Monitor":
        """Begin to read."""
        body, blocks, last = self.backbone.body, self.backbone.blocks, self.backbone.n_layers
        self._handles = [body.register_forward_pre_hook(self._begin, with_kwargs=True)]
        for slot in self.slots:
            if slot == last:
                self._handles.append(blocks[-1].register_forward_hook(self._see_last))
            else:
                before = self._make_hook(slot)
                self._handles.append(blocks[slot].register_forward_pre_hook(before, with_kwargs=True))
        self._handles.append(body.register_forward_hook(self._end))
        return self

    def __exit__(self, *problem: object) -> None:
        """Leave the model as it was; what was read stays."""
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def clear(self) -> None:
        """Forget every sequence that was read."""
        with self._lock:
            self._streams = []

    def list_traces(self, prompt_tokens: Sequence[int] | None = None) -> list[Trace]:
        """Every sequence that was read, batch by batch, row by row; may be asked at any time.

        Args:
            prompt_tokens: tokens of each sequence's prompt. By default the prompt is what was read before the first
                pass of a single token: a prompt whose last chunk is one token, or tokens drafted several at a time,
                need it said.

        Raises:
            ModelError: for states that are not finite, or passes whose rows cannot be told apart.
            ConfigError: unless there is a number for each sequence.
        """
        with self._lock:
            streams = [replace(stream, passes=list(stream.passes)) for stream in self._streams]
        traces = [trace for stream in streams for trace in self._read_stream(stream)]
        if prompt_tokens is not None:
            if len(prompt_tokens) != len(traces):
                raise ConfigError(
                    "prompt_tokens", expected=f"{len(traces)} numbers, one a sequence", found=str(len(prompt_tokens)),
                    fix="give one for each, or call clear() between batches",
                )  # fmt: skip
            traces = [replace(t, prompt_tokens=n) for t, n in zip(traces, prompt_tokens, strict=True)]
        return [self._trim(trace) for trace in traces]

    def _begin(self, module: Any, args: tuple, kwargs: dict) -> None:
        """Note what a forward pass is given."""
        ids = args[0] if args else kwargs.get("input_ids")
        given = kwargs.get("inputs_embeds") if ids is None else ids
        if given is None:
            self._now.one = None
            return
        shape = (int(given.shape[0]), int(given.shape[1]))
        mask = kwargs.get("attention_mask")
        flat = mask if isinstance(mask, Tensor) and mask.dim() == 2 else None
        stream, fault = self._find_stream(_find_cache(kwargs.get)), None
        if any(kwargs.get(name) is not None for name in PACKED):
            fault = (
                "a row for each sequence",
                "several requests packed into one row",
                "serve without packing",
            )
        elif mask is not None and flat is None and shape[0] > 1:
            fault = ("a mask of shape (rows, tokens)", "one of another form", "use a dynamic cache")
        elif stream.passes and stream.passes[0].shape[0] != shape[0]:
            found = f"{stream.passes[0].shape[0]} rows, then {shape[0]}"
            fault = ("the same rows in every pass of a batch", found, "keep finished rows in the batch")
        stream.fault = stream.fault or fault
        real = None if flat is None else flat[:, -shape[1] :].bool().clone()
        self._now.one = _Pass(None if ids is None else ids.clone(), shape, real)
        self._now.stream = stream

    def _find_stream(self, cache: Any) -> _Stream:
        """The batch that a pass goes on with, or a new one."""
        length = _count_cached(cache)
        if cache is not None and length != 0:
            for stream in reversed(self._streams):
                if stream.cache is not None and stream.cache() is cache:
                    if length is not None:
                        stream.rewind(length)
                    return stream
        return _Stream(length or 0, _refer(cache))

    def _make_hook(self, slot: int) -> Any:
        def hook(module: Any, args: tuple, kwargs: dict) -> None:
            self._see(slot, hidden_of(args, kwargs))

        return hook

    def _see_last(self, module: Any, args: tuple, output: Any) -> None:
        self._see(self.backbone.n_layers, output[0] if isinstance(output, tuple) else output)

    def _see(self, slot: int, hidden: Tensor) -> None:
        """Take one slot's states; small ones wait until the pass ends, since a call costs more than its numbers."""
        one = getattr(self._now, "one", None)
        if one is None:
            return
        states = hidden.detach()
        if one.held and one.held[0].device != states.device:
            self._project(one)
        waits = states.numel() <= MOST_HELD
        one.held.append(states.clone() if waits else states)  # a block may write into what it was given
        if not waits:
            self._project(one)

    def _project(self, one: _Pass) -> None:
        """Project the states that wait."""
        if not one.held:
            return
        states, done = torch.stack(one.held).float(), one.count_slots()
        vectors = self._vectors.get(states.device)
        if vectors is None:
            vectors = self._vectors[states.device] = next(iter(self._vectors.values())).to(states.device)
        flat = states.flatten(1, 2) @ vectors[done : done + len(states)]
        one.dots.append(flat.unflatten(1, states.shape[1:3]))
        one.norms.append(torch.linalg.vector_norm(states, dim=-1))
        one.held = []

    def _end(self, module: Any, args: tuple, output: Any) -> None:
        """Keep a pass that came to its end."""
        one, self._now.one = getattr(self._now, "one", None), None
        if one is None:
            return
        self._project(one)
        if one.count_slots() < len(self.slots):
            return
        stream = self._now.stream
        if stream.cache is None:
            stream.cache = _refer(_find_cache(lambda name: getattr(output, name, None)))
        with self._lock:
            if not stream.passes:
                self._streams.append(stream)
            stream.passes.append(one)

    def _read_stream(self, stream: _Stream) -> list[Trace]:
        """The rows of a batch."""
        source = self.backbone.source or "model"
        if stream.fault is not None:
            expected, found, fix = stream.fault
            raise ModelError(f"{source}, monitor", expected=expected, found=found, fix=fix)
        if not stream.passes:
            return []
        parts = [self._read_pass(one) for one in stream.passes]
        ids, real = (torch.cat([part[index] for part in parts], dim=1) for index in (0, 1))
        dots, norms = (torch.cat([part[index] for part in parts], dim=2) for index in (2, 3))
        widths = [one.shape[1] for one in stream.passes]
        single = next((place for place, width in enumerate(widths) if place and width == 1), len(widths))
        prompt = sum(widths[:single])
        traces = []
        for row in range(len(ids)):
            kept = real[row]
            own, lengths = dots[:, row, kept], norms[:, row, kept]
            check_finite(torch.cat([own, lengths[..., None]], dim=-1), f"{source}, activations")
            cosines = own / lengths.clamp_min(LEAST_NORM)[..., None]
            names = enumerate(self.families)
            both = {name: (cosines[..., i].T.numpy(), own[..., i].T.numpy()) for i, name in names}
            cosine, dot = ({name: pair[k] for name, pair in both.items()} for k in (0, 1))
            count = int(kept[:prompt].sum())
            traces.append(Trace(tuple(ids[row, kept].tolist()), count, self.slots, cosine, dot))
        return traces

    def _read_pass(self, one: _Pass) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Ids, mask, products and norms of a pass on the CPU."""
        ids = torch.full(one.shape, UNKNOWN) if one.ids is None else one.ids.to("cpu", torch.int64)
        real = torch.ones(one.shape, dtype=torch.bool) if one.real is None else one.real.cpu()
        dots, norms = (torch.cat([part.cpu() for part in parts]) for parts in (one.dots, one.norms))
        return ids, real, dots, norms

    def _trim(self, trace: Trace) -> Trace:
        """Without what a batch feeds a row after its end, while other rows go on."""
        stop = next(
            (place for place in range(trace.prompt_tokens, len(trace.ids)) if trace.ids[place] in self.ends),
            len(trace.ids),
        )
        if stop == len(trace.ids):
            return trace
        cosine, dot = (
            {name: values[:stop] for name, values in parts.items()} for parts in (trace.cosine, trace.dot)
        )
        return replace(trace, ids=trace.ids[:stop], cosine=cosine, dot=dot)


def _find_cache(get: Callable[[str], Any]) -> Any:
    """What the model keeps between passes, under the name that attention models or recurrent ones have for it."""
    return next((cache for name in CACHES if (cache := get(name)) is not None), None)


def _count_cached(cache: Any) -> int | None:
    """Tokens that a cache holds; None where it does not say, as those of recurrent models."""
    if cache is None:
        return 0
    try:
        return int(cache.get_seq_length())
    except (AttributeError, TypeError, ValueError, NotImplementedError):
        return None


def _refer(cache: Any) -> Any:
    """A reference that does not keep a cache alive; None for what takes none."""
    try:
        return None if cache is None else weakref.ref(cache)
    except TypeError:
        return None


def wrap_model(model: Any) -> Backbone:
    """A model that came without its tokenizer, to reach its blocks."""
    return Backbone(model, None, ChatFormat(None), source=str(getattr(model.config, "_name_or_path", "")))


def check_directions(backbone: Backbone, directions: Directions) -> None:
    """Refuse directions that were read on a model of another shape.

    Raises:
        ModelError: naming both shapes.
    """
    expected = (backbone.n_slots, backbone.hidden_size)
    found = tuple(directions.v_harm.shape)
    if found != expected:
        raise ModelError(
            f"directions for {backbone.source or 'the model'}",
            expected=f"{expected[0]} slots of width {expected[1]}, as the model has",
            found=f"{found[0]} slots of width {found[1]}",
            fix="read them on this model: `harc directions extract`",
        )


def _read_ends(backbone: Backbone) -> list[int]:
    """Tokens that the model's own settings name as ends."""
    declared = getattr(getattr(backbone.causal_lm, "generation_config", None), "eos_token_id", None)
    several = declared if isinstance(declared, list | tuple) else [declared]
    return [int(token) for token in several if token is not None]
