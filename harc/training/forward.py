"""One forward pass of the adapted model, and of the base model under it, with just what the losses read.

KL and cross-entropy read logits a few positions at a time and keep only the gradient of the hidden states, so that the
full logits of a batch never exist.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy, log_softmax

from harc.model.activations import observe_slots, stoppable, window_weights
from harc.model.backbones import Backbone
from harc.model.packing import Layout, lay_out_rows, packs_rows
from harc.training.batches import Outcome, TokenBatch, Wanted

Head = Callable[[Float[Tensor, "rows hidden"]], Float[Tensor, "rows vocabulary"]]


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

    def forward(self, batch: Any, wanted: Any) -> Any:
        """Run one group of rows; logits exist only at the positions that a wanted loss reads.

        Args:
            batch: a TokenBatch; anything else where `wanted` is a function.
            wanted: a Wanted, whose Outcome is returned; or a function of (adapted model, batch) that computes a
                loss of its own, so that it too passes through this module when several processes train.
        """
        if not isinstance(wanted, Wanted):
            return wanted(self.model, batch)
        layout = self._lay_out(batch.input_ids, batch.attention_mask.sum(1).tolist())
        base = self._read_base(layout, wanted)
        residuals, adapted, final = self._run_student(batch, layout, wanted)
        zero = torch.zeros((), device=self.backbone.device)
        kl = self._compute_kl(batch, layout, final, wanted) if wanted.kl else zero
        refusal, benign = (
            self._cross_entropy(batch, layout, final, positions) if asked else zero
            for asked, positions in (
                (wanted.refusal_ce, batch.refusal_positions),
                (wanted.benign_ce, batch.benign_positions),
            )
        )
        return Outcome(*residuals, kl, refusal, benign, adapted, base)

    def _read_base(self, layout: Layout, wanted: Wanted) -> Tensor:
        """The base model's residuals at the pair slots, with no pass at all where none are wanted."""
        seen: dict[int, Tensor] = {}
        if wanted.pair_slots:
            slots = wanted.pair_slots
            with torch.no_grad(), self._adapter_off(), observe_slots(self.backbone, slots, seen.__setitem__):
                self._run_until_stop(layout)
        return self._stack(layout, seen, wanted.pair_slots)

    def _stack(self, layout: Layout, seen: dict[int, Tensor], slots: Sequence[int]) -> Tensor:
        device = self.backbone.device
        if not slots:
            return torch.zeros((0, *layout.place.shape, self.backbone.hidden_size), device=device)
        return torch.stack([layout.spread(seen[slot]).to(device) for slot in slots])

    def _lay_out(self, ids: Int[Tensor, "batch time"], lengths: list[int]) -> Layout:
        """Rows for the model's body, packed where that pays and the model allows it."""
        backbone = self.backbone
        if self.packing is None:
            self.packing = packs_rows(backbone, sum(lengths))
        kind = next(backbone.body.parameters()).dtype
        pad = backbone.chat.pad_id
        return lay_out_rows(ids, lengths, pad, backbone.device, kind, packed=self.packing)

    def _run_student(
        self, batch: TokenBatch, layout: Layout, wanted: Wanted
    ) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor, Tensor]:
        """((inst, post, resp), residuals at the pair slots, final hidden states) of the adapted model."""
        seen: dict[int, tuple[Tensor, Tensor, Tensor]] = {}
        pairs: dict[int, Tensor] = {}
        rows, device = torch.arange(len(batch.t_post)), self.backbone.device
        bounds = [(start, min(stop, start + wanted.window)) for start, stop in batch.windows.tolist()]
        weights = window_weights(bounds, batch.input_ids.shape[1], "cpu")

        def see(slot: int, hidden: Tensor) -> None:
            if slot in wanted.pair_slots:
                pairs.setdefault(slot, hidden)  # gradient checkpointing passes here twice
            if slot in wanted.slots and slot not in seen:
                at = [layout.select(hidden, rows, times) for times in (batch.t_inst, batch.t_post)]
                seen[slot] = (*at, layout.pool(hidden, weights))

        slots = sorted({*wanted.slots, *wanted.pair_slots})
        final = torch.zeros((len(rows), 0, 0), device=device)
        if not slots:
            final = self._run_body(layout)
        elif wanted.stop:
            with observe_slots(self.backbone, slots, see):
                self._run_until_stop(layout)
        else:
            with observe_slots(self.backbone, slots, see, stop=False):
                final = self._run_body(layout)
        empty = torch.zeros((0, len(rows), self.backbone.hidden_size), device=device)
        residuals = tuple(
            torch.stack([part.to(device) for part in parts])
            for parts in zip(*(seen[slot] for slot in wanted.slots), strict=True)
        ) or (empty, empty, empty)
        return residuals, self._stack(layout, pairs, wanted.pair_slots), final

    def _run_body(self, layout: Layout) -> Tensor:
        return self.backbone.body(**layout.arguments, use_cache=False).last_hidden_state

    def _run_until_stop(self, layout: Layout) -> None:
        """A pass that observed slots may end early."""
        with stoppable():
            self._run_body(layout)

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
        student = layout.select(final, rows, times)
        return kl_sum(student, teacher, self._apply_head, self.head_rows, wanted.kl_temperature)

    def _cross_entropy(
        self, batch: TokenBatch, layout: Layout, final: Tensor, positions: tuple[Tensor, Tensor]
    ) -> Tensor:
        rows, times = positions
        labels = batch.input_ids[rows, times + 1].to(final.device, non_blocking=True)
        return cross_entropy_sum(layout.select(final, rows, times), labels, self._apply_head, self.head_rows)

    def _apply_head(self, hidden: Float[Tensor, "rows hidden"]) -> Float[Tensor, "rows vocabulary"]:
        return self.backbone.apply_head(hidden)


