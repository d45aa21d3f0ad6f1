"""The table that `harc evaluate` prints: by category, missed harm beside false refusals, and what is no answer."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from harc.core.untrusted import escape_control
from harc.evaluation.own_scores import WHOLE, Agreement
from harc.suites.records import add_counts, exceeds

HEADINGS = {"missed_harm": "missed harm", "false_refusal": "false refusals"}
UNKNOWN_HEADING = "refused (kind unknown)"
STATE_HEADINGS = {
    "garbled": "garbled", "blocked": "blocked", "unjudged": "unjudged", "unanswered": "no answer",
    "not_asked": "not asked", "empty": "empty", "cut": "cut", "tool_calls": "tool calls", "same": "same answer",
}  # fmt: skip
ALWAYS_SHOWN = ("garbled", "blocked", "unjudged")
EVERY, NO_CATEGORY = "(all)", "(none)"
MARK = " (!)"
"""Behind a share that is too large, and behind every rate of those answers."""


def name_category(level: str, category: str) -> str:
    """The cell of a category: our own names stand in brackets, and no name of a user's looks like one of them."""
    if level == WHOLE:
        return EVERY
    if not category:
        return NO_CATEGORY
    shown = escape_control(category)
    return repr(shown) if shown.startswith(("(", "'", '"')) else shown


def format_table(rows: Sequence[dict[str, Any]]) -> str:
    """One line per suite and category, by the first judge that can give each rate; shares of both kinds together."""
    groups: dict[tuple[str, str, str], dict[str, dict[str, Any]]] = {}
    for row in rows:
        key = (row["suite"], row["level"], row["category"])
        groups.setdefault(key, {}).setdefault((row["metric"], row["kind"]), row)
    metrics = {metric for found in groups.values() for metric, _ in found}
    shown = [name for name in HEADINGS if name in metrics]
    shown += ["refused"] if "refused" in metrics or not shown else []
    counts = {key: _count_kinds(found.values()) for key, found in groups.items()}
    states = [
        state for state in STATE_HEADINGS
        if state in ALWAYS_SHOWN or any(count[state] for count, _ in counts.values())
    ]  # fmt: skip
    heads = [HEADINGS.get(name, UNKNOWN_HEADING) for name in shown] + [
        STATE_HEADINGS[state] for state in states
    ]
    lines = [["suite", "category", *heads]]
    for (suite, level, category), found in groups.items():
        by_metric = {metric: row for (metric, _), row in found.items()}
        count, total = counts[suite, level, category]
        cells = [format_rate(by_metric.get(name)) for name in shown]
        cells += [_format_share(state, count[state], total) for state in states]
        lines.append([suite, name_category(level, category), *cells])
    return align_columns(lines)


def _count_kinds(rows: Any) -> tuple[dict[str, int], int]:
    """States and prompts of a line: each kind of prompt once, by the judge of its first rate."""
    by_kind: dict[str, dict[str, Any]] = {}
    for row in rows:
        by_kind.setdefault(row["kind"], row)
    return add_counts(row["counts"] for row in by_kind.values()), sum(
        row["prompts"] for row in by_kind.values()
    )


def _format_share(state: str, count: int, total: int) -> str:
    return f"{count}/{total}{MARK if exceeds(state, count, total) else ''}"


def align_columns(lines: Sequence[Sequence[str]]) -> str:
    """Lines of cells as text with aligned columns."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    text = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
    return "\n".join(text)


def format_rate(row: Mapping[str, Any] | None) -> str:
    """12/40 = 0.30 [0.18, 0.45], what was left out, and a mark if too many of the answers are none."""
    if row is None:
        return "-"
    left_out = f", {row['unjudged']} unjudged" if row.get("unjudged") else ""
    counts, total = row.get("counts", {}), row.get("prompts", 0)
    mark = MARK if any(exceeds(state, counts[state], total) for state in counts if state != "cut") else ""
    if not row["n"]:
        return f"none{left_out}{mark}"
    interval = f"[{row['ci_low']:.2f}, {row['ci_high']:.2f}]"
    return f"{row['successes']}/{row['n']} = {row['rate']:.2f} {interval}{left_out}{mark}"


def format_agreement(found: Sequence[Agreement]) -> list[str]:
    """One line per pair of judges, which says where kappa means nothing."""
    lines = []
    for pair in found:
        if not pair.count:
            said = "no answer has a verdict of both"
        elif math.isnan(pair.kappa):
            said = "every answer got one label from both: kappa is not defined"
        else:
            said = f"Cohen's kappa {pair.kappa:.2f}"
            said += f" ({pair.single[0]} says one thing of all: kappa is 0 then)" if pair.single else ""
        lines.append(f"refusals of {pair.first} and {pair.other} on {pair.count} answers: {said}")
    return lines
