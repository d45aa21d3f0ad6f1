"""What figures of arms share: the quantities that they show, with interval, count and seeds."""

from collections.abc import Mapping, Sequence

from harc.core.artifacts import BASE
from harc.results.comparisons import Arm
from harc.results.figures.style import label_attacks
from harc.results.tables.claims import evidence_bounds
from harc.results.vocabulary import name_backbone, name_method

LABELS = {
    "mean_asr": "mean attack success",
    "mean_over_refusal": "mean over-refusal",
    "gain_prompt": "coupling gain, prompt",
    "gain_response": "coupling gain, response",
}
GAINS = {"gain_prompt": "prompt", "gain_response": "response"}
Value = tuple[float, float | None, float | None]
WIDTH = 26  # characters of a line above a panel


def find_value(arm: Arm, quantity: str, confidence: float) -> Value | None:
    """Estimate and interval of a quantity; None where it was not measured."""
    if quantity in GAINS:
        gain = arm.gains[GAINS[quantity]]
        return None if gain is None else (gain.estimate, *evidence_bounds(gain, confidence))
    rate = arm.rates[quantity]
    return None if rate is None else (rate.estimate, rate.low, rate.high)


def make_title(quantity: str, arms: Sequence[Arm], seeds: Sequence[int], mean_attacks: Sequence[str]) -> str:
    """A panel's title: the quantity, how many prompts stand behind it, and the seeds."""
    label = LABELS[quantity]
    if quantity == "mean_asr":
        label = label_attacks(label, mean_attacks, WIDTH)
    if quantity in GAINS:
        side = GAINS[quantity]
        count = next((gain.n for arm in arms if (gain := arm.gains[side])), None)
        unit = "per class"
    else:
        count = next((rate.n for arm in arms if (rate := arm.rates[quantity])), None)
        unit = "prompts"
    shown = f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
    return f"{label}\n(n = {count} {unit}, {shown})" if count else label


def list_missing(arms: Mapping[str, Sequence[Arm]], confidence: float) -> list[str]:
    """Per backbone, the arms of which some quantity is missing, in one remark; the base has no gain over itself."""
    remarks = []
    for backbone, held in arms.items():
        names = [
            name_method(arm.name)
            for arm in held
            if any(
                find_value(arm, quantity, confidence) is None
                for quantity in LABELS
                if not (quantity in GAINS and arm.name == BASE)
            )
        ]
        remarks += [f"{', '.join(names)} on {name_backbone(backbone)}"] if names else []
    return remarks