class _ByChunks(torch.autograd.Function):
    """Sum of `term(hidden[i:j], i, j)` over chunks of rows; the gradient is made in the forward pass."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, term: Callable[[Tensor, int, int], Tensor], rows: int) -> Tensor:
        gradient = torch.zeros_like(hidden) if ctx.needs_input_grad[0] else None
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        for start in range(0, len(hidden), rows):
            stop = min(start + rows, len(hidden))
            part = hidden[start:stop].detach().requires_grad_(gradient is not None)
            with torch.set_grad_enabled(gradient is not None):
                value = term(part, start, stop)
            total += value.detach()
            if gradient is not None:
                gradient[start:stop] = torch.autograd.grad(value, part)[0]
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * grad_output, None, None


def kl_sum(
    student: Float[Tensor, "rows hidden"],
    teacher: Float[Tensor, "rows hidden"],
    head: Head,
    chunk: int = 256,
    temperature: float = 1.0,
) -> Float[Tensor, ""]:
    """Sum over rows of KL(teacher || student) over the whole vocabulary, float32 (kl_retain_loss,
    main/losses.py).

    Args:
        student, teacher: final hidden states of the adapted and of the base model at the same positions.
        head: hidden states to logits.
        chunk: rows whose logits exist at one time.
        temperature: divides the logits of both.
    """

    def term(part: Tensor, start: int, stop: int) -> Tensor:
        with torch.no_grad():
            target = log_softmax(head(teacher[start:stop]).float() / temperature, dim=-1)
        return (target.exp() * (target - log_softmax(head(part).float() / temperature, dim=-1))).sum()

    return _ByChunks.apply(student, term, chunk)


def cross_entropy_sum(
    hidden: Float[Tensor, "rows hidden"], labels: Int[Tensor, " rows"], head: Head, chunk: int = 256
) -> Float[Tensor, ""]:
    """Sum over rows of the cross-entropy of `labels`, the tokens that follow; float32."""

    def term(part: Tensor, start: int, stop: int) -> Tensor:
        return cross_entropy(head(part).float(), labels[start:stop], reduction="sum")

    return _ByChunks.apply(hidden, term, chunk)
