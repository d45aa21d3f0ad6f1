"""What tensors and layer choices must satisfy whatever their hashes say."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

UNIT_TOLERANCE = 1e-4  # float32 rows of some thousand entries are this close to unit length
SCORE_TOLERANCE = 1e-5  # a layer score is a product of four float32 cosines
COSINE_TOLERANCE = 1e-2  # a cosine in half precision
PROMPT_FAMILIES = ("v_harm", "v_ref")
FAMILIES = (*PROMPT_FAMILIES, "v_harm_resp", "v_ref_resp")

Problem = tuple[str, str]  # expected, found


def read_tensors(path: Path) -> dict[str, np.ndarray]:
    """Tensors of a safetensors file, by name; bfloat16 ones, which numpy lacks, as float32."""
    from safetensors import safe_open

    with safe_open(str(path), framework="np") as handle:
        names = list(handle.keys())
    try:
        with safe_open(str(path), framework="np") as handle:
            return {name: handle.get_tensor(name) for name in names}
    except (TypeError, KeyError, AttributeError):
        with safe_open(str(path), framework="pt") as handle:
            return {name: handle.get_tensor(name).float().numpy() for name in names}


def find_non_finite(tensors: dict[str, np.ndarray]) -> Iterator[Problem]:
    """Tensors with NaN or infinity in them."""
    for name, value in tensors.items():
        if np.issubdtype(value.dtype, np.floating) and not np.isfinite(value).all():
            yield f"finite values in {name}", f"{int((~np.isfinite(value)).sum())} that are not"


def check_directions(tensors: dict[str, np.ndarray]) -> Iterator[Problem]:
    """Shapes, dtype, finite values, unit rows, positive counts, ordered bootstrap intervals."""
    missing = [name for name in PROMPT_FAMILIES if name not in tensors]
    if missing:
        yield "the tensors v_harm and v_ref", f"no {missing[0]}"
        return
    yield from find_non_finite(tensors)
    shape = tensors["v_harm"].shape
    for name in (name for name in FAMILIES if name in tensors):
        value = tensors[name]
        if value.shape != shape or value.ndim != 2 or value.dtype != np.float32:
            yield f"{name} float32 of shape {shape}", f"{value.dtype} of shape {value.shape}"
            continue
        length = np.linalg.norm(value.astype(np.float64), axis=-1)
        # A row may be zero where there is nothing to point to (see harc.geometry.directions.Directions).
        wrong = np.flatnonzero((np.abs(length - 1) > UNIT_TOLERANCE) & (length != 0))
        if wrong.size:
            yield f"{name} with rows of length 1 or 0", f"length {length[wrong[0]]:.6f} at slot {wrong[0]}"
    for name, value in tensors.items():
        if name.startswith("norm_") and (value.shape != shape[:1] or (value < 0).any()):
            yield f"{name} of shape {shape[:1]}, not negative", f"shape {value.shape}, least {value.min():g}"
        if name.startswith("count_") and (value < 1).any():
            yield f"{name} of at least 1", str(value.min())
    for name in (name for name in tensors if name.startswith("bootstrap_cos") and name.endswith(".lo")):
        upper = f"{name.removesuffix('.lo')}.hi"
        low, high = tensors[name], tensors.get(upper)
        if high is not None and (low > high).any():
            yield f"{name} at most {upper}", f"not so at slot {int(np.argmax(low > high))}"


def check_layers(layers: dict[str, Any]) -> Iterator[Problem]:
    """Chosen slots within the eligible band, distinct, as many as k; one score per slot."""
    try:
        low, high = layers["eligible"]
        selected, scores, k = layers["selected"], layers["scores"], layers["k"]
    except (KeyError, TypeError, ValueError):
        yield "scores, eligible (two slots), selected and k", "something else"
        return
    if selected != sorted(set(selected)) or len(selected) != k:
        yield f"{k} distinct slots, ascending", str(selected)
    if any(not low <= slot <= high for slot in selected):
        yield f"slots within {low}..{high}", str(selected)
    if high >= len(scores) or any(score is not None and not math.isfinite(score) for score in scores):
        yield "one finite score or null per slot", f"{len(scores)} scores for slots up to {high}"


def compare_choice(layers: dict[str, Any], again: dict[str, Any]) -> Iterator[Problem]:
    """A stored choice of layers against the one that follows from the directions beside it."""
    for name in ("eligible", "selected", "k"):
        if layers.get(name) != again[name]:
            yield f"{name} {again[name]}, as the directions and settings give", str(layers.get(name))
    for slot, (stored, score) in enumerate(zip(layers.get("scores", ()), again["scores"], strict=False)):
        if (stored is None) != (score is None) or abs((stored or 0) - (score or 0)) > SCORE_TOLERANCE:
            yield f"score {score} at slot {slot}, as the directions give", str(stored)
            return


def check_adapter(
    tensors: dict[str, np.ndarray], config: dict[str, Any] | None, lora: dict[str, Any] | None = None
) -> Iterator[Problem]:
    """Finite values; rank and target modules as the adapter's own file says, and that as was configured.

    Args:
        tensors: the adapter's weights, by name.
        config: adapter_config.json; None where that is damaged.
        lora: the settings `rank` and `targets` that the sidecar holds; None leaves them out.
    """
    yield from find_non_finite(tensors)
    if config is None:
        return
    rank, targets = config.get("r"), config.get("target_modules") or []
    if lora and rank != lora["rank"]:
        yield f"rank {lora['rank']}, as configured", str(rank)
    configured = sorted(lora["targets"]) if lora else []
    if configured not in ([], ["all-linear"]) and configured != sorted(targets):
        yield f"modules {', '.join(configured)}, as configured", ", ".join(sorted(targets))
    for name, value in tensors.items():
        axis = 0 if "lora_A" in name else 1 if "lora_B" in name else None
        if axis is not None and value.shape[axis] != rank:
            yield f"rank {rank} in {name}", f"shape {value.shape}"
        if axis is not None and isinstance(targets, list) and not any(f".{t}." in name for t in targets):
            yield f"tensors of {', '.join(sorted(targets))}", name


def check_projections(tensors: dict[str, np.ndarray], rows: int) -> Iterator[Problem]:
    """One cosine per row and slot; NaN only for whole rows (an empty response has nothing to average)."""
    for name, value in tensors.items():
        if value.ndim != 2 or len(value) != rows:
            yield f"{name} with {rows} rows, as projections.jsonl has", f"shape {value.shape}"
            continue
        holes = np.isnan(value)
        if (holes.any(axis=1) != holes.all(axis=1)).any() or (holes.any() and not name.startswith("resp_")):
            yield f"{name} without single missing cosines", f"{int(holes.sum())} missing"
        if (np.abs(np.nan_to_num(value)) > 1 + COSINE_TOLERANCE).any():
            yield f"cosines in {name}", f"{np.nanmax(np.abs(value)):.3f}"


def check_trajectories(tensors: dict[str, np.ndarray], lengths: list[int]) -> Iterator[Problem]:
    """One cosine per answer, token and slot up to the answer's length, and none past it."""
    for name, value in tensors.items():
        if value.ndim != 3 or len(value) != len(lengths):
            yield f"{name} with {len(lengths)} answers, as trajectories.jsonl has", f"shape {value.shape}"
            continue
        there = np.arange(value.shape[1]) < np.array(lengths, dtype=int)[:, None]
        if (np.isnan(value) == there[:, :, None]).any():
            yield f"{name} with a cosine at every token of an answer and none past it", "other gaps"
        if (np.abs(np.nan_to_num(value)) > 1 + COSINE_TOLERANCE).any():
            yield f"cosines in {name}", f"{np.nanmax(np.abs(value)):.3f}"
