"""Answers token by token: reading their trajectories, and means over answers with bootstrap bands."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from harc.core.artifacts import TRAJECTORY_FILES, Layout
from harc.core.errors import DataError
from harc.core.files import read_jsonl

AXES = {"harm": "token_harm", "refusal": "token_ref"}
FEWEST = 5  # answers that must still be running at a token for their mean to be drawn
SEED = 0


class Trajectories(NamedTuple):
    """Cosines of one model's answers, (answer, token, slot) by axis, NaN past an answer's end, and their classes."""

    cosines: dict[str, Float[np.ndarray, "answers tokens slots"]]
    classes: list[str]

    @property
    def slots(self) -> int:
        """Number of slots."""
        return self.cosines["harm"].shape[2]

    def select(self, name: str, axis: str, slot: int) -> Float[np.ndarray, "answers tokens"]:
        """Answers of a class at one slot."""
        chosen = np.array([held == name for held in self.classes], dtype=bool)
        return self.cosines[axis][chosen, :, slot]


class Band(NamedTuple):
    """Mean over answers per token (from 1), the bounds of its interval, and the number of answers of the class."""

    tokens: Float[np.ndarray, " tokens"]
    mean: Float[np.ndarray, " tokens"]
    low: Float[np.ndarray, " tokens"]
    high: Float[np.ndarray, " tokens"]
    n: int


def list_trajectory_files(
    results_root: Path, backbones: Sequence[str], methods: Sequence[str], seeds: Sequence[int]
) -> list[Path]:
    """Trajectory files of the given models."""
    layout = Layout(results_root)
    folders = [layout.trajectories(b, m, s) for b in backbones for m in methods for s in seeds]
    return [folder / name for folder in folders for name in TRAJECTORY_FILES]


def read_trajectories(folder: Path) -> Trajectories | None:
    """Trajectories of one model, or None if the profile does not trace it.

    Raises:
        DataError: if the two files do not belong together.
    """
    path, rows_path = (folder / name for name in TRAJECTORY_FILES)
    if not path.is_file() or not rows_path.is_file():
        return None
    from harc.model.tensors import read_tensors

    tensors = read_tensors(path, framework="np", finite=False)
    classes = [row["class"] for row in read_jsonl(rows_path, ("id", "class"))]
    cosines = {axis: tensors[name].astype(np.float64) for axis, name in AXES.items()}
    if len(cosines["harm"]) != len(classes):
        raise DataError(
            str(rows_path),
            expected=f"{len(cosines['harm'])} answers",
            found=str(len(classes)),
            fix="run the step trace_responses again",
        )
    return Trajectories(cosines, classes)


def estimate_mean(
    values: Float[np.ndarray, " answers"], resamples: int, confidence: float
) -> tuple[float | None, float | None, float | None]:
    """Mean over answers with a percentile bootstrap; the bounds are None below FEWEST answers."""
    if not len(values):
        return None, None, None
    if len(values) < FEWEST:
        return float(values.mean()), None, None
    chosen = np.random.default_rng(SEED).integers(0, len(values), (resamples, len(values)))
    low, high = np.quantile(values[chosen].mean(1), [0.5 - confidence / 2, 0.5 + confidence / 2])
    return float(values.mean()), float(low), float(high)


def estimate_band(
    values: Float[np.ndarray, "answers tokens"], resamples: int, confidence: float
) -> Band | None:
    """Mean per token over the answers that reach it, with a percentile bootstrap over whole answers.

    None below FEWEST answers. Answers end at different tokens: later means are over fewer of them.
    """
    if len(values) < FEWEST:
        return None
    reached = (~np.isnan(values)).sum(0) >= FEWEST
    kept = values[:, reached]
    chosen = np.random.default_rng(SEED).integers(0, len(kept), (resamples, len(kept)))
    there = ~np.isnan(kept)
    sums, counts = np.nan_to_num(kept)[chosen].sum(1), there[chosen].sum(1)
    means = sums / np.where(counts, counts, np.nan)
    low, high = np.nanquantile(means, [0.5 - confidence / 2, 0.5 + confidence / 2], axis=0)
    return Band(np.flatnonzero(reached) + 1.0, np.nanmean(kept, axis=0), low, high, len(values))
