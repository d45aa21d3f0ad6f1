"""Which slots may be trained on, and which of them are (microsoft/HARC main/layers.py@c3565e5)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from harc.core.errors import ConfigError
from harc.core.lazy import Float, torch

if TYPE_CHECKING:
    from harc.settings.directions import LayerSettings


def eligible_band(n_layers: int, settings: LayerSettings) -> tuple[int, int]:
    """First and last slot that may be trained on.

    The release leaves out 4 slots at each end, which is 4..n-4 whatever the depth; `edge_fraction` scales the
    edge.

    Raises:
        ConfigError: if nothing is left.
    """
    edge = settings.edge_slots
    if settings.edge_fraction is not None:
        edge = math.ceil(settings.edge_fraction * n_layers)
    if edge > n_layers - edge:
        raise ConfigError(
            "layers.edge_slots",
            expected=f"at least one eligible slot in a model of {n_layers} blocks",
            found=f"{edge} slots left out at each end",
            fix="set layers.edge_fraction (0.125 is the release's share at 32 blocks)",
        )
    return edge, n_layers - edge


def choose_slots(
    n_layers: int, k: int, settings: LayerSettings, score: Callable[[], Float[torch.Tensor, " slots"]]
) -> list[int]:
    """The k slots to train on, ascending; equal scores fall to the earlier slot.

    Args:
        n_layers: blocks of the model.
        k: how many.
        settings: the rule, and the band that it chooses from.
        score: gives the score of every slot; called by the rule `score` alone.

    Raises:
        ConfigError: if k is larger than the band, or a fixed slot lies outside it.
    """
    low, high = eligible_band(n_layers, settings)
    if settings.fixed is not None:
        return _check_fixed(settings.fixed, low, high)
    if k > high - low + 1:
        raise ConfigError(
            "k_final" if k > 1 else "k_initial",
            expected=f"at most the {high - low + 1} eligible slots {low}..{high}",
            found=str(k),
            fix="lower k, or widen the band with layers.edge_slots or layers.edge_fraction",
        )
    if settings.rule == "last":
        return list(range(high - k + 1, high + 1))
    scores = score().tolist()
    return sorted(sorted(range(low, high + 1), key=lambda slot: (-scores[slot], slot))[:k])


def _check_fixed(fixed: tuple[int, ...], low: int, high: int) -> list[int]:
    outside = [slot for slot in fixed if not low <= slot <= high]
    if outside or not fixed or len(set(fixed)) != len(fixed):
        raise ConfigError(
            "layers.fixed",
            expected=f"distinct slots within the eligible band {low}..{high}",
            found=", ".join(map(str, fixed)) or "none",
            fix="choose slots of the band, or widen it with layers.edge_slots",
        )
    return sorted(fixed)


def compare_slots(
    a: Float[torch.Tensor, "slots hidden"], b: Float[torch.Tensor, "slots hidden"]
) -> Float[torch.Tensor, " slots"]:
    """|cos(a, b)| per slot."""
    return ((a * b).sum(-1) / (a.norm(dim=-1) * b.norm(dim=-1)).clamp_min(1e-8)).abs()
