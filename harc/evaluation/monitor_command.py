"""What `harc monitor` does with its options: prompt files and a model to a calibrated monitor, or to scores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from harc.core.csv_files import write_csv
from harc.core.errors import ArtifactError, ConfigError, DataError
from harc.core.files import sha256_file
from harc.core.terminal import track
from harc.core.untrusted import escape_control
from harc.evaluation.monitor_calibration import (
    check_counts,
    check_scores,
    choose_slot,
    choose_threshold,
    draw_curve,
    fit_weights,
    list_warnings,
    measure,
    split_prompts,
)
from harc.evaluation.monitor_file import (
    COMBINED,
    FAMILY_OF,
    Axis,
    Curve,
    Measured,
    MonitorFile,
    check_model,
    describe_model,
    encode_vector,
    read_monitor,
    write_monitor,
)
from harc.evaluation.monitor_scoring import Reading, list_axes, read_prompts, score_trace, watch_prompts
from harc.evaluation.own.prompts import read_prompt_file
from harc.geometry.directions import Directions, load_directions
from harc.geometry.monitor import check_directions
from harc.model.backbones import Backbone
from harc.model.handle import ModelHandle, hash_weights
from harc.model.weights import find_adapter, find_model

QUANTILES = (0.05, 0.5, 0.95)
SCORE_COLUMNS = ("id", "kind", "category", "prompt_tokens", "response_tokens")


@dataclass(frozen=True)
class ModelOptions:
    """A model as the command line names it."""

    model: str
    adapter: str | None = None
    dtype: str = "float32"
    device: str = "cpu"

    def open(self) -> tuple[Backbone, str | None]:
        """The model, and the hash of what was put on it."""
        folder = None if self.adapter is None else find_adapter(self.adapter)[0]
        handle: ModelHandle = replace(
            find_model(self.model), method=folder, dtype=self.dtype, device=self.device
        )
        return handle.open(), None if folder is None else hash_weights(folder)


def read_labelled(paths: Sequence[Path]) -> tuple[list[dict[str, Any]], list[str]]:
    """Rows of prompt files that all say harmful or benign, and remarks; of equal prompts the first alone.

    Raises:
        DataError: for a faulty file, a row of neither kind, or a prompt that two files hold as two kinds.
    """
    rows: dict[str, dict[str, Any]] = {}
    remarks, again = [], 0
    for path in paths:
        found, said = read_prompt_file(path)
        remarks += [line for line in said if "repeat the prompt" not in line]
        for row in found:
            if row["kind"] is None:
                raise DataError(
                    row["place"].replace("column prompt", "column kind"),
                    expected="harmful or benign",
                    found="neither",
                    fix="name the kind of every row",
                )
            held = rows.setdefault(row["goal"].strip(), row)
            if held["kind"] != row["kind"]:
                raise DataError(
                    row["place"],
                    expected="a prompt of one kind",
                    found=f"one that is {held['kind']} at {held['place']}",
                    fix="remove one of the two",
                )
            again += held is not row
    if again:
        remarks.append(f"{again} rows repeat the prompt of another, and are left out")
    return list(rows.values()), [escape_control(remark) for remark in remarks]


@dataclass(frozen=True)
class _Scored:
    """Scores by axis at every slot, and tokens of benign prompts by axis and slot."""

    scores: dict[str, Float[np.ndarray, "rows slots"]]
    tokens: dict[str, Float[np.ndarray, "tokens slots"]]


def calibrate_monitor(
    options: ModelOptions,
    directions_file: Path,
    prompt_files: Sequence[Path],
    out: Path,
    *,
    rate: float = 0.01,
    slot: int | None = None,
    window: int = 32,
    batch_size: int = 8,
    seed: int = 0,
) -> tuple[MonitorFile, list[str]]:
    """Calibrate a monitor and write its file.

    Args:
        options: the model.
        directions_file: read on it.
        prompt_files: prompts of both kinds.
        out: file to write.
        rate: wanted share of benign prompts that an axis flags.
        slot: read every axis there; by default each where it tells the first part's prompts apart best.
        window: response tokens that count; 0 reads prompts alone.
        batch_size: prompts answered together.
        seed: of the split.

    Returns:
        The monitor, and remarks and warnings for the user.

    Raises:
        DataError: for too few prompts of a kind.
        ModelError, ConfigError, ArtifactError: for a model or directions that cannot be used, or do not fit together.
    """
    rows, remarks = read_labelled(prompt_files)
    harmful = np.array([row["kind"] == "harmful" for row in rows])
    check_counts(harmful, rate, ", ".join(map(str, prompt_files)))
    directions = load_directions(directions_file)
    check_unit(directions, directions_file)
    backbone, method = options.open()
    check_directions(backbone, directions)
    names = list_axes(directions, window)
    parts = split_prompts([row["goal"].strip() for row in rows], harmful, seed)
    kept = parts["fit"] & ~harmful
    scored = _score_everywhere(backbone, directions, rows, names, window, batch_size, kept)
    slots = {
        name: _find_slot(directions, FAMILY_OF[name], scored.scores[name], harmful, parts["fit"], slot)
        for name in names
    }
    scores = {name: scored.scores[name][:, slots[name]].astype(np.float64) for name in names}
    check_scores(scores, harmful, parts)
    first = parts["fit"]
    weights = fit_weights({name: values[first] for name, values in scores.items()}, harmful[first])
    every = scores | {COMBINED: weights.combine(scores)}
    thresholds = {
        name: choose_threshold(values[parts["threshold"] & ~harmful], rate) for name, values in every.items()
    }
    measured, curves = _measure_parts(every, harmful, thresholds, parts)
    second = parts["threshold"]
    axes = {
        name: Axis(
            slot=slots[name],
            direction=encode_vector(directions.families[FAMILY_OF[name]][slots[name]].numpy()),
            threshold=thresholds[name],
            mean=weights.mean[name],
            scale=weights.scale[name],
            weight=weights.weight[name],
            tokens=tuple(
                np.quantile(scored.tokens[name][:, slots[name]].astype(np.float64), QUANTILES).tolist()
            ),
            benign=_summarise(scores[name][second & ~harmful]),
            harmful=_summarise(scores[name][second & harmful]),
        )
        for name in names
    }
    monitor = MonitorFile(
        format=1, model=describe_model(backbone, method), directions_sha256=sha256_file(directions_file),
        prompts_sha256=tuple(map(sha256_file, prompt_files)), seed=seed, window=window, target=rate, axes=axes,
        intercept=weights.intercept, combined_threshold=thresholds[COMBINED], measured=measured, curves=curves,
    )  # fmt: skip
    write_monitor(out, monitor)
    return monitor, [*remarks, *list_warnings(measured, rate)]


def _measure_parts(
    scores: Mapping[str, Float[np.ndarray, " rows"]],
    harmful: Bool[np.ndarray, " rows"],
    thresholds: Mapping[str, float],
    parts: Mapping[str, Bool[np.ndarray, " rows"]],
) -> tuple[dict[str, dict[str, Measured]], dict[str, Curve]]:
    """Rates and areas by part and axis, and the held-out curves."""
    measured = {
        part: {
            name: measure(values[held], harmful[held], thresholds[name]) for name, values in scores.items()
        }
        for part, held in parts.items()
        if part != "fit"
    }
    held = parts["held_out"]
    return measured, {name: draw_curve(values[held], harmful[held]) for name, values in scores.items()}


def check_unit(directions: Directions, path: Path) -> None:
    """Refuse a file whose rows are no directions.

    Raises:
        ArtifactError: for rows that are neither zero nor of length 1.
    """
    for name, rows in directions.families.items():
        lengths = rows.float().norm(dim=-1)
        odd = ~(((lengths - 1).abs() < 1e-3) | (lengths < 1e-3))
        if odd.any():
            place = int(odd.nonzero()[0])
            raise ArtifactError(
                f"{path}: {name}, slot {place}",
                expected="a unit vector, or zeros",
                found=f"length {float(lengths[place]):.3g}",
                fix="run `harc directions extract`",
            )


def _find_slot(
    directions: Directions,
    family: str,
    scores: Float[np.ndarray, "rows slots"],
    harmful: Bool[np.ndarray, " rows"],
    first: Bool[np.ndarray, " rows"],
    wanted: int | None,
) -> int:
    known = (directions.families[family].norm(dim=-1) > 0.5).nonzero()[:, 0].tolist()
    if wanted is None and known:
        return choose_slot(scores[first], harmful[first], known)
    if wanted is None or wanted not in known:
        raise ConfigError(
            "--slot", expected=f"a slot at which {family} has a direction: {', '.join(map(str, known)) or 'none has'}",
            found=str(wanted), fix="name another, or leave it out",
        )  # fmt: skip
    return wanted


def _score_everywhere(
    backbone: Backbone,
    directions: Directions,
    rows: Sequence[Mapping[str, Any]],
    names: Sequence[str],
    window: int,
    batch_size: int,
    kept: Bool[np.ndarray, " rows"],
) -> _Scored:
    """Scores at every slot; and the tokens of the rows that are kept."""
    ids = backbone.chat.encode_prompts([row["messages"] for row in rows])
    scores = {name: np.full((len(rows), directions.n_slots), np.nan, dtype=np.float32) for name in names}
    tokens: dict[str, list[np.ndarray]] = {name: [] for name in names}
    with track(len(rows), "reading") as bar:
        watched = watch_prompts(
            backbone, directions, ids, max_new_tokens=window, batch_size=batch_size,
            names=[row["place"] for row in rows], on_done=bar.advance,
        )  # fmt: skip
        for place, trace in watched:
            found = score_trace(trace, names, backbone.chat.post_instruction_count, window)
            for name, values in found.items():
                scores[name][place] = values
                if kept[place]:
                    tokens[name].append(trace.take_side(FAMILY_OF[name]))
    return _Scored(scores, {name: np.concatenate(parts) for name, parts in tokens.items()})


def _summarise(values: Float[np.ndarray, " rows"]) -> tuple[float, float]:
    return float(np.nanmean(values)), float(np.nanstd(values))


@dataclass(frozen=True)
class Scored:
    """Prompts that a monitor read: rows of scores.csv, and what was measured on those of a kind, if there are any."""

    rows: list[dict[str, Any]]
    measured: dict[str, dict[str, Measured]]
    curves: dict[str, Curve]
    remarks: list[str]


def open_monitored(options: ModelOptions, path: Path) -> tuple[MonitorFile, Backbone]:
    """A monitor, and the model that it was calibrated on.

    Raises:
        ModelError: for another model.
    """
    monitor = read_monitor(path)
    backbone, method = options.open()
    check_model(monitor, backbone, method, path)
    return monitor, backbone


def run_monitor(
    options: ModelOptions, path: Path, prompt_files: Sequence[Path], out: Path, *, batch_size: int = 8
) -> tuple[MonitorFile, Scored]:
    """Score every prompt and write scores.csv.

    Args:
        options: the model.
        path: its monitor.
        prompt_files: prompts; rates are measured if they are of both kinds.
        out: folder to write.
        batch_size: prompts answered together.

    Raises:
        DataError, ModelError, ConfigError, ArtifactError: see `read_prompt_file`, `open_monitored`, `read_prompts`.
    """
    rows, remarks = [], []
    for file in prompt_files:
        found, said = read_prompt_file(file)
        rows += found
        remarks += [escape_control(line) for line in said]
    monitor, backbone = open_monitored(options, path)
    with track(len(rows), "scoring") as bar:
        readings = read_prompts(
            monitor, backbone, [row["goal"] for row in rows], batch_size=batch_size,
            names=[row["place"] for row in rows], on_done=bar.advance,
        )  # fmt: skip
    lines = [
        {
            "id": row["id"], "kind": row["kind"], "category": row["category"], "prompt_tokens": reading.prompt_tokens,
            "response_tokens": len(reading.pieces) - reading.prompt_tokens,
            **reading.scores, **{f"{name}_flagged": int(flag) for name, flag in reading.flags.items()},
        }
        for row, reading in zip(rows, readings, strict=True)
    ]  # fmt: skip
    write_csv(out / "scores.csv", list_columns(monitor), lines)
    return monitor, Scored(lines, *_measure_rows(monitor, rows, readings), remarks)


def list_columns(monitor: MonitorFile) -> list[str]:
    """Columns of scores.csv."""
    return [*SCORE_COLUMNS, *(column for name in monitor.names for column in (name, f"{name}_flagged"))]


def _measure_rows(
    monitor: MonitorFile, rows: Sequence[Mapping[str, Any]], readings: Sequence[Reading]
) -> tuple[dict[str, dict[str, Measured]], dict[str, Curve]]:
    """Rates and curves on rows of a kind; none where a kind has fewer than two."""
    kinds = [(row["kind"], reading) for row, reading in zip(rows, readings, strict=True) if row["kind"]]
    harmful = np.array([kind == "harmful" for kind, _ in kinds], dtype=bool)
    found: dict[str, Measured] = {}
    curves: dict[str, Curve] = {}
    for name in monitor.names:
        values = np.array([reading.scores[name] for _, reading in kinds])
        known = ~np.isnan(values)
        if min((known & harmful).sum(), (known & ~harmful).sum()) < 2:
            continue
        found[name] = measure(values, harmful, monitor.threshold_of(name))
        curves[name] = draw_curve(values, harmful)
    return ({"run": found} if found else {}), curves
