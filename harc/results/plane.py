"""The harmfulness-refusal plane: prompts and responses as points, classes as ellipses, answers token by token."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from harc.core.artifacts import BASE, PROJECTION_FILES, TRAJECTORY_FILES, Layout
from harc.core.errors import DataError
from harc.core.files import read_jsonl
from harc.settings.analysis import AnalysisSettings

AFTER = "harc"
DRAWN = (BASE, AFTER)
"""Methods whose planes tables, figures and claims read; a committed study keeps the projections of no others."""
# side: (harmfulness, refusal); the prompt's harm is read at t_inst, its refusal at t_post (arXiv 2607.00572)
COORDINATES = {"prompt": ("inst_harm", "post_ref"), "response": ("resp_harm", "resp_ref")}
AXES = {"harm": "token_harm", "refusal": "token_ref"}  # of answers token by token


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


def choose_slot(settings: AnalysisSettings, selected: Sequence[int], slots: int) -> int:
    """The slot shown: the one set, else the lowest selected one, else the middle; never past the last."""
    if settings.plane_slot is not None:
        return min(settings.plane_slot, slots - 1)
    return min(selected) if selected else slots // 2


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
    path, rows_path = (folder / name for name in PROJECTION_FILES)
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


def read_planes(results_root: Path, backbone: str, method: str, seeds: Sequence[int]) -> dict[int, Plane]:
    """Planes by seed; seeds without projections are left out."""
    layout = Layout(results_root)
    read = {seed: read_plane(layout.directions(backbone, method, seed)) for seed in seeds}
    return {seed: plane for seed, plane in read.items() if plane is not None}


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


def read_trajectories(folder: Path) -> Trajectories | None:
    """Answers of one model token by token, or None if the profile does not trace it.

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
