"""What artifacts must satisfy whatever their hashes say: tensors, layer choices, adapters, records."""

import json
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from harc.audit.report import Finding
from harc.audit.sidecars import Sidecar
from harc.errors import DataError
from harc.files import read_json, read_jsonl

UNIT_TOLERANCE = 1e-4  # float32 rows of some thousand entries are this close to unit length
PROMPT_FAMILIES = ("v_harm", "v_ref")
FAMILIES = (*PROMPT_FAMILIES, "v_harm_resp", "v_ref_resp")
SPLIT_FILES = ("development.jsonl", "evaluation.jsonl")

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


def _find_non_finite(tensors: dict[str, np.ndarray]) -> Iterator[Problem]:
    for name, value in tensors.items():
        if np.issubdtype(value.dtype, np.floating) and not np.isfinite(value).all():
            yield f"finite values in {name}", f"{int((~np.isfinite(value)).sum())} that are not"


def check_directions(tensors: dict[str, np.ndarray]) -> Iterator[Problem]:
    """Shapes, dtype, finite values, unit rows, positive counts, ordered bootstrap intervals."""
    missing = [name for name in PROMPT_FAMILIES if name not in tensors]
    if missing:
        yield "the tensors v_harm and v_ref", f"no {missing[0]}"
        return
    yield from _find_non_finite(tensors)
    shape = tensors["v_harm"].shape
    for name in (name for name in FAMILIES if name in tensors):
        value = tensors[name]
        if value.shape != shape or value.ndim != 2 or value.dtype != np.float32:
            yield f"{name} float32 of shape {shape}", f"{value.dtype} of shape {value.shape}"
            continue
        length = np.linalg.norm(value.astype(np.float64), axis=-1)
        # A row may be zero where there is nothing to point to (see harc.directions.Directions).
        wrong = np.flatnonzero((np.abs(length - 1) > UNIT_TOLERANCE) & (length != 0))
        if wrong.size:
            yield f"{name} with rows of length 1 or 0", f"length {length[wrong[0]]:.6f} at slot {wrong[0]}"
    for name, value in tensors.items():
        if name.startswith("norm_") and (value.shape != shape[:1] or (value < 0).any()):
            yield f"{name} of shape {shape[:1]}, not negative", f"shape {value.shape}, least {value.min():g}"
        if name.startswith("count_") and (value < 1).any():
            yield f"{name} of at least 1", str(value.min())
    low, high = tensors.get("bootstrap_cos.lo"), tensors.get("bootstrap_cos.hi")
    if low is not None and high is not None and (low > high).any():
        yield "bootstrap_cos.lo at most bootstrap_cos.hi", f"not so at slot {int(np.argmax(low > high))}"


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


def check_adapter(tensors: dict[str, np.ndarray], config: dict[str, Any]) -> Iterator[Problem]:
    """Finite values; rank and target modules as the adapter's configuration says."""
    yield from _find_non_finite(tensors)
    rank, targets = config.get("r"), config.get("target_modules") or []
    for name, value in tensors.items():
        axis = 0 if "lora_A" in name else 1 if "lora_B" in name else None
        if axis is not None and value.shape[axis] != rank:
            yield f"rank {rank} in {name}", f"shape {value.shape}"
        if axis is not None and isinstance(targets, list) and not any(f".{t}." in name for t in targets):
            yield f"tensors of {', '.join(sorted(targets))}", name


def read_rows_by_suite(sidecar: Sidecar) -> dict[str, Counter]:
    """Ids of the rows that an evaluation was given, by suite, from the split files among its inputs."""
    found: dict[str, Counter] = {}
    for path in sidecar.inputs.values():
        if path.name in SPLIT_FILES and path.is_file():
            for row in read_jsonl(path, ("id", "suite")):
                found.setdefault(row["suite"], Counter())[row["id"]] += 1
    return found


def check_records(path: Path, rows: dict[str, Counter]) -> tuple[list[Problem], int]:
    """Problems of one file of generations, and its number of records: suite, ids, one record per row."""
    suite = path.stem
    try:
        records = read_jsonl(path, ("id", "suite", "prompt_sha256", "messages", "response", "verdicts"))
    except DataError as problem:
        return [(problem.expected, problem.found)], 0
    problems = []
    foreign = [record["id"] for record in records if record["suite"] != suite]
    if foreign:
        problems.append((f"records of suite {suite}", f"{foreign[0]} of another"))
    ids = Counter(record["id"] for record in records)
    if suite in rows and ids != rows[suite]:
        wrong = sorted((ids - rows[suite]) + (rows[suite] - ids))
        problems.append(
            (f"one record for each of the {rows[suite].total()} rows", f"{len(records)}; see {wrong[0]}")
        )
    return problems, len(records)


def _check_file(path: Path) -> list[Problem]:
    if path.name == "directions.safetensors":
        return list(check_directions(read_tensors(path)))
    if path.name == "layers.json":
        return list(check_layers(read_json(path)))
    if path.name == "adapter_model.safetensors":
        return list(check_adapter(read_tensors(path), read_json(path.with_name("adapter_config.json"))))
    return list(_find_non_finite(read_tensors(path)))


def check_content(sound: list[Path], sidecars: list[Sidecar]) -> tuple[list[Finding], dict[str, int]]:
    """Check the content of every file whose hash is right, so that damage is reported once.

    Returns:
        The findings, and how many files and records were checked.
    """
    from safetensors import SafetensorError

    makers = {path: sidecar for sidecar in sidecars for path in sidecar.outputs.values()}
    counts = {"tensor and layer files": 0, "generation records": 0}
    rows: dict[Path, dict[str, Counter]] = {}
    findings = []
    for path in sound:
        problems: list[Problem] = []
        if path.name == "layers.json" or (path.suffix == ".safetensors" and path.stem != "projections"):
            counts["tensor and layer files"] += 1
            try:
                problems = _check_file(path)
            except (SafetensorError, json.JSONDecodeError, DataError, OSError) as problem:
                problems = [("a readable file", str(problem))]
        elif "generations" in path.parts and path.suffix == ".jsonl":
            maker = makers[path]
            if maker.path not in rows:
                rows[maker.path] = read_rows_by_suite(maker)
            problems, number = check_records(path, rows[maker.path])
            counts["generation records"] += number
        repair = f"run `{makers[path].command}`"
        findings += [Finding(str(path), "content", expected, found, repair) for expected, found in problems]
    return findings, counts
