"""Cosines between a model's directions per residual slot with their bootstrap intervals, and profiles by depth."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from harc.core.artifacts import BASE, DIRECTION_FILES, PROJECTION_FILES, TRAJECTORY_FILES, Layout
from harc.core.errors import DataError
from harc.core.files import read_json, read_jsonl
from harc.settings.analysis import AnalysisSettings
from harc.settings.directions import COSINES

SIDES = ("prompt", "response")
ZERO = 1e-6  # product of lengths below which one of two unit directions is the zero row
BOOTSTRAPS = {name: f"bootstrap_cos_{name}" for name in COSINES} | {"prompt": "bootstrap_cos"}
GRID = 33  # relative depths at which profiles of different length are compared


class Profile(NamedTuple):
    """Cosine of the two directions per slot; the bounds are NaN where none were computed."""

    cosine: Float[np.ndarray, " slots"]
    low: Float[np.ndarray, " slots"]
    high: Float[np.ndarray, " slots"]


class Geometry(NamedTuple):
    """Direction geometry of one model: profiles by pair (see COSINES), eligible (first, last) and selected slots."""

    profiles: dict[str, Profile]
    eligible: tuple[int, int]
    selected: tuple[int, ...]
    examples: int | None


def cosine_by_slot(
    first: Float[np.ndarray, "slots width"], second: Float[np.ndarray, "slots width"]
) -> Float[np.ndarray, " slots"]:
    """Cosine per slot; NaN where a direction is zero (the response side has none after the last block)."""
    norms = np.linalg.norm(first, axis=-1) * np.linalg.norm(second, axis=-1)
    there = norms > ZERO
    products = (first.astype(np.float64) * second).sum(-1)
    return np.where(there, products / np.where(there, norms, 1.0), np.nan)


def _read_profile(tensors: dict[str, np.ndarray], side: str) -> Profile:
    first, second = COSINES[side]
    unknown = np.full(len(tensors["v_harm"]), np.nan)
    if first not in tensors or second not in tensors:
        return Profile(unknown, unknown, unknown)
    cosine = cosine_by_slot(tensors[first], tensors[second])
    bounds = [tensors.get(f"{BOOTSTRAPS[side]}.{end}", unknown).astype(float) for end in ("lo", "hi")]
    return Profile(cosine, *(np.where(np.isnan(cosine), np.nan, bound) for bound in bounds))


def read_geometry(folder: Path) -> Geometry | None:
    """Geometry of one model, or None if its directions were not measured in this profile."""
    path, layers_path = (folder / name for name in DIRECTION_FILES)
    if not path.is_file() or not layers_path.is_file():
        return None
    from harc.model.tensors import read_tensors

    tensors = read_tensors(path, framework="np", finite=False)
    layers = read_json(layers_path)
    counts = [
        int(value.reshape(-1)[0]) for name, value in sorted(tensors.items()) if name.startswith("count_")
    ]
    return Geometry(
        {name: _read_profile(tensors, name) for name in COSINES},
        (int(layers["eligible"][0]), int(layers["eligible"][1])),
        tuple(int(slot) for slot in layers["selected"]),
        min(counts) if counts else None,
    )


def read_geometries(
    results_root: Path, backbone: str, method: str, seeds: Sequence[int]
) -> dict[int, Geometry]:
    """Geometry by seed; seeds without directions are left out."""
    layout = Layout(results_root)
    read = {seed: read_geometry(layout.directions(backbone, method, seed)) for seed in seeds}
    return {seed: geometry for seed, geometry in read.items() if geometry is not None}


def read_band(results_root: Path, backbone: str, seed: int) -> tuple[int, ...]:
    """Slots that the layer score selected on the base model: where training starts."""
    geometry = read_geometry(Layout(results_root).directions(backbone, BASE, seed))
    return geometry.selected if geometry else ()


def mean_profile(profiles: Sequence[Profile]) -> Profile:
    """Mean cosine over seeds; one seed keeps its bootstrap bounds, several get the extremes over seeds."""
    if len(profiles) == 1:
        return profiles[0]
    stack = np.stack([profile.cosine for profile in profiles])
    return Profile(stack.mean(0), stack.min(0), stack.max(0))


def resample_depth(profile: Float[np.ndarray, " slots"]) -> Float[np.ndarray, " depths"]:
    """A profile by relative depth, from 0 (embedding) to 1 (last block's output), over slots with a value."""
    depth = np.linspace(0.0, 1.0, len(profile))
    there = ~np.isnan(profile)
    return np.interp(np.linspace(0.0, 1.0, GRID), depth[there], profile[there])


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
