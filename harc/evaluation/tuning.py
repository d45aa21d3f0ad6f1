"""Tuning: a small grid per method, tried on development prompts, all points kept, one chosen by a declared rule.

The rule: the lowest mean attack success (see `evaluation.mean_attacks`) that keeps safe prompts, which a model may
refuse or answer brokenly, and benign answers near the base's. What it chose becomes a part of a profile:
config/tuned/<name>.yaml, with the points it was chosen from.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from harc.core.errors import ArtifactError
from harc.core.files import read_jsonl, write_text
from harc.evaluation.bench import Bench, run_parts
from harc.settings.training import MethodSettings, TuningSettings
from harc.suites.registry import BENIGN_SUITES, OVER_REFUSAL_SUITES

ROW_FIELDS = {
    "training": ("category", "prompt", "response"),
    "extraction": ("category", "prompt"),
    "extraction_pairs": ("kind", "prompt", "response"),
}
FILES = tuple(f"{name}.jsonl" for name in (*ROW_FIELDS, "development"))
# column prefix: (suite, metric) of scores.csv
RATES = {
    "asr": ("mean_asr", "asr"),
    "over_refusal": ("mean_over_refusal", "over_refusal"),
    "benign": ("benign", "accuracy"),
    "wrapped_benign": ("wrapped_benign", "accuracy"),
}
BROKEN = "safe_broken"
"""Column: share of garbled answers to safe prompts, mean over suites of over-refusal; neither refusals nor any use."""
ENDS = {"": "rate", "_low": "ci_low", "_high": "ci_high", "_n": "n"}
COLUMNS = (
    "backbone",
    "method",
    "seed",
    "point",
    "changes",
    *(f"{name}{end}" for name in RATES for end in ENDS),
    BROKEN,
    "train_seconds",
)
ROUNDING = 1e-9  # what differences of rates may lose in floating point
BASE_POINT = -1  # number of the base's own row among the points
Rows = Sequence[dict[str, Any]]
Points = Sequence[tuple[dict[str, Any], MethodSettings]]
TUNED = Path("config/tuned")
HEADER = """# What tuning chose on development prompts, by the criterion below. Made by `snakemake tune`, `harc tuned`;
# do not edit. Every point that was tried is in the CSV beside this file.
"""


# Trying points


def run_grid(
    bench: Bench, label: str, points: Points, checkpoint: Path, *, start: MethodSettings | None = None
) -> list[dict[str, Any]]:
    """One row of points.csv per point; the base's own row where there are no points.

    Args:
        bench: where points are tried, on the development split and suites of safety alone, whatever it says.
        label: shown with the progress bar.
        points: (changes, settings) of each.
        checkpoint: folder of finished points; it stays, so that a grid with more points asks those alone.
        start: method that is trained first, and whose adapter every point starts from.
    """
    bench = develop(bench)
    parts = {
        json.dumps(changes, sort_keys=True): (
            bench.identify("harc.evaluation.tuning:run_grid", settings, start, files=FILES),
            partial(_try_point, bench, number, changes, settings, start),
        )
        for number, (changes, settings) in enumerate(points or [({}, None)])
    }
    rows = run_parts(
        parts,
        checkpoint,
        label,
        lambda row: {name: row[name] for name in ("asr", "over_refusal")},
        keep=True,
    )
    return [{**row, "point": number if points else BASE_POINT} for number, row in enumerate(rows)]


def list_asked(mean_attacks: Sequence[str]) -> tuple[str, ...]:
    """Suites that points are asked: those that the criterion counts."""
    return (*mean_attacks, *OVER_REFUSAL_SUITES, *BENIGN_SUITES)


def develop(bench: Bench) -> Bench:
    """The bench with the evaluation that points get."""
    suites = list_asked(bench.evaluation.mean_attacks)
    changes = {"split": "development", "suites": suites, "project": False}
    return replace(bench, evaluation=bench.evaluation.model_copy(update=changes))


def _try_point(
    bench: Bench,
    number: int,
    changes: dict[str, Any],
    settings: MethodSettings | None,
    start: MethodSettings | None,
    scratch: Path,
) -> dict[str, Any]:
    first = None
    if start is not None:
        first = scratch / "first"
        if not first.exists():
            train_point(bench, start, first)
    seconds, method, folder = 0.0, None, scratch / f"point{number}"
    if settings is not None:
        method = folder / "method"
        seconds = train_point(bench, settings, method, start_from=first)["wall_s"]
    rates = measure_point(bench, method, folder / "work")
    return {**rates, "train_seconds": round(seconds, 1), "changes": json.dumps(changes, sort_keys=True)}


def train_point(
    bench: Bench, settings: MethodSettings, out_dir: Path, *, start_from: Path | None = None
) -> dict[str, Any]:
    """Train or fit a method and write its folder; what the training returns."""
    from harc.geometry.directions import load_directions
    from harc.methods.cast import fit_steering
    from harc.training.run import train_adapter

    rows, extraction, pairs = (
        read_jsonl(bench.find_rows(f"{name}.jsonl"), fields) for name, fields in ROW_FIELDS.items()
    )
    if settings.is_fitted:
        return fit_steering(bench.open(training=False), rows, settings, bench.seed, out_dir)
    directions = None if bench.directions is None else load_directions(bench.directions)
    return train_adapter(
        bench.open(training=True), rows, extraction, pairs, directions, settings, bench.seed, out_dir, None,
        direction_settings=bench.reading, start_from=start_from,
    )  # fmt: skip


def measure_point(bench: Bench, folder: Path | None, work_dir: Path) -> dict[str, Any]:
    """Development rates of a method's folder (None: the base), with intervals and numbers of prompts.

    Args:
        bench: where.
        folder: adapter or steering.
        work_dir: for generations and scores; both stay there.
    """
    from harc.core.csv_files import read_csv
    from harc.evaluation.score import score_generations

    bench = develop(bench)
    bench.ask(folder, work_dir / "generations")
    score_generations(work_dir / "generations", work_dir / "scores", bench.evaluation)
    scores = {(row["suite"], row["metric"]): row for row in read_csv(work_dir / "scores/scores.csv")}
    labels: dict[str, list[str]] = {suite: [] for suite in OVER_REFUSAL_SUITES}
    for row in read_csv(work_dir / "scores/outcomes.csv"):
        if row["suite"] in labels:
            labels[row["suite"]].append(row["label"])
    broken = [own.count("garbled") / len(own) for own in labels.values()]
    rates = {
        f"{name}{end}": scores[key][column] for name, key in RATES.items() for end, column in ENDS.items()
    }
    return {**rates, BROKEN: sum(broken) / len(broken)}


# The rule


@dataclass(frozen=True)
class Choice:
    """The chosen point of a method.

    Attributes:
        method: name.
        point: its number in the grid.
        asr: mean attack success over backbones and seeds.
        safe_lost: share of safe prompts refused or answered brokenly, mean over suites, minus the base's.
        benign_loss: loss of right answers against the base, the worse of plain and wrapped benign requests.
        eligible: whether it keeps the allowances; if no point does, the one that breaks them least is chosen.
    """

    method: str
    point: int
    asr: float
    safe_lost: float
    benign_loss: float
    eligible: bool


def _mean(rows: Rows, column: str) -> float:
    return sum(float(row[column]) for row in rows) / len(rows)


def _lose_safe(rows: Rows) -> float:
    """Safe prompts refused or answered brokenly; points from before the latter were counted have refusals alone."""
    return sum(float(row["over_refusal"]) + float(row.get(BROKEN) or 0) for row in rows) / len(rows)


def judge_points(method: str, rows: Rows, base: Rows, settings: TuningSettings) -> list[Choice]:
    """Every point of a method as a candidate, in grid order: means over backbones and seeds."""
    judged = []
    for point in sorted({int(row["point"]) for row in rows}):
        own = [row for row in rows if int(row["point"]) == point]
        matched = _match_base(own, base)
        lost = _lose_safe(own) - _lose_safe(matched)
        loss = max(_mean(matched, name) - _mean(own, name) for name in ("benign", "wrapped_benign"))
        eligible = lost <= settings.safe_allowance + ROUNDING and loss <= settings.benign_allowance + ROUNDING
        judged.append(Choice(method, point, _mean(own, "asr"), lost, loss, eligible))
    return judged


def _match_base(own: Rows, base: Rows) -> Rows:
    """The base's row for every (backbone, seed) of a point; a fixed backbone has one row for all of its seeds."""
    rows = {(row["backbone"], row["seed"]): row for row in base}
    alone = {backbone: row for (backbone, _), row in reversed(rows.items())}
    keys = dict.fromkeys((row["backbone"], row["seed"]) for row in own)
    fixed = {name for name in alone if sum(backbone == name for backbone, _ in rows) == 1}
    return [rows[key] if key in rows else alone[key[0]] for key in keys if key in rows or key[0] in fixed]


