"""Settings of the published baselines; each group is read by the objective of its name alone.

A depth is a share of the model's blocks, so that one setting serves models of any depth: slot = depth x blocks,
rounded, halves up.
"""

import math
from typing import Literal

from pydantic import Field, model_validator

from harc.settings.base import Settings


def locate_depth(depth: float, n_layers: int) -> int:
    """Slot at a share of the blocks, halves rounded up, at least 1 (slot 0 holds embeddings alone)."""
    return max(1, math.floor(depth * n_layers + 0.5))


class PreferenceSettings(Settings):
    """DPO (Rafailov et al., arXiv 2305.18290), as trl computes it."""

    beta: float = Field(
        0.1, gt=0, description="strength of the tie to the reference (beta, main/train_dpo.py@c3565e5)"
    )
    benign_pairs: bool = Field(
        True,
        description="pairs from benign rows too, their answer chosen over a refusal; without them the pairs are "
        "safe over unsafe answers alone, as in PKU-SafeRLHF (main/train_dpo.py@c3565e5); ours",
    )
    weight: float = Field(1.0, gt=0, description="weight beside HARC's loss (objective joint); ours")


class CircuitBreakerSettings(Settings):
    """Circuit Breakers by representation rerouting (Zou et al., arXiv 2406.04313)."""

    alpha: float = Field(
        10.0, gt=0, description="scale of both terms (lorra_circuit_breaker_llama3_8b.sh; Mistral: 5)"
    )
    target_depths: tuple[float, ...] = Field(
        (0.3125, 0.625),
        min_length=1,
        description="slots that are rerouted (share of the blocks; layers 10 and 20 of 32 in the same file); blocks "
        "after the one that follows the last are not run while training, and get no update",
    )
    schedule_steps: int | None = Field(
        None,
        ge=1,
        description="steps over which the rerouting coefficient falls from alpha to 0 and the retaining one rises "
        "from 0; none: twice the run, so that it ends half-way, as published (150 of 300)",
    )
    retain_refusals: bool = Field(
        True,
        description="whether harmful prompts with their refusals are retained, as in the published Llama-3 run",
    )
    empty_prompt_share: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of harmful rows rerouted without the user's text (0.5 in the published Llama-3 run)",
    )
    start_shift: float = Field(
        0.0,
        ge=0,
        description="shift of the base's states in the rerouting term along a random direction that is drawn once "
        "per slot, as a share of their length. The cosine of equal states is at its top, where the gradient is zero: "
        "without a shift a fresh adapter in float32 never moves (in bfloat16, as published, rounding does it); ours",
    )
    retain_unit: Literal["absolute", "base_norm"] = Field(
        "absolute",
        description="what the retaining distance is measured in: absolute, as published; base_norm = shares of the "
        "base state's length, so that one alpha serves models of any residual length; ours",
    )


class RepBendSettings(Settings):
    """RepBend (Yousefpour et al., arXiv 2504.01550); names as in the code, AIM-Intelligence/RepBend@4f49776."""

    retain_weight: float = Field(
        0.5, ge=0, description="weight of the safe rows' displacement (alpha, train.sh)"
    )
    push_weight: float = Field(
        0.5, ge=0, description="weight of the unsafe rows' displacement (beta, train.sh)"
    )
    cluster_weight: float = Field(
        0.1, ge=0, description="weight of the unsafe rows' mutual cosine distance (gamma, train.sh)"
    )
    kl_weight: float = Field(
        0.3, ge=0, description="weight of the divergence on benign rows (epsilon, train.sh)"
    )
    kl_temperature: float = Field(2.0, gt=0, description="temperature of that divergence (train.sh)")
    window_depths: tuple[float, float] = Field(
        (0.625, 0.9375),
        description="first and last slot that unsafe rows are pushed at (share of the blocks; 20 and 30 of 32)",
    )
    push_limit: float | None = Field(
        1.0,
        gt=0,
        description="displacement of a token, as a share of its base state's length, beyond which it is pushed no "
        "further; none = as published, where the term has no bound; ours",
    )

    @model_validator(mode="after")
    def _check_window(self) -> "RepBendSettings":
        first, last = self.window_depths
        if not 0 < first <= last <= 1:
            raise ValueError(
                f"window_depths: expected 0 < first <= last <= 1; found {first}, {last}; swap or mend them"
            )
        return self


class SteeringSettings(Settings):
    """CAST: conditional activation steering (Lee et al., arXiv 2409.05907; IBM/activation-steering@52be602)."""

    strength: float = Field(
        0.5,
        ge=0,
        description="length of the added behaviour vector, in `strength_unit`; 0 leaves the model as it is",
    )
    strength_unit: Literal["residual_norm", "absolute"] = Field(
        "residual_norm",
        description="residual_norm = share of the mean residual length at that slot (ours: one value for any model); "
        "absolute = in activation units, as published (quick start: 1.5)",
    )
    behaviour_depths: tuple[float, float] = Field(
        (0.5, 0.75),
        description="first and last slot at which the behaviour vector is added (share of the blocks; outputs of "
        "layers 15 to 23 of 32 in the quick start)",
    )
    condition_depths: tuple[float, float] = Field(
        (0.0625, 0.3125),
        description="first and last slot among which the condition is searched (share of the blocks; outputs of "
        "layers 1 to 9 of 32 in the quick start); all lie before the behaviour's",
    )
    held_out_share: float = Field(
        0.25,
        gt=0,
        lt=1,
        description="share of the rows on which conditions are scored; the published search scores those it fits; ours",
    )
    max_pairs: int = Field(
        4050,
        ge=2,
        description="most contrastive pairs of each kind (condition pairs of the quick start: 4,050)",
    )

    @model_validator(mode="after")
    def _check_order(self) -> "SteeringSettings":
        (first, last), (start, end) = self.condition_depths, self.behaviour_depths
        if not 0 < first <= last < start <= end <= 1:
            raise ValueError(
                "condition_depths, behaviour_depths: expected 0 < first <= last < first <= last <= 1, since the "
                f"condition is read before the behaviour acts; found {first}, {last}, {start}, {end}; mend them"
            )
        return self
