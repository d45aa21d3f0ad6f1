"""How far a direction would be another if other prompts had been drawn, and whether labels made it at all."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cosine_similarity

from harc.geometry.removal import Contrast

RESAMPLES = 200  # of prompts, and of labels; own choice
LOW, HIGH = 0.025, 0.95  # quantiles: of cosines over resamples, and of lengths under shuffled labels


def measure_stability(
    contrast: Contrast, framed: Sequence[Contrast], seed: int, resamples: int = RESAMPLES
) -> list[dict[str, Any]]:
    """A row a slot on v_ref as a difference of means.

    length: of the difference; null_length: its 95 % quantile under shuffled labels, below which it is one that any
    two groups of prompts have. bootstrap_cosine, bootstrap_low: mean and 2.5 % quantile of the cosine of directions of
    resampled prompts with the direction itself. half_cosine: mean cosine of the directions of two random halves.
    frame_cosine: the least cosine of the directions of the same prompts in other frames with it; None without frames.
    separation: see `Contrast.measure_separation`.

    Args:
        contrast: residuals of both groups, at least four prompts each.
        framed: residuals of the same prompts, by frame.
        seed: of all draws.
        resamples: how many of each.
    """
    generator = torch.Generator().manual_seed(seed)
    full = contrast.subtract_means()
    drawn = torch.stack([_resample(contrast, generator) for _ in range(resamples)])
    cosines = cosine_similarity(drawn, full[None], dim=-1)
    halves = torch.stack([_split(contrast, generator) for _ in range(resamples)])
    nulls = torch.stack(
        [contrast.shuffle(seed * resamples + number).subtract_means() for number in range(resamples)]
    )
    frames = [cosine_similarity(other.subtract_means(), full, dim=-1) for other in framed]
    null_length = torch.quantile(nulls.norm(dim=-1), HIGH, dim=0)
    low = torch.quantile(cosines, LOW, dim=0)
    return [
        {
            "slot": slot,
            "length": float(full[slot].norm()),
            "null_length": float(null_length[slot]),
            "bootstrap_cosine": float(cosines[:, slot].mean()),
            "bootstrap_low": float(low[slot]),
            "half_cosine": float(halves[:, slot].mean()),
            "frame_cosine": min(float(cosines[slot]) for cosines in frames) if frames else None,
            "separation": contrast.measure_separation(slot),
        }
        for slot in range(len(full))
    ]


def _resample(contrast: Contrast, generator: torch.Generator) -> Float[Tensor, "slots hidden"]:
    """The difference of means of prompts drawn with replacement."""
    means = []
    for side in (contrast.harmful, contrast.harmless):
        counts = torch.bincount(
            torch.randint(0, len(side), (len(side),), generator=generator), minlength=len(side)
        )
        means.append(torch.einsum("p,psh->sh", counts.float(), side) / len(side))
    return means[0] - means[1]


def _split(contrast: Contrast, generator: torch.Generator) -> Float[Tensor, " slots"]:
    """Cosine of the directions of two halves of the prompts."""
    orders = [
        torch.randperm(len(side), generator=generator) for side in (contrast.harmful, contrast.harmless)
    ]
    first, second = (
        Contrast(contrast.harmful[orders[0][half::2]], contrast.harmless[orders[1][half::2]]).subtract_means()
        for half in (0, 1)
    )
    return cosine_similarity(first, second, dim=-1)