def choose_point(method: str, rows: Rows, base: Rows, settings: TuningSettings) -> Choice:
    """The point that the criterion picks; ties go to the fewer safe prompts lost, then to the earlier point."""
    judged = judge_points(method, rows, base, settings)
    eligible = [choice for choice in judged if choice.eligible]
    if eligible:
        return min(eligible, key=lambda choice: (choice.asr, choice.safe_lost, choice.point))

    def excess(choice: Choice) -> float:
        lost = max(0.0, choice.safe_lost - settings.safe_allowance)
        return lost + max(0.0, choice.benign_loss - settings.benign_allowance)

    return min(judged, key=lambda choice: (excess(choice), choice.asr, choice.point))


# What was chosen


def describe_changes(changes: Mapping[str, Any]) -> str:
    """A point's changes as one line: `loss.kl=1, margin=0.7`."""
    return ", ".join(
        f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in _walk(changes)
    )


def _walk(changes: Mapping[str, Any], prefix: str = "") -> Sequence[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in changes.items():
        found += (
            _walk(value, f"{prefix}{name}.") if isinstance(value, Mapping) else [(f"{prefix}{name}", value)]
        )
    return found


def format_tuned(choices: Mapping[str, Mapping[str, Any]], settings: TuningSettings) -> str:
    """YAML of the methods' chosen changes and of the criterion; a choice that breaks an allowance says so.

    Args:
        choices: by tuned method, in the order of the grids; methods that share one follow it.
        settings: the grids, and who shares whose choice.
    """
    criterion = settings.model_dump(mode="json", include={"safe_allowance", "benign_allowance", "seeds"})
    lines = [HEADER, yaml.safe_dump({"tuning": criterion}, default_flow_style=None), "methods:\n"]
    for method, choice in choices.items():
        remark = (
            "" if choice["eligible"] else "  # no point keeps the allowances; this one breaks them least\n"
        )
        sharing = [other for other, chosen in settings.shared.items() if chosen == method]
        for name in (method, *sharing):
            changes = yaml.safe_dump(
                {name: dict(choice["changes"])}, sort_keys=True, default_flow_style=None, width=110
            )
            lines += [remark, *(f"  {line}\n" for line in changes.splitlines())]
    return "".join(lines)


def adopt_tuned(tuning_dir: Path, name: str, target: Path = TUNED) -> list[Path]:
    """Take a finished tuning into the configuration.

    Args:
        tuning_dir: folder of tuned.yaml and points.csv.
        name: what the two files are called: <name>.yaml, <name>_points.csv.
        target: folder of tuned settings.

    Raises:
        ArtifactError: if the tuning is not finished.
    """
    places = {"tuned.yaml": target / f"{name}.yaml", "points.csv": target / f"{name}_points.csv"}
    for source in places:
        if not (tuning_dir / source).is_file():
            raise ArtifactError(
                str(tuning_dir / source),
                expected="a finished tuning",
                found="none",
                fix="run `snakemake tune`",
            )
    for source, place in places.items():
        write_text(place, (tuning_dir / source).read_text(encoding="utf-8"))
    return list(places.values())
