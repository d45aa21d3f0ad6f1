"""One forward pass of the adapted model, and of the base model under it, with just what the losses read."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from harc.activations import observe_slots, run_body, window_weights
from harc.backbones import Backbone
from harc.losses import cross_entropy_sum, kl_sum
from harc.training.batches import TokenBatch


@dataclass(frozen=True)
class Wanted:
    """What a pass has to give.

    Attributes:
        slots: residuals are read at these slots.
        kl: "anchored", "skipped" (the release's mask), or None for no KL.
        refusal_ce, benign_ce: cross-entropy on harmful and on benign rows' responses.
        window: response tokens to average.
        kl_temperature: divides the logits of both models in the KL.
        pair_slots: all positions are read at these slots, from the adapted model and from its base.
        stop: end both passes after the last of pair_slots; no other loss is read then.
    """

    slots: tuple[int, ...] = ()
    kl: str | None = None
    refusal_ce: bool = False
    benign_ce: bool = False
    window: int = 32
    kl_temperature: float = 1.0
    pair_slots: tuple[int, ...] = ()
    stop: bool = False


@dataclass(frozen=True)
class Outcome:
    """Residuals at the wanted slots, and sums over tokens; zeros where not wanted.

    `adapted` and `base` hold every position's residual at the pair slots, under the adapter and without it.
    """

    inst: Float[Tensor, "slots batch hidden"]
    post: Float[Tensor, "slots batch hidden"]
    resp: Float[Tensor, "slots batch hidden"]
    kl: Float[Tensor, ""]
    refusal_ce: Float[Tensor, ""]
    benign_ce: Float[Tensor, ""]
    adapted: Float[Tensor, "pair_slots batch time hidden"]
    base: Float[Tensor, "pair_slots batch time hidden"]


class AdapterForward(torch.nn.Module):
    """The trained module: an adapted model whose base is its own teacher, with the adapter off."""

    def __init__(self, backbone: Backbone, head_rows: int) -> None:
        from peft.tuners.tuners_utils import BaseTunerLayer

        super().__init__()
        self.model = backbone.model
        self._backbone = [backbone]  # in a list, so that it is not registered a second time
        self.head_rows = head_rows
        # PEFT's own disable_adapter inspects the whole model at every call: a tenth of a small model's step.
        self._adapter_layers = [part for part in self.model.modules() if isinstance(part, BaseTunerLayer)]

    @property
    def backbone(self) -> Backbone:
        """The model with its tokenizer."""
        return self._backbone[0]

    def forward(self, batch: Any, wanted: Any) -> Any:
        """Run one group of rows; logits exist only at the positions that a wanted loss reads.

        Args:
            batch: a TokenBatch; anything else where `wanted` is a function.
            wanted: a Wanted, whose Outcome is returned; or a function of (adapted model, batch) that computes a
                loss of its own, so that it too passes through this module when several processes train.
        """
        if not isinstance(wanted, Wanted):
            return wanted(self.model, batch)
        ids = batch.input_ids.to(self.backbone.device, non_blocking=True)
        base = self._read_base(ids, wanted)
        residuals, adapted, final = self._run_student(batch, ids, wanted)
        zero = torch.zeros((), device=ids.device)
        kl = self._compute_kl(batch, ids, final, wanted) if wanted.kl else zero
        refusal = self._cross_entropy(ids, final, batch.refusal_positions) if wanted.refusal_ce else zero
        benign = self._cross_entropy(ids, final, batch.benign_positions) if wanted.benign_ce else zero
        return Outcome(*residuals, kl, refusal, benign, adapted, base)

    def _read_base(self, ids: Tensor, wanted: Wanted) -> Tensor:
        """The base model's residuals at the pair slots, with no pass at all where none are wanted."""
        seen: dict[int, Tensor] = {}
        if wanted.pair_slots:
            with (
                torch.no_grad(),
                self._adapter_off(),
                observe_slots(self.backbone, wanted.pair_slots, seen.__setitem__),
            ):
                run_body(self.backbone, ids)
        return self._stack(ids, seen, wanted.pair_slots)

    def _stack(self, ids: Tensor, seen: dict[int, Tensor], slots: Sequence[int]) -> Tensor:
        if not slots:
            return ids.new_zeros((0, *ids.shape, self.backbone.hidden_size), dtype=torch.float32)
        return torch.stack([seen[slot].to(ids.device) for slot in slots])

    def _run_student(
        self, batch: TokenBatch, ids: Tensor, wanted: Wanted
    ) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor, Tensor]:
        """((inst, post, resp), residuals at the pair slots, final hidden states) of the adapted model."""
        seen: dict[int, tuple[Tensor, Tensor, Tensor]] = {}
        pairs: dict[int, Tensor] = {}
        rows = torch.arange(len(ids))
        bounds = [(start, min(stop, start + wanted.window)) for start, stop in batch.windows.tolist()]
        weights = window_weights(bounds, ids.shape[1], ids.device)

        def see(slot: int, hidden: Tensor) -> None:
            if slot in wanted.pair_slots:
                pairs.setdefault(slot, hidden)  # gradient checkpointing passes here twice
            if slot in wanted.slots and slot not in seen:
                pooled = torch.einsum("bt,bth->bh", weights.to(hidden), hidden)
                seen[slot] = (hidden[rows, batch.t_inst], hidden[rows, batch.t_post], pooled)

        slots = sorted({*wanted.slots, *wanted.pair_slots})
        final = ids.new_zeros((len(ids), 0, 0), dtype=torch.float32)
        if not slots:
            final = self._run_body(ids)
        elif wanted.stop:
            with observe_slots(self.backbone, slots, see):
                run_body(self.backbone, ids)
        else:
            with observe_slots(self.backbone, slots, see, stop=False):
                final = self._run_body(ids)
        empty = ids.new_zeros((0, len(ids), self.backbone.hidden_size), dtype=torch.float32)
        residuals = tuple(
            torch.stack([part.to(ids.device) for part in parts])
            for parts in zip(*(seen[slot] for slot in wanted.slots), strict=True)
        ) or (empty, empty, empty)
        return residuals, self._stack(ids, pairs, wanted.pair_slots), final

    def _run_body(self, ids: Tensor) -> Tensor:
        return self.backbone.body(input_ids=ids, use_cache=False).last_hidden_state

    @contextmanager
    def _adapter_off(self) -> Iterator[None]:
        """The base model, from the same weights."""
        for layer in self._adapter_layers:
            layer.enable_adapters(False)
        try:
            yield
        finally:
            for layer in self._adapter_layers:
                layer.enable_adapters(True)

    def _compute_kl(self, batch: TokenBatch, ids: Tensor, final: Tensor, wanted: Wanted) -> Tensor:
        rows, times = batch.benign_positions if wanted.kl == "anchored" else batch.unshifted_positions
        if not len(rows):
            return final.new_zeros((), dtype=torch.float32)
        benign = torch.where(~batch.is_harmful)[0]
        place = torch.zeros(len(ids), dtype=torch.long)
        place[benign] = torch.arange(len(benign))
        with torch.no_grad(), self._adapter_off():
            # Nothing after the last token that is read; rows are padded on the right.
            teacher = self._run_body(ids[benign, : int(times.max()) + 1])[place[rows], times]
        return kl_sum(final[rows, times], teacher, self._apply_head, self.head_rows, wanted.kl_temperature)

    def _cross_entropy(self, ids: Tensor, final: Tensor, positions: tuple[Tensor, Tensor]) -> Tensor:
        rows, times = positions
        return cross_entropy_sum(final[rows, times], ids[rows, times + 1], self._apply_head, self.head_rows)

    def _apply_head(self, hidden: Float[Tensor, "rows hidden"]) -> Float[Tensor, "rows vocabulary"]:
        return self.backbone.apply_head(hidden)


def sum_positions(batches: Sequence[TokenBatch], name: str) -> int:
    """Number of token positions of a kind (a positions property of TokenBatch) over a micro-batch."""
    return sum(len(getattr(batch, name)[0]) for batch in batches)


def facts_of(**values: Any) -> dict[str, Tensor]:
    """Values for the log, off the graph and still on the device."""
    return {name: value.detach().float() for name, value in values.items()}
