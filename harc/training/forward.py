"""One forward pass of the adapted model, and of the base model under it, with just what the losses read."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from harc.activations import observe_slots, window_weights
from harc.backbones import Backbone
from harc.losses import cross_entropy_sum, kl_sum
from harc.packing import Layout, can_pack, lay_out_rows
from harc.training.batches import TokenBatch


@dataclass(frozen=True)
class Wanted:
    """What a pass has to give.

    Attributes:
        slots: residuals are read at these slots.
        kl: "anchored", "skipped" (the release's mask), or None for no KL.
        refusal_ce, benign_ce: cross-entropy on harmful and on benign rows' responses.
        window: response tokens to average.
    """

    slots: tuple[int, ...] = ()
    kl: str | None = None
    refusal_ce: bool = False
    benign_ce: bool = False
    window: int = 32


@dataclass(frozen=True)
class Outcome:
    """Residuals at the wanted slots, and sums over tokens; zeros where not wanted."""

    inst: Float[Tensor, "slots batch hidden"]
    post: Float[Tensor, "slots batch hidden"]
    resp: Float[Tensor, "slots batch hidden"]
    kl: Float[Tensor, ""]
    refusal_ce: Float[Tensor, ""]
    benign_ce: Float[Tensor, ""]


class AdapterForward(torch.nn.Module):
    """The trained module: an adapted model whose base is its own teacher, with the adapter off."""

    def __init__(self, backbone: Backbone, head_rows: int) -> None:
        from peft.tuners.tuners_utils import BaseTunerLayer

        super().__init__()
        self.model = backbone.model
        self._backbone = [backbone]  # in a list, so that it is not registered a second time
        self.head_rows = head_rows
        self.packing: bool | None = None  # several rows in one; None: decided at the first pass
        # PEFT's own disable_adapter inspects the whole model at every call: a tenth of a small model's step.
        self._adapter_layers = [part for part in self.model.modules() if isinstance(part, BaseTunerLayer)]

    @property
    def backbone(self) -> Backbone:
        """The model with its tokenizer."""
        return self._backbone[0]

    def forward(self, batch: TokenBatch, wanted: Wanted) -> Outcome:
        """Run one group of rows; logits exist only at the positions that a wanted loss reads."""
        layout = self._lay_out(batch.input_ids, batch.attention_mask.sum(1).tolist())
        residuals, final = self._run_student(batch, layout, wanted)
        zero = torch.zeros((), device=self.backbone.device)
        kl = self._compute_kl(batch, layout, final, wanted) if wanted.kl else zero
        refusal, benign = (
            self._cross_entropy(batch, layout, final, positions) if asked else zero
            for asked, positions in (
                (wanted.refusal_ce, batch.refusal_positions),
                (wanted.benign_ce, batch.benign_positions),
            )
        )
        return Outcome(*residuals, kl, refusal, benign)

    def _lay_out(self, ids: Int[Tensor, "batch time"], lengths: list[int]) -> Layout:
        """Rows for the model's body: packed on a GPU, where the model allows it, else as they are."""
        backbone = self.backbone
        if self.packing is None:
            self.packing = backbone.device.type == "cuda" and can_pack(backbone, sum(lengths))
        kind = next(backbone.body.parameters()).dtype
        pad = backbone.chat.pad_id
        return lay_out_rows(ids, lengths, pad, backbone.device, kind, packed=self.packing)

    def _run_student(
        self, batch: TokenBatch, layout: Layout, wanted: Wanted
    ) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor]:
        seen: dict[int, tuple[Tensor, Tensor, Tensor]] = {}
        rows, device = torch.arange(len(batch.t_post)), self.backbone.device
        bounds = [(start, min(stop, start + wanted.window)) for start, stop in batch.windows.tolist()]
        weights = window_weights(bounds, batch.input_ids.shape[1], "cpu")

        def see(slot: int, hidden: Tensor) -> None:
            if slot not in seen:  # gradient checkpointing passes here twice
                at = [layout.select(hidden, rows, times) for times in (batch.t_inst, batch.t_post)]
                seen[slot] = (*at, layout.pool(hidden, weights))

        if not wanted.slots:
            empty = torch.zeros((0, len(rows), self.backbone.hidden_size), device=device)
            return (empty, empty, empty), self._run_body(layout)
        with observe_slots(self.backbone, wanted.slots, see, stop=False):
            final = self._run_body(layout)
        inst, post, resp = (
            torch.stack([part.to(device) for part in parts])
            for parts in zip(*(seen[slot] for slot in wanted.slots), strict=True)
        )
        return (inst, post, resp), final

    def _run_body(self, layout: Layout) -> Tensor:
        return self.backbone.body(**layout.arguments, use_cache=False).last_hidden_state

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

    def _compute_kl(self, batch: TokenBatch, layout: Layout, final: Tensor, wanted: Wanted) -> Tensor:
        rows, times = batch.benign_positions if wanted.kl == "anchored" else batch.unshifted_positions
        if not len(rows):
            return final.new_zeros((), dtype=torch.float32)
        benign = torch.where(~batch.is_harmful)[0]
        place = torch.zeros(len(batch.t_post), dtype=torch.long)
        place[benign] = torch.arange(len(benign))
        # Nothing after the last token that is read; rows are padded on the right.
        stops = torch.zeros(len(benign), dtype=torch.long).scatter_reduce(0, place[rows], times + 1, "amax")
        own = self._lay_out(batch.input_ids[benign, : int(stops.max())], stops.tolist())
        with torch.no_grad(), self._adapter_off():
            teacher = own.select(self._run_body(own), place[rows], times)
        return kl_sum(layout.select(final, rows, times), teacher, self._apply_head, self.head_rows)

    def _cross_entropy(
        self, batch: TokenBatch, layout: Layout, final: Tensor, positions: tuple[Tensor, Tensor]
    ) -> Tensor:
        rows, times = positions
        labels = batch.input_ids[rows, times + 1].to(final.device, non_blocking=True)
        return cross_entropy_sum(layout.select(final, rows, times), labels, self._apply_head, self.head_rows)

    def _apply_head(self, hidden: Float[Tensor, "rows hidden"]) -> Float[Tensor, "rows vocabulary"]:
        return self.backbone.apply_head(hidden)


def sum_positions(batches: Sequence[TokenBatch], name: str) -> int:
    """Number of token positions of a kind (a positions property of TokenBatch) over a micro-batch."""
    return sum(len(getattr(batch, name)[0]) for batch in batches)


def facts_of(**values: Any) -> dict[str, Tensor]:
    """Values for the log, off the graph and still on the device."""
    return {name: value.detach().float() for name, value in values.items()}
