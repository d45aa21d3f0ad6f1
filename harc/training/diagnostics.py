"""What is logged at a refresh: drift, cosines with intervals, held-out projections."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from harc.geometry.directions import Directions, compare_directions
from harc.geometry.projections import project_conversations
from harc.model.backbones import Backbone
from harc.settings.directions import DirectionSettings


def describe_refresh(
    backbone: Backbone,
    before: Directions,
    fresh: Directions,
    after: Directions,
    base: Directions,
    selected: Sequence[int],
    held_out: tuple[Sequence[str], Sequence[str]],
    settings: DirectionSettings,
) -> dict[str, Any]:
    """One row of the diagnostics log, every list running over all slots (main/train.py@c3565e5 logs the
    band).

    Args:
        backbone: the adapted model, in evaluation mode.
        before, fresh, after, base: directions in use so far, read now, in use from now, of the base model.
        selected: slots in use from now.
        held_out: (harmful, harmless) prompts that training does not see.
        settings: how prompts are read.
    """
    row: dict[str, Any] = {
        "cos_ref_harm": _round((after.v_ref * after.v_harm).sum(-1)),
        "bootstrap_cos": {name: _round(value) for name, value in fresh.bootstrap.items()},
    }
    for label, a, b in (
        ("previous_fresh", before, fresh),
        ("previous_now", before, after),
        ("base_now", base, after),
    ):
        row[f"cos_{label}"] = {name: _round(value) for name, value in compare_directions(a, b).items()}
    row["held_out"] = _project_held_out(backbone, after, selected, held_out, settings)
    return row


def _project_held_out(
    backbone: Backbone,
    directions: Directions,
    selected: Sequence[int],
    held_out: tuple[Sequence[str], Sequence[str]],
    settings: DirectionSettings,
) -> dict[str, list[float]]:
    """Mean cosines on held-out prompts at the selected slots (project_validation in the release)."""
    means: dict[str, list[float]] = {}
    for group, prompts in zip(("harmful", "harmless"), held_out, strict=True):
        if not prompts:
            continue
        found = project_conversations(
            backbone,
            list(prompts),
            None,
            directions,
            max_prompt_tokens=settings.max_prompt_tokens,
            truncation=settings.truncation,
            tokens_per_forward=settings.tokens_per_forward,
        )
        for name, key in (("proj_ref", "post_ref"), ("proj_harm", "inst_harm")):
            means[f"{name}_{group}"] = _round(found[key].mean(0)[list(selected)])
    return means


def _round(values: Float[Tensor, " slots"] | Float[np.ndarray, " slots"]) -> list[float]:
    return [round(float(value), 6) for value in values]
