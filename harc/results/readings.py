"""What training, tuning and public benchmarks left: logs, tuning points, scores, as figures and tables read them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from harc.core.artifacts import Layout
from harc.core.csv_files import read_csv
from harc.core.errors import ArtifactError
from harc.core.files import read_jsonl
from harc.core.yaml_text import parse_yaml
from harc.evaluation.tuning import BROKEN, COLUMNS, describe_changes
from harc.results.printer import read_table
from harc.suites.benchmarks import CATEGORIES, SCORES

# log key: label for readers
TERMS = {
    "couple": "coupling, prompt side",
    "couple_resp": "coupling, response side",
    "kl": "divergence on benign rows",
    "ce": "cross-entropy on refusals",
}
LOG = "training_log.jsonl"


def read_term(rows: Sequence[dict], term: str) -> tuple[list[int], list[float]]:
    """Steps and values of one term; both empty where the method does not compute it.

    A divergence that is 0 at every step was not computed: one that is computed leaves 0 with the first update.
    """
    held = [(int(row["step"]), float(row[term])) for row in rows if row.get(term) is not None]
    if term == "kl" and not any(value for _, value in held):
        return [], []
    return [step for step, _ in held], [value for _, value in held]


def read_logs(results_root: Path, backbone: str, method: str, seeds: Sequence[int]) -> dict[int, list[dict]]:
    """Log rows by seed; seeds without a log are left out.

    Raises:
        DataError: naming file and line, for a damaged log.
    """
    layout = Layout(results_root)
    paths = {seed: layout.adapter(backbone, method, seed) / LOG for seed in seeds}
    return {seed: read_jsonl(path, ("step",)) for seed, path in paths.items() if path.is_file()}


class Measured(NamedTuple):
    """A rate with its interval and its number of prompts."""

    rate: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class TuningPoint:
    """One point of one method on one backbone and seed; the base has one, numbered -1."""

    backbone: str
    method: str
    seed: int
    number: int
    changes: Mapping[str, Any]
    chosen: bool
    asr: Measured
    over_refusal: Measured
    benign: Measured
    wrapped_benign: Measured

    def loses(self, base: "TuningPoint") -> float:
        """Loss of right benign answers against the base, the worse of plain and wrapped requests."""
        return max(
            base.benign.rate - self.benign.rate,
            base.wrapped_benign.rate - self.wrapped_benign.rate,
        )

    @property
    def label(self) -> str:
        """What the point changes, on one line."""
        return describe_changes(self.changes)


def read_points(path: Path | None) -> list[TuningPoint]:
    """Points of a table and, from the YAML beside it, which were chosen; none where no table is named.

    Args:
        path: <name>_points.csv; <name>.yaml lies beside it.

    Raises:
        DataError: if the table is named but absent.
        ArtifactError: if the chosen settings are absent.
    """
    if path is None:
        return []
    rows = read_csv(path, [name for name in COLUMNS if name != BROKEN])  # younger than the first points
    chosen = read_tuned(path)["methods"]
    return [_make_point(row, chosen) for row in rows]


def locate_tuned(points: Path) -> Path:
    """The settings that were chosen from a table of points: <name>.yaml beside <name>_points.csv."""
    return points.with_name(f"{points.stem.removesuffix('_points')}.yaml")


def read_tuned(path: Path) -> dict[str, Any]:
    """What was chosen from a table of points (`methods`), and the criterion (`tuning`).

    Raises:
        ArtifactError: if the file beside the table is absent or not what `harc tuned` writes.
    """
    place = locate_tuned(path)
    try:
        found = parse_yaml(place.read_text(encoding="utf-8"))
        return {"methods": dict(found["methods"]), "tuning": dict(found["tuning"])}
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise ArtifactError(
            str(place),
            expected="chosen settings by method",
            found=type(problem).__name__,
            fix="run `harc tuned`",
        ) from problem


def _make_point(row: Mapping[str, Any], chosen: Mapping[str, Mapping[str, Any]]) -> TuningPoint:
    def measured(name: str) -> Measured:
        rate, low, high = (float(row[f"{name}{end}"]) for end in ("", "_low", "_high"))
        return Measured(rate, low, high, int(row[f"{name}_n"]))

    changes = json.loads(row["changes"])
    return TuningPoint(
        row["backbone"],
        row["method"],
        int(row["seed"]),
        int(row["point"]),
        changes,
        row["method"] in chosen and chosen[row["method"]] == changes,
        measured("asr"),
        measured("over_refusal"),
        measured("benign"),
        measured("wrapped_benign"),
    )


def read_scores(results_root: Path, backbone: str, method: str, seed: int) -> list[dict[str, str]]:
    """Rows of one model's scores; none where they were not measured."""
    path = Layout(results_root).helpfulness(backbone, method, seed) / SCORES
    return read_table(path) if path.is_file() else []


def read_categories(results_root: Path, backbone: str, method: str, seed: int) -> list[dict[str, str]]:
    """Rows of one model's MT-Bench grades by category; none where they were not measured."""
    path = Layout(results_root).helpfulness(backbone, method, seed) / CATEGORIES
    return read_table(path) if path.is_file() else []
