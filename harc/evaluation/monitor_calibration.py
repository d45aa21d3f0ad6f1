"""Thresholds of a monitor: which slot an axis is read at, how axes combine, above which score a prompt is flagged.

Different prompts fall into three parts by the hash of their text: slots and weights come from the first, thresholds
from the benign prompts of the second, and what is reported, from the third. A threshold is the smallest score of the
second part that no more than the wanted share of further benign prompts exceeds on average, if they are drawn like
these (split conformal prediction: Vovk, Gammerman and Shafer, 2005).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from jaxtyping import Bool, Float

from harc.core.errors import DataError
from harc.core.files import sha256_text
from harc.evaluation.monitor_file import COMBINED, PARTS, Curve, Measured
from harc.evaluation.train_judge import fit
from harc.stats.areas import estimate_area, measure_area
from harc.stats.intervals import wilson_interval

FEWEST_HARMFUL = 20  # own choice: below that no part says anything about them


@dataclass(frozen=True)
class Weights:
    """The combined score: a log-odds of standardised scores; a score that is missing counts as the mean."""

    mean: dict[str, float]
    scale: dict[str, float]
    weight: dict[str, float]
    intercept: float

    def combine(self, scores: Mapping[str, Float[np.ndarray, " rows"]]) -> Float[np.ndarray, " rows"]:
        """The combined score of each row."""
        total = np.full(len(next(iter(scores.values()))), self.intercept)
        for name, weight in self.weight.items():
            total = total + weight * np.nan_to_num((scores[name] - self.mean[name]) / self.scale[name])
        return total


def count_needed(rate: float) -> int:
    """Benign prompts without which no threshold has so low a false positive rate: of all, and of the second part."""
    return math.ceil(math.ceil(1 / rate - 1e-9) / PARTS["threshold"])


def check_counts(harmful: Bool[np.ndarray, " rows"], rate: float, where: str) -> None:
    """Refuse prompts that are too few for what is asked.

    Raises:
        DataError: saying how many it takes, and what they would show.
    """
    benign, needed = int((~harmful).sum()), count_needed(rate)
    if benign < needed:
        share = math.ceil(1 / rate - 1e-9)
        raise DataError(
            where,
            expected=f"at least {needed} different benign prompts for a false positive rate of {rate:.3g}: {share} of "
            f"them choose the threshold (none of {share} flagged still allows {3 / share:.2g}: rule of three)",
            found=str(benign),
            fix="add benign prompts, or raise --false-positive-rate",
        )
    if harmful.sum() < FEWEST_HARMFUL:
        raise DataError(
            where, expected=f"at least {FEWEST_HARMFUL} different harmful prompts", found=str(int(harmful.sum())),
            fix="add some",
        )  # fmt: skip


def split_prompts(
    prompts: Sequence[str], harmful: Bool[np.ndarray, " rows"], seed: int
) -> dict[str, Bool[np.ndarray, " rows"]]:
    """Which rows are in each part; every part holds its share of each kind."""
    digests = np.array([sha256_text(f"{seed}/{prompt}") for prompt in prompts])
    parts = {name: np.zeros(len(prompts), dtype=bool) for name in PARTS}
    for kind in (True, False):
        rows = np.flatnonzero(harmful == kind)
        order = rows[np.argsort(digests[rows], kind="stable")]
        # The second part is counted first, and upwards: thresholds need a number, not a share.
        middle = math.ceil(PARTS["threshold"] * len(order))
        first = round(PARTS["fit"] * len(order))
        for name, held in zip(PARTS, np.split(order, [first, min(first + middle, len(order))]), strict=True):
            parts[name][held] = True
    return parts


def choose_slot(
    scores: Float[np.ndarray, "rows slots"],
    harmful: Bool[np.ndarray, " rows"],
    candidates: Sequence[int],
) -> int:
    """The slot that tells harmful from benign prompts best; the earliest of several equal ones."""

    def rank(slot: int) -> tuple[float, int]:
        own = scores[:, slot]
        known = ~np.isnan(own)
        both = own[known & harmful], own[known & ~harmful]
        return (measure_area(*both) if min(map(len, both)) else 0.0, -slot)

    return max(candidates, key=rank)


def fit_weights(
    scores: Mapping[str, Float[np.ndarray, " rows"]], harmful: Bool[np.ndarray, " rows"]
) -> Weights:
    """Logistic regression on standardised scores, with a small ridge, so that separable prompts have weights too."""
    mean = {name: float(np.nanmean(values)) for name, values in scores.items()}
    scale = {name: float(np.nanstd(values)) or 1.0 for name, values in scores.items()}
    columns = [np.nan_to_num((values - mean[name]) / scale[name]) for name, values in scores.items()]
    *weights, intercept = fit(np.stack(columns, axis=1), harmful).tolist()
    return Weights(mean, scale, dict(zip(scores, weights, strict=True)), intercept)


def choose_threshold(benign: Float[np.ndarray, " rows"], rate: float) -> float:
    """The ceil((n + 1)(1 - rate))-th smallest of n benign scores.

    Raises:
        DataError: if there are fewer than that.
    """
    known = np.sort(benign[~np.isnan(benign)])
    place = math.ceil((len(known) + 1) * (1 - rate) - 1e-9)
    if not 0 < place <= len(known):
        raise DataError(
            "benign prompts with a score", expected=f"enough for a false positive rate of {rate:.3g}",
            found=str(len(known)), fix="add benign prompts, or raise --false-positive-rate",
        )  # fmt: skip
    return float(known[place - 1])


def check_scores(
    scores: Mapping[str, Float[np.ndarray, " rows"]],
    harmful: Bool[np.ndarray, " rows"],
    parts: Mapping[str, Bool[np.ndarray, " rows"]],
) -> None:
    """Refuse an axis that has hardly any scores in a part: a model that says nothing has no response to score.

    Raises:
        DataError: naming axis, part and kind.
    """
    for name, part, kind in product(scores, parts, (True, False)):
        count = int((~np.isnan(scores[name][parts[part] & (harmful == kind)])).sum())
        if count < 2:
            raise DataError(
                f"{name}, part {part}",
                expected=f"at least two {'harmful' if kind else 'benign'} prompts with a score",
                found=str(count),
                fix="add prompts; if the model says nothing, read prompts alone: --max-new-tokens 0",
            )


def measure(
    scores: Float[np.ndarray, " rows"], harmful: Bool[np.ndarray, " rows"], threshold: float
) -> Measured:
    """Rates at a threshold and the area, with intervals; rows without a score are left out and not counted.

    Raises:
        ValueError: for fewer than two scores of a kind.
    """
    above, below = (side[~np.isnan(side)] for side in (scores[harmful], scores[~harmful]))
    area = estimate_area(above, below)
    if area is None:
        raise ValueError(f"{len(above)} and {len(below)} scores have no area")
    low, high = (wilson_interval(int((side > threshold).sum()), len(side)) for side in (below, above))
    return Measured(
        benign=len(below),
        harmful=len(above),
        false_positive_rate=tuple(low),
        true_positive_rate=tuple(high),
        area=(area.estimate, area.low, area.high),
    )


def draw_curve(scores: Float[np.ndarray, " rows"], harmful: Bool[np.ndarray, " rows"]) -> Curve:
    """The ROC curve, with its corners alone: a point at each change of direction."""
    known = ~np.isnan(scores)
    values, positive = scores[known], harmful[known]
    cuts = np.unique(values)[::-1]
    rates = [
        np.concatenate([[0.0], [(values[kind] >= cut).mean() for cut in cuts]])
        for kind in (~positive, positive)
    ]
    steps = np.diff(np.stack(rates), axis=1)
    slopes = steps / np.abs(steps).max(axis=0)
    corners = np.concatenate([[True], np.abs(np.diff(slopes, axis=1)).max(axis=0) > 1e-12, [True]])
    return Curve(
        false_positive_rate=tuple(rates[0][corners].tolist()),
        true_positive_rate=tuple(rates[1][corners].tolist()),
    )


def describe_measured(measured: Mapping[str, Mapping[str, Measured]], part: str) -> list[tuple[str, ...]]:
    """Lines of a table of one part: axis, counts, false and true positive rate, area."""

    def show(values: tuple[float, float, float]) -> str:
        return "{:.3f} [{:.3f}, {:.3f}]".format(*values)

    return [
        ("axis", "benign", "harmful", "false positives", "true positives", "AUC"),
        *(
            (
                name.replace("_", " "), str(one.benign), str(one.harmful), show(one.false_positive_rate),
                show(one.true_positive_rate), show(one.area),
            )
            for name, one in measured[part].items()
        ),
    ]  # fmt: skip


def list_warnings(measured: Mapping[str, Mapping[str, Measured]], rate: float) -> list[str]:
    """What a user should know before trusting a monitor."""
    warnings = []
    for name, one in measured["held_out"].items():
        words = name.replace("_", " ")
        if one.area[1] <= 0.5:
            warnings.append(
                f"{words}: does not tell harmful from benign held-out prompts (AUC {one.area[0]:.2f}, interval from "
                f"{one.area[1]:.2f}): are the directions those of this model?"
            )
        share, low, _ = one.false_positive_rate
        if low > rate:
            warnings.append(
                f"{words}: flags {share:.3f} of held-out benign prompts, more than the {rate:.3g} asked for"
            )
        if name == COMBINED and share == 0:
            warnings.append(
                f"none of {one.benign} held-out benign prompts is flagged by the combined score: the rate may still be "
                f"{min(1.0, 3 / one.benign):.2g} (rule of three)"
            )
    return warnings
