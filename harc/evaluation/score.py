"""Scores as a pure function of generations: outcomes.csv (one row per prompt), scores.csv (one per rate)."""

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path

from harc.config.evaluation import EvaluationSettings
from harc.errors import DataError
from harc.evaluation.bootstrap import mean_of_rates_interval
from harc.evaluation.families import (
    ATTACK_SUITES,
    HELPFULNESS_SUITES,
    OVER_REFUSAL_SUITES,
    counted_label,
    main_metric,
)
from harc.evaluation.outcomes import COLUMNS, load_outcomes
from harc.evaluation.statistics import cohens_kappa, minimum_detectable_difference, wilson_interval
from harc.files import write_text
from harc.judges.base import LABELS

SCORE_COLUMNS = (
    "suite", "metric", "unit", "n", "successes", "rate", "ci_low", "ci_high", "interval", "mde",
)  # fmt: skip
MEANS = (
    ("mean_asr", "asr", ATTACK_SUITES),
    ("mean_over_refusal", "over_refusal", OVER_REFUSAL_SUITES),
    ("mean_helpfulness", "accuracy", HELPFULNESS_SUITES),
)


def format_value(value: object) -> str:
    """A cell: numbers with 6 decimals at most, nothing for None and NaN."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return f"{value:.6f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def write_csv(path: Path | str, columns: Sequence[str], rows: Sequence[dict]) -> None:
    """Write rows atomically with the given columns; a cell that a row lacks stays empty."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([format_value(row.get(column)) for column in columns] for row in rows)
    write_text(path, buffer.getvalue())


def read_csv(path: Path | str, required: Sequence[str] = ()) -> list[dict]:
    """Rows of a table as written by `write_csv`: text cells, numbers where they parse, None where empty.

    Raises:
        DataError: if the file is missing, empty, or lacks a required column.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(str(path), expected="a table", found="no file", fix="run `harc score`")
    with path.open(newline="", encoding="utf-8") as handle:
        reader = csv.DictReader(handle)
        rows = [{name: _parse(name, cell) for name, cell in row.items()} for row in reader]
        missing = [name for name in required if name not in (reader.fieldnames or ())]
    if missing or not rows:
        raise DataError(
            str(path),
            expected=f"rows with the columns {', '.join(required)}" if required else "rows",
            found=f"no {missing[0]}" if missing else "no rows",
            fix="run `harc score`",
        )
    return rows


def _parse(name: str, cell: str) -> object:
    if cell == "":
        return None
    if name in ("id", "unit", "goal", "suite", "metric", "category"):
        return cell
    for kind in (int, float):
        try:
            return kind(cell)
        except ValueError:
            continue
    return cell


def group_by_unit(outcomes: Sequence[dict], label: str, judge: str) -> list[int]:
    """One 0 or 1 per unit: whether any of its prompts got the label (PAP may send several per goal)."""
    units: dict[str, int] = {}
    for outcome in outcomes:
        hit = int(outcome[f"label_{judge}"] == label)
        units[outcome["unit"]] = max(units.get(outcome["unit"], 0), hit)
    return list(units.values())


def make_rate_row(
    suite: str, metric: str, unit: str, values: Sequence[int], settings: EvaluationSettings
) -> dict:
    """A rate over independent 0/1 values with its Wilson interval and minimum detectable effect."""
    rate, low, high = wilson_interval(sum(values), len(values), settings.confidence)
    mde = minimum_detectable_difference(
        len(values), rate, confidence=settings.confidence, power=settings.power
    )
    return {
        "suite": suite, "metric": metric, "unit": unit, "n": len(values), "successes": sum(values),
        "rate": rate, "ci_low": low, "ci_high": high, "interval": "wilson", "mde": mde,
    }  # fmt: skip


def score_suite(suite: str, outcomes: Sequence[dict], settings: EvaluationSettings) -> list[dict]:
    """Every rate of one suite: the main metric by each judge, then the shares of the first judge's labels."""
    first = settings.judges[0]
    metric = main_metric(suite)
    rows = []
    for judge in settings.judges:
        hits = group_by_unit(outcomes, counted_label(metric), judge)
        name = metric if judge == first else f"{metric}_{judge}"
        rows.append(make_rate_row(suite, name, "unit", hits, settings))
    if rows[0]["n"] < len(outcomes):
        rows.append(_rate_per_prompt(suite, metric, outcomes, settings))
    for label in LABELS:
        hits = [int(outcome[f"label_{first}"] == label) for outcome in outcomes]
        rows.append(make_rate_row(suite, f"share_{label}", "prompt", hits, settings))
    reached = [row["queries_to_success"] for row in outcomes if row["queries_to_success"] is not None]
    if reached:
        rows.append({
            "suite": suite, "metric": "queries_to_success", "unit": "goal reached", "n": len(reached),
            "rate": sum(reached) / len(reached), "interval": "none",
        })  # fmt: skip
    return rows


