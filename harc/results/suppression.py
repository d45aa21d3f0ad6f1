"""Refusal kept under suppression, per prompt as data frames: reading it, rates, paired differences, and rounds."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from harc.core.artifacts import Layout
from harc.core.csv_files import read_csv_rows
from harc.core.errors import DataError
from harc.core.files import read_json
from harc.judges.base import GIVEN_LABELS, UNJUDGED, counts_as
from harc.results.rates import BySeed, Difference, Draw, Rate, difference_of_pairs, pair_outcomes
from harc.results.vocabulary import CONTROLS, OVER_REFUSAL
from harc.stats import rates as estimators

FIELDS = ("condition", "suite", "id", "goal", "label")
COLUMNS = (*FIELDS, "hit", "garbled", "likelihood")
ROUND = "round_"
AGAIN = "run suppress_refusal of this method again"


def read_suppression(folder: Path) -> pd.DataFrame | None:
    """Answers of one model under suppression, a row each; None if there are none (it is not part of this profile).

    Columns: COLUMNS; `hit` is 1 for a refusal, 0 for another answer, NaN where no judge's answer could be read.

    Raises:
        DataError: naming the file, for a column that is missing or a label that no judge gives.
    """
    path = folder / "outcomes.csv"
    if not path.is_file():
        return None
    columns, rows = read_csv_rows(path)
    missing = [name for name in (*FIELDS, "likelihood") if name not in columns]
    if missing:
        raise DataError(
            str(path), expected=f"a column {missing[0]}", found=f"{', '.join(columns) or 'none'}", fix=AGAIN
        )
    for number, row in enumerate(rows, start=2):
        if row["label"] not in GIVEN_LABELS:
            raise DataError(
                f"{path}:{number}",
                expected=f"a label among {', '.join(GIVEN_LABELS)}",
                found=repr(row["label"]),
                fix=AGAIN,
            )
    frame = pd.DataFrame([{name: row[name] for name in FIELDS} for row in rows], columns=COLUMNS)
    frame["hit"] = [np.nan if x == UNJUDGED else float(counts_as(x, "refused")) for x in frame["label"]]
    frame["garbled"] = frame["label"] == "garbled"
    frame["likelihood"] = [float(row["likelihood"] or "nan") for row in rows]
    return frame


def read_suppressions(
    root: Path, backbone: str, method: str, seeds: Sequence[int]
) -> dict[int, pd.DataFrame]:
    """Answers under suppression by seed; seeds without any are left out."""
    read = {seed: read_suppression(Layout(root).suppression(backbone, method, seed)) for seed in seeds}
    return {seed: found for seed, found in read.items() if found is not None and len(found)}


def is_benign(frame: pd.DataFrame) -> pd.Series:
    """Which rows ask for something harmless."""
    return frame["suite"].isin((*CONTROLS, *OVER_REFUSAL))


def select_condition(frame: pd.DataFrame, condition: str, *, benign: bool = False) -> pd.DataFrame:
    """Answers under a condition to harmful requests, or to benign ones."""
    return frame[(frame["condition"] == condition) & (is_benign(frame) == benign)]


def select_round(frame: pd.DataFrame, number: int) -> pd.DataFrame:
    """Answers to harmful requests once so many directions are out.

    Where the removal ended before, those of its last round: a model that no longer refuses, or in which nothing is left
    to find, stays where it is and does not drop out of the mean.
    """
    for reached in range(number, 0, -1):
        found = select_condition(frame, f"{ROUND}{reached}")
        if len(found):
            return found
    return select_condition(frame, "none")


def estimate_kept(samples: Sequence[pd.DataFrame], confidence: float) -> Rate | None:
    """Rate of refusal over seeds, a sample each, without what was not judged; see `harc.stats.rates`."""
    judged = [sample.dropna(subset="hit") for sample in samples]
    judged = [sample for sample in judged if len(sample)]
    return estimators.estimate_rate(judged, confidence) if judged else None


def compare_suppressed(
    first: BySeed, second: BySeed, condition: str, confidence: float = 0.95, draw: Draw = "seed"
) -> Difference | None:
    """Refusal kept under a condition, second minus first, on the same prompts and seeds; see `harc.stats.contrasts`."""
    before, after = (
        {
            key: chosen.assign(template="", **{UNJUDGED: chosen["hit"].isna()})
            for key, frame in by_seed.items()
            if len(chosen := select_condition(frame, condition))
        }
        for by_seed in (first, second)
    )
    suites = sorted({suite for frame in before.values() for suite in frame["suite"]})
    return difference_of_pairs(pair_outcomes(before, after, suites), confidence, draw)


def read_rounds(root: Path, backbone: str, method: str, seed: int) -> list[dict[str, str]]:
    """Rows of rounds.csv; none where the model was not suppressed."""
    path = Layout(root).suppression(backbone, method, seed) / "rounds.csv"
    return read_csv_rows(path)[1] if path.is_file() else []


def read_card(root: Path, backbone: str, method: str, seed: int) -> dict[str, Any] | None:
    """The stability card of a model; None where it was not suppressed."""
    path = Layout(root).suppression(backbone, method, seed) / "card.json"
    return read_json(path) if path.is_file() else None


def count_until_half(rounds: Sequence[Mapping[str, str]]) -> int | None:
    """Directions that must go until refusal is at most half of what it was; None if it never is."""
    asked = [row for row in rounds if row["refused"]]
    if not asked or float(asked[0]["refused"]) == 0:
        return None
    half = float(asked[0]["refused"]) / 2
    return next((int(row["removed"]) for row in asked[1:] if float(row["refused"]) <= half), None)
