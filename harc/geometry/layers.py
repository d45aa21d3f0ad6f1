"""Layer scores and layer choice (microsoft/HARC main/layers.py@c3565e5)."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from harc.core.errors import ConfigError, ModelError
from harc.geometry.directions import Directions
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


def _cosine(a: Float[Tensor, "slots hidden"], b: Float[Tensor, "slots hidden"]) -> Float[Tensor, " slots"]:
    return (a * b).sum(-1) / (a.norm(dim=-1) * b.norm(dim=-1)).clamp_min(1e-8)


def score_layers(directions: Directions, settings: LayerSettings) -> Float[Tensor, " slots"]:
    """Score of every slot; minus infinity outside the eligible band.

    s(L) = (1 - |cos(v_ref, v_harm)|) (1 - |cos(v_ref_resp, v_harm_resp)|)
           |cos(v_harm, v_harm_resp)| |cos(v_ref, v_ref_resp)|

    Departure: none from the code; HYPERPARAMS.md@c3565e5 gives another formula, which the code does not use.

    Raises:
        ModelError: if the directions have no response side.
    """
    if directions.v_ref_resp is None or directions.v_harm_resp is None:
        raise ModelError(
            "layer selection",
            expected="response-side directions (v_ref_resp, v_harm_resp)",
            found="none",
            fix="extract the directions with --pairs",
        )
    score = (
        (1 - _cosine(directions.v_ref, directions.v_harm).abs())
        * (1 - _cosine(directions.v_ref_resp, directions.v_harm_resp).abs())
        * _cosine(directions.v_harm, directions.v_harm_resp).abs()
        * _cosine(directions.v_ref, directions.v_ref_resp).abs()
    )
    low, high = eligible_band(len(score) - 1, settings)
    score[:low] = -torch.inf
    score[high + 1 :] = -torch.inf
    return score


def select_layers(directions: Directions, k: int, settings: LayerSettings) -> list[int]:
    """The k slots to train on, ascending; equal scores fall to the earlier slot.

    Raises:
        ConfigError: if k is larger than the band, or a fixed slot lies outside it.
    """
    low, high = eligible_band(directions.n_slots - 1, settings)
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
    scores = score_layers(directions, settings).tolist()
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


def describe_choice(directions: Directions, k: int, settings: LayerSettings) -> dict:
    """The content of layers.json: scores (null outside the band), eligible band, chosen slots, k."""
    scores = score_layers(directions, settings).tolist()
    return {
        "scores": [score if math.isfinite(score) else None for score in scores],
        "eligible": list(eligible_band(directions.n_slots - 1, settings)),
        "selected": select_layers(directions, k, settings),
        "k": k,
    }
