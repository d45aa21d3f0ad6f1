"""Cosines between a model's directions per residual slot with their bootstrap intervals, and profiles by depth."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from harc.core.artifacts import BASE, DIRECTION_FILES, Layout
from harc.core.files import read_json

SIDES = ("prompt", "response")
ZERO = 1e-6  # product of lengths below which one of two unit directions is the zero row
PAIRS = {"prompt": ("v_harm", "v_ref"), "response": ("v_harm_resp", "v_ref_resp")}
# The bootstrap covers the prompt side only, as in the release.
BOUNDS = {"prompt": ("bootstrap_cos.lo", "bootstrap_cos.hi"), "response": ()}
GRID = 33  # relative depths at which profiles of different length are compared


class Profile(NamedTuple):
    """Cosine of the two directions per slot; the bounds are NaN where none were computed."""

    cosine: Float[np.ndarray, " slots"]
    low: Float[np.ndarray, " slots"]
    high: Float[np.ndarray, " slots"]


class Geometry(NamedTuple):
    """Direction geometry of one model: profiles by side, eligible slots (first, last) and selected slots."""

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
    first, second = PAIRS[side]
    unknown = np.full(len(tensors["v_harm"]), np.nan)
    if first not in tensors or second not in tensors:
        return Profile(unknown, unknown, unknown)
    cosine = cosine_by_slot(tensors[first], tensors[second])
    bounds = [tensors.get(name, unknown).astype(float) for name in BOUNDS[side]] or [unknown, unknown]
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
        {side: _read_profile(tensors, side) for side in SIDES},
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
