"""Interventions on the residual stream: parts of it taken out at chosen slots, at every position of every row.

A slot is what `harc.model.backbones.Backbone` says: the stream that enters a block, and after the last one the stream
that leaves it; so what every block takes in and puts out is changed. Hooks come after those of the model's own steering
and before those that read (`harc.model.activations.observe_slots`), which see what is left.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from harc.core.errors import ConfigError
from harc.model.activations import hidden_of
from harc.model.backbones import Backbone

LEAST_LENGTH = 1e-4  # of a unit vector's part outside the span of others, below which it adds no direction


@dataclass(frozen=True)
class Intervention:
    """What is done to the residual stream.

    Attributes:
        spans: orthonormal rows by slot, float32; the stream loses `strength` of its part in their span.
        shifts: what is subtracted by slot, float32, after that.
        strength: 1 takes the whole part out, 0 nothing.
    """

    spans: Mapping[int, Float[Tensor, "directions hidden"]] = field(default_factory=dict)
    shifts: Mapping[int, Float[Tensor, " hidden"]] = field(default_factory=dict)
    strength: float = 1.0

    @property
    def slots(self) -> list[int]:
        """Slots at which anything is done, ascending."""
        return sorted(self.spans.keys() | self.shifts.keys())

    def apply(self, hidden: Float[Tensor, "*any hidden"], slot: int) -> Float[Tensor, "*any hidden"]:
        """The stream at a slot without what is taken out, computed in float32."""
        kept = hidden.float()
        if slot in self.spans:
            span = self.spans[slot].to(hidden.device)
            kept = kept - self.strength * ((kept @ span.T) @ span)
        if slot in self.shifts:
            kept = kept - self.shifts[slot].to(hidden.device)
        return kept.to(hidden.dtype)


def orthonormalize(vectors: Float[Tensor, "rows hidden"]) -> Float[Tensor, "directions hidden"]:
    """Orthonormal rows that span what the given ones do, in their order; those that add no direction are left out."""
    found = torch.zeros(0, vectors.shape[-1], dtype=torch.float64)
    for vector in vectors.to("cpu", torch.float64):
        length = vector.norm()
        if length == 0:
            continue
        rest = vector / length
        for _ in range(2):  # once more for what rounding left
            rest = rest - (rest @ found.T) @ found
        if rest.norm() > LEAST_LENGTH:
            found = torch.cat([found, (rest / rest.norm())[None]])
    return found.float()


def check_intervention(backbone: Backbone, intervention: Intervention) -> None:
    """Refuse what does not fit a model.

    Raises:
        ConfigError: for a slot that it does not have, a vector of another width, or rows that are not orthonormal.
    """
    outside = [slot for slot in intervention.slots if not 0 <= slot <= backbone.n_layers]
    if outside:
        raise ConfigError(
            "intervention",
            expected=f"slots 0..{backbone.n_layers}",
            found=", ".join(map(str, outside)),
            fix="read the directions on this model",
        )
    parts = [*intervention.spans.values(), *intervention.shifts.values()]
    widths = {part.shape[-1] for part in parts} - {backbone.hidden_size}
    if widths:
        raise ConfigError(
            "intervention",
            expected=f"vectors of {backbone.hidden_size} numbers, as wide as the model",
            found=", ".join(map(str, sorted(widths))),
            fix="read the directions on this model",
        )
    for slot, span in intervention.spans.items():
        gap = (span.double() @ span.double().T - torch.eye(len(span), dtype=torch.float64)).abs()
        if len(span) and not gap.max() < LEAST_LENGTH:
            raise ConfigError(
                f"intervention at slot {slot}",
                expected="orthonormal rows",
                found=f"products that are off by {float(gap.max()):.2g}",
                fix="pass them through orthonormalize",
            )


@contextmanager
def intervene(backbone: Backbone, intervention: Intervention) -> Iterator[None]:
    """Run a model under an intervention; it is as it was afterwards, whatever happens inside.

    Raises:
        ConfigError: if the intervention does not fit the model.
    """
    check_intervention(backbone, intervention)

    def before(slot: int) -> Any:
        def hook(module: Any, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
            changed = intervention.apply(hidden_of(args, kwargs), slot)
            return ((changed, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": changed})

        return hook

    def after(module: Any, args: tuple, output: Any) -> Any:
        if isinstance(output, tuple):
            return (intervention.apply(output[0], backbone.n_layers), *output[1:])
        return intervention.apply(output, backbone.n_layers)

    handles = []
    try:
        for slot in intervention.slots:
            block = backbone.blocks[min(slot, backbone.n_layers - 1)]
            if slot == backbone.n_layers:
                handles.append(block.register_forward_hook(after))
            else:
                handles.append(block.register_forward_pre_hook(before(slot), with_kwargs=True))
        yield
    finally:
        for handle in handles:
            handle.remove()
