"""Refusal SFT: HARC's token terms alone, at the same rows and steps.

The paper's SFT row has no published code or settings (facts of microsoft/HARC@c3565e5).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harc.settings.methods import Look, Method

if TYPE_CHECKING:
    from harc.methods.harc import TokenTerms
    from harc.training.objective import Context

METHOD = Method("sft", 10, aim="token terms alone", reads=("loss", "kl_first_token"))
UNCOUPLED = {"couple": 0.0, "couple_resp": 0.0}
PRESETS = {
    # With benign answers, which refusal training needs so as not to refuse all.
    "sft": {"objective": "sft", "loss": {**UNCOUPLED, "kl": 0.0, "benign_ce": 1.0}},
    "sft_refusals_only": {"objective": "sft", "loss": {**UNCOUPLED, "kl": 0.0}},
    # no_coupling without its logs of the geometry: the two train the same weights.
    "sft_kl": {"objective": "sft", "loss": UNCOUPLED},
}
LOOKS = {"sft": Look("SFT", 10, ("#E69F00", "s", "--"))}


def create_objective(context: Context) -> TokenTerms:
    """Cross-entropy on refusals, with KL or cross-entropy on benign rows where their weights are set."""
    from harc.methods.harc import TokenTerms

    return TokenTerms(context.settings)
