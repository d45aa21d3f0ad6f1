"""Rates of a user's prompts by language and policy, and weighted ones, beside those of scores."""

from collections.abc import Mapping, Sequence
from typing import Any

from harc.core.terminal import align_columns
from harc.core.untrusted import escape_control
from harc.evaluation.own.scores import METRICS, PART, SCORE_COLUMNS, format_table, score_records
from harc.judges.base import UNJUDGED, counts_as
from harc.judges.registry import LABELS_OF
from harc.stats.weighted import estimate_weighted_rate

LEVELS = ("language", "policy")
"""Columns of prompt files that prompts are grouped by, besides their category."""
GROUPS_FILE, WEIGHTED_FILE = "groups.csv", "weighted.csv"
GROUP_COLUMNS = SCORE_COLUMNS
WEIGHTED_COLUMNS = (
    "suite", "kind", "metric", "judge", "n", "rate", "weighted_rate", "weighted_ci_low", "weighted_ci_high",
    "effective_n",
)  # fmt: skip
MOST_SHOWN, LONGEST_SHOWN = 20, 40
"""Groups of a suite that the table shows, and characters of their names; files hold all of them."""


def score_groups(
    suite: str, records: Sequence[dict[str, Any]], judges: Sequence[str]
) -> list[dict[str, Any]]:
    """Rows like those of scores.csv: `level` is the column that prompts are grouped by, `category` its cell."""
    rows = []
    for level in LEVELS:
        if any(record.get(level) for record in records):
            grouped = [record | {"category": record.get(level, "")} for record in records]
            parts = [row for row in score_records(suite, grouped, judges) if row["level"] == PART]
            rows += [row | {"level": level} for row in parts]
    return rows


def weigh_records(
    suite: str, records: Sequence[dict[str, Any]], judges: Sequence[str]
) -> list[dict[str, Any]]:
    """Rows of weighted.csv: every rate of the whole suite, plain and weighted; none where no prompt has a weight.

    Prompts without a weight have 1.
    """
    if not any("weight" in record for record in records):
        return []
    rows = []
    for kind, metrics in METRICS.items():
        own = [record for record in records if record["kind"] == kind]
        for metric, label in metrics:
            for judge in judges:
                if label not in LABELS_OF.get(judge, (label,)):
                    continue
                labels = [record["verdicts"][judge]["label"] for record in own]
                read = [(given, r) for given, r in zip(labels, own, strict=True) if given != UNJUDGED]
                if not read:
                    continue
                hits = [counts_as(given, label) for given, _ in read]
                found = estimate_weighted_rate(hits, [record.get("weight", 1.0) for _, record in read])
                rows.append(
                    {
                        "suite": suite, "kind": kind or "unknown", "metric": metric, "judge": judge, "n": len(hits),
                        "rate": sum(hits) / len(hits), "weighted_rate": found.estimate, "weighted_ci_low": found.low,
                        "weighted_ci_high": found.high, "effective_n": found.effective,
                    }
                )  # fmt: skip
    return rows


def format_groups(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A table of the groups, and a line for those that it leaves out."""
    shown, held, left = [], dict[tuple[str, str], dict[str, None]](), 0
    for row in rows:
        names = held.setdefault((row["suite"], row["level"]), {})
        left += row["category"] not in names and len(names) >= MOST_SHOWN
        if row["category"] in names or len(names) < MOST_SHOWN:
            names[row["category"]] = None
            name = escape_control(row["category"] or "none")
            cut = name if len(name) <= LONGEST_SHOWN else f"{name[: LONGEST_SHOWN - 3]}..."
            shown.append({**row, "level": PART, "category": f"{row['level']} {cut}"})
    if not shown:
        return []
    lines = ["", format_table(shown)]
    return [*lines, f"more groups stand in {GROUPS_FILE}"] if left else lines


def format_weighted(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A table of the weighted rates, each by its first judge."""
    lines, seen = [["suite", "weighted", "rate", "effective n", "unweighted"]], set()
    for row in rows:
        place = (row["suite"], row["kind"], row["metric"])
        if place not in seen:
            seen.add(place)
            interval = f"[{row['weighted_ci_low']:.2f}, {row['weighted_ci_high']:.2f}]"
            lines.append(
                [
                    row["suite"], row["metric"].replace("_", " "), f"{row['weighted_rate']:.2f} {interval}",
                    f"{row['effective_n']:.1f} of {row['n']}", f"{row['rate']:.2f}",
                ]
            )  # fmt: skip
    return ["", align_columns(lines)] if rows else []
