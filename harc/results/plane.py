"""The harmfulness-refusal plane: prompts and responses as points, classes as ellipses, separability."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from harc.core.artifacts import BASE
from harc.core.files import read_jsonl
from harc.settings.analysis import AnalysisSettings

AFTER = "harc"
DRAWN = (BASE, AFTER)
"""Methods whose planes tables, figures and claims read; a committed study keeps the projections of no others."""
# side: (harmfulness, refusal); the prompt's harm is read at t_inst, its refusal at t_post (arXiv 2607.00572)
COORDINATES = {"prompt": ("inst_harm", "post_ref"), "response": ("resp_harm", "resp_ref")}


class Plane(NamedTuple):
    """Points of one model at every slot.

    `harm` and `refusal` map a side to coordinates (rows, slots); `rows` say what each point is.
    """

    harm: dict[str, Float[np.ndarray, "rows slots"]]
    refusal: dict[str, Float[np.ndarray, "rows slots"]]
    rows: list[dict]

    def select(self, suites: Sequence[str], labels: Sequence[str] | None = None) -> Bool[np.ndarray, " rows"]:
        """Rows of the given suites, and of the given verdicts if any are named."""
        return np.array(
            [r["suite"] in suites and (labels is None or r.get("label") in labels) for r in self.rows],
            dtype=bool,
        )

    def coordinates(self, side: str, axis: str) -> Float[np.ndarray, "rows slots"]:
        """Coordinates of all rows on one side and axis."""
        return (self.harm if axis == "harm" else self.refusal)[side]


class Area(NamedTuple):
    """Area under the ROC curve with its interval and the two class sizes."""

    estimate: float
    low: float
    high: float
    positives: int
    negatives: int


def choose_slot(settings: AnalysisSettings, selected: Sequence[int], slots: int) -> int:
    """The slot shown: the one set, else the lowest selected one, else the middle; never past the last."""
    if settings.plane_slot is not None:
        return min(settings.plane_slot, slots - 1)
    return min(selected) if selected else slots // 2


def measure_area(
    positives: Float[np.ndarray, " positives"], negatives: Float[np.ndarray, " negatives"]
) -> float:
    """Probability that a positive lies above a negative, ties counted half (Mann and Whitney, 1947)."""
    return float(share_below(positives, negatives).mean())


def share_below(
    values: Float[np.ndarray, " values"], others: Float[np.ndarray, " others"]
) -> Float[np.ndarray, " values"]:
    """For each value, the share of the others below it, ties counted half."""
    order = np.sort(others)
    below = np.searchsorted(order, values, side="left")
    return (below + np.searchsorted(order, values, side="right")) / (2 * len(order))


def estimate_area(
    positives: Float[np.ndarray, " positives"],
    negatives: Float[np.ndarray, " negatives"],
    confidence: float = 0.95,
) -> Area | None:
    """Area with DeLong's interval on the logit scale (Biometrics 44:837, 1988); None below two points.

    A perfect area has no spread; its bound then comes from the rule of three on the smaller class.
    """
    positives, negatives = (values[~np.isnan(values)] for values in (positives, negatives))
    if min(len(positives), len(negatives)) < 2:
        return None
    from scipy.stats import norm

    area = measure_area(positives, negatives)
    if area in (0.0, 1.0):
        reach = min(1.0, -np.log(1 - confidence) / min(len(positives), len(negatives)))
        low, high = (max(0.0, 1 - reach), 1.0) if area == 1.0 else (0.0, reach)
        return Area(area, low, high, len(positives), len(negatives))
    wins, losses = share_below(positives, negatives), share_below(negatives, positives)
    variance = wins.var(ddof=1) / len(wins) + losses.var(ddof=1) / len(losses)
    half = norm.ppf(0.5 + confidence / 2) * np.sqrt(variance) / (area * (1 - area))
    logit = np.log(area / (1 - area))
    low, high = (float(1 / (1 + np.exp(-(logit + sign * half)))) for sign in (-1, 1))
    return Area(area, low, high, len(positives), len(negatives))


def fit_ellipse(
    points: Float[np.ndarray, "points 2"], coverage: float
) -> tuple[Float[np.ndarray, " 2"], float, float, float] | None:
    """Centre, width, height and angle (degrees) of the ellipse that holds `coverage` of a normal class.

    None for fewer than three points.
    """
    if len(points) < 3:
        return None
    values, vectors = np.linalg.eigh(np.cov(points.T))
    # Two degrees of freedom: the chi-squared quantile is -2 log(1 - coverage).
    radii = np.sqrt(np.clip(values, 0, None) * -2 * np.log(1 - coverage))
    angle = float(np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1])))
    return points.mean(0), float(2 * radii[1]), float(2 * radii[0]), angle


def read_plane(folder: Path) -> Plane | None:
    """Points of one model, or None if its projections were not measured in this profile."""
    path, rows_path = folder / "projections.safetensors", folder / "projections.jsonl"
    if not path.is_file() or not rows_path.is_file():
        return None
    from harc.model.tensors import read_tensors

    read = read_tensors(path, framework="np", finite=False)
    tensors = {name: values.astype(np.float64) for name, values in read.items()}
    return Plane(
        {side: tensors[harm] for side, (harm, _) in COORDINATES.items()},
        {side: tensors[refusal] for side, (_, refusal) in COORDINATES.items()},
        read_jsonl(rows_path, ("id", "suite")),
    )