def _rate_per_prompt(suite: str, metric: str, outcomes: Sequence[dict], settings: EvaluationSettings) -> dict:
    """Mean over prompts where units have several; these are not independent, so whole goals are resampled."""
    wanted = counted_label(metric)
    hits = [int(outcome[f"label_{settings.judges[0]}"] == wanted) for outcome in outcomes]
    goals = [outcome["goal"] for outcome in outcomes]
    rate, low, high = mean_of_rates_interval(hits, [suite] * len(hits), goals, **bootstrap_of(settings))
    return {
        "suite": suite, "metric": f"{metric}_per_prompt", "unit": "prompt", "n": len(hits),
        "successes": sum(hits), "rate": rate, "ci_low": low, "ci_high": high, "interval": "bootstrap",
    }  # fmt: skip


def bootstrap_of(settings: EvaluationSettings) -> dict:
    """The bootstrap's arguments."""
    return {
        "resamples": settings.bootstrap_resamples,
        "seed": settings.bootstrap_seed,
        "confidence": settings.confidence,
    }


def collect_units(outcomes: Sequence[dict], suites: Sequence[str], judge: str) -> list[tuple]:
    """(suite, goal, 0 or 1) of each unit of the given suites, by the label that their main metric counts."""
    units: dict[tuple[str, str], tuple] = {}
    for outcome in outcomes:
        suite = outcome["suite"]
        if suite in suites:
            key = (suite, outcome["unit"])
            hit = int(outcome[f"label_{judge}"] == counted_label(main_metric(suite)))
            units[key] = (suite, outcome["goal"], max(hit, units[key][2] if key in units else 0))
    return list(units.values())


def score_means(outcomes: Sequence[dict], settings: EvaluationSettings) -> list[dict]:
    """Unweighted means over suite families (mean ASR and the like) with stratified bootstrap intervals."""
    rows = []
    for name, metric, family in MEANS:
        if not all(suite in settings.suites for suite in family):
            continue  # a mean over some of the suites would pass for the mean over all of them
        for position, judge in enumerate(settings.judges):
            suites, goals, hits = zip(*collect_units(outcomes, family, judge), strict=True)
            rate, low, high = mean_of_rates_interval(hits, suites, goals, **bootstrap_of(settings))
            if rate in (0.0, 1.0):
                # Resampling equal outcomes shows no spread; independent goals bound what they could hide.
                count = len(set(goals))
                _, low, high = wilson_interval(round(rate * count), count, settings.confidence)
            rows.append({
                "suite": name, "metric": metric if position == 0 else f"{metric}_{judge}",
                "unit": "mean of suites", "n": len(hits), "successes": sum(hits), "rate": rate,
                "ci_low": low, "ci_high": high, "interval": "bootstrap",
            })  # fmt: skip
    return rows


def score_agreement(outcomes: Sequence[dict], settings: EvaluationSettings) -> list[dict]:
    """Cohen's kappa of the first judge with each other one, over all answers that were written out."""
    first, *others = settings.judges
    rows = []
    for judge in others:
        ours = [outcome[f"label_{first}"] for outcome in outcomes]
        theirs = [outcome[f"label_{judge}"] for outcome in outcomes]
        refused = [[label == "refused" for label in labels] for labels in (ours, theirs)]
        for metric, pair in (("kappa", (ours, theirs)), ("kappa_refused", refused)):
            rows.append({
                "suite": "agreement", "metric": f"{metric}_{first}_{judge}", "unit": "answer",
                "n": len(outcomes), "successes": sum(a == b for a, b in zip(*pair, strict=True)),
                "rate": cohens_kappa(*pair), "interval": "none",
            })  # fmt: skip
    return rows


def score_outcomes(outcomes: Sequence[dict], settings: EvaluationSettings) -> list[dict]:
    """All rows of scores.csv."""
    rows = []
    for suite in settings.suites:
        rows += score_suite(suite, [row for row in outcomes if row["suite"] == suite], settings)
    return rows + score_means(outcomes, settings) + score_agreement(outcomes, settings)


def score_generations(generations_dir: Path | str, out_dir: Path | str, settings: EvaluationSettings) -> None:
    """Write outcomes.csv and scores.csv from a folder of generations.

    Raises:
        DataError: if a suite's file is missing, empty, has an id twice, or lacks a judge's verdict.
    """
    outcomes = load_outcomes(generations_dir, settings)
    labels = [f"{kind}_{judge}" for judge in settings.judges for kind in ("label", "score")]
    write_csv(Path(out_dir) / "outcomes.csv", (*COLUMNS, *labels), outcomes)
    write_csv(Path(out_dir) / "scores.csv", SCORE_COLUMNS, score_outcomes(outcomes, settings))
