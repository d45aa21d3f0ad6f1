"""What figures of arms share: the quantities that they show, with interval, count and seeds."""

from collections.abc import Sequence

from harc.analysis.arms import Arm
from harc.analysis.tables.claims import evidence_bounds

LABELS = {
    "mean_asr": "mean attack success",
    "mean_over_refusal": "mean over-refusal",
    "gain": "coupling gain, prompt side",
}
Value = tuple[float, float | None, float | None]


def find_value(arm: Arm, quantity: str, confidence: float) -> Value | None:
    """Estimate and interval of a quantity; None where it was not measured."""
    if quantity == "gain":
        gain = arm.gains["prompt"]
        return None if gain is None else (gain.estimate, *evidence_bounds(gain, confidence))
    rate = arm.rates[quantity]
    return None if rate is None else (rate.estimate, rate.low, rate.high)


def make_title(quantity: str, arms: Sequence[Arm], seeds: Sequence[int]) -> str:
    """A panel's title: the quantity, how many prompts stand behind it, and the seeds."""
    if quantity == "gain":
        count = next((arm.gains["prompt"].n for arm in arms if arm.gains["prompt"]), None)
        unit = "prompts per class"
    else:
        count = next((arm.rates[quantity].n for arm in arms if arm.rates[quantity]), None)
        unit = "prompts"
    shown = f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
    return f"{LABELS[quantity]}\n(n = {count} {unit}, {shown})" if count else LABELS[quantity]
