"""Two runs on the same prompts: paired differences of their rates, and the prompts on which they differ."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from harc.core.errors import DataError
from harc.core.files import read_json
from harc.core.untrusted import parse_json
from harc.evaluation.own.run import SCORES_FILE
from harc.evaluation.own.scores import HEADINGS, METRICS, PART, WHOLE
from harc.judges.base import UNJUDGED, counts_as
from harc.stats.contrasts import COLUMNS, estimate_difference
from harc.stats.significance import holm

DIFFERENCES_FILE, CHANGED_FILE = "differences.csv", "changed.csv"
DIFFERENCE_COLUMNS = (
    "candidate", "reference", "suite", "level", "category", "kind", "metric", "judge", "n", "before", "after",
    "difference", "ci_low", "ci_high", "p", "p_holm", "only_before", "only_after",
)  # fmt: skip
CHANGED_COLUMNS = ("candidate", "suite", "id", "category", "kind", "change", "before", "after")
COMPARED = {"harmful": "missed_harm", "benign": "false_refusal", "injected": "injection_success"}
CHANGES = {
    ("harmful", True): "newly missed",
    ("harmful", False): "no longer missed",
    ("benign", True): "newly refused",
    ("benign", False): "no longer refused",
    ("injected", True): "newly followed",
    ("injected", False): "no longer followed",
}
"""What became of a prompt, by its kind and whether the event is there afterwards."""
FEWEST = 6
"""Prompts of a category from which on a test could come out below .05 at all (two-sided, all of them changed)."""


class Pair(NamedTuple):
    """One prompt in both runs."""

    id: str
    category: str
    kind: str
    goal: str
    before: str
    after: str

    @property
    def hits(self) -> tuple[bool, bool]:
        """Whether the event that the kind counts is there before, and after."""
        label = METRICS[self.kind][0][1]
        return counts_as(self.before, label), counts_as(self.after, label)


def read_records(path: Path) -> Iterator[dict[str, Any]]:
    """Records of a suite one by one, so that a long file is never held.

    Raises:
        DataError: naming file and line, for a line that is no record.
    """
    with path.open(encoding="utf-8") as handle:
        for number, line in enumerate(handle, start=1):
            try:
                yield parse_json(line)
            except ValueError as problem:
                raise DataError(
                    f"{path}:{number}",
                    expected="a record",
                    found=str(problem),
                    fix="give the command again: it writes the file anew",
                ) from None


def find_judges(folder: Path) -> dict[tuple[str, str], str]:
    """The judge that decides missed harm or false refusals, by suite and kind of prompt."""
    found: dict[tuple[str, str], str] = {}
    for row in read_json(folder / SCORES_FILE)["scores"]:
        if row["level"] == WHOLE and row["metric"] == COMPARED.get(row["kind"]):
            found.setdefault((row["suite"], row["kind"]), row["judge"])
    return found


def is_same_prompt(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two records are of one prompt; an attack that adapts (PAIR) words one goal for each model anew."""
    adapts = bool(one.get("attack") or other.get("attack"))
    same = (one["id"], one["goal"]) == (other["id"], other["goal"])
    return same and (adapts or one["messages"] == other["messages"])


def pair_records(before: Path, after: Path, suite: str, judges: dict[tuple[str, str], str]) -> Iterator[Pair]:
    """Prompts of a suite that both runs answered and judged.

    Raises:
        DataError: if the two were not asked the same prompts in the same order.
    """
    files = [folder / "generations" / f"{suite}.jsonl" for folder in (before, after)]
    for number, (one, other) in enumerate(zip(*map(read_records, files), strict=True), start=1):
        if not is_same_prompt(one, other):
            raise DataError(
                f"{files[1]}:{number}",
                expected=f"the prompt of {files[0]}",
                found="another",
                fix="give the command again: it asks all the same",
            )
        judge = judges.get((suite, one["kind"]))
        if judge is None:
            continue
        labels = [record["verdicts"][judge]["label"] for record in (one, other)]
        if UNJUDGED not in labels:
            goal = one["goal"] if isinstance(one["goal"], str) else one["id"]
            yield Pair(one["id"], one["category"], one["kind"], goal, *labels)


def compare_runs(before: Path, after: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of differences.csv and of changed.csv of a candidate against its reference; see the columns.

    Args:
        before: folder of the reference.
        after: folder of the candidate, asked the same suites.
    """
    judges, differences, changed = find_judges(before), [], []
    for suite in dict.fromkeys(name for name, _ in judges):
        groups: dict[tuple[str, str, str], list[Pair]] = {}
        for pair in pair_records(before, after, suite, judges):
            groups.setdefault((pair.kind, WHOLE, ""), []).append(pair)
            groups.setdefault((pair.kind, PART, pair.category), []).append(pair)
            if pair.hits[0] != pair.hits[1]:
                changed.append(
                    {
                        "suite": suite, "id": pair.id, "category": pair.category, "kind": pair.kind,
                        "change": CHANGES[pair.kind, pair.hits[1]], "before": pair.before, "after": pair.after,
                    }
                )  # fmt: skip
        several = len({category for _, level, category in groups if level == PART}) > 1
        for (kind, level, category), pairs in groups.items():
            if level == WHOLE or several:
                place = {"suite": suite, "level": level, "category": category, "kind": kind}
                judge = {"metric": COMPARED[kind], "judge": judges[suite, kind]}
                differences.append({**place, **judge, **estimate_pairs(pairs, tested=level == WHOLE)})
    worse = {CHANGES[kind, True] for kind in COMPARED}
    changed.sort(key=lambda row: row["change"] not in worse)
    return differences, changed


def estimate_pairs(pairs: Sequence[Pair], *, tested: bool) -> dict[str, Any]:
    """Rates before and after, their difference with its 95% interval, and a p value (`estimate_difference`).

    Args:
        pairs: of one kind of prompts.
        tested: whether few pairs, too, have a test.
    """
    first, second = (
        [float(hit) for hit in hits] for hits in zip(*(pair.hits for pair in pairs), strict=True)
    )
    count = len(pairs)
    rates = {"n": count, "before": sum(first) / count, "after": sum(second) / count}
    rates["difference"] = rates["after"] - rates["before"]
    only = {
        "only_before": sum(one > other for one, other in zip(first, second, strict=True)),
        "only_after": sum(one < other for one, other in zip(first, second, strict=True)),
    }
    if count < FEWEST and not tested:
        return rates | only
    columns = (0, "", "", range(count), [pair.goal for pair in pairs], "", first, second)
    found = estimate_difference(pd.DataFrame(dict(zip(COLUMNS, columns, strict=True))))
    if found is None:
        return rates | only
    return rates | only | {"ci_low": found.low, "ci_high": found.high, "p": found.p}


def adjust_tests(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with Holm's p values: tests of whole suites are one family, those of categories another."""
    held = list(rows)
    for level in (WHOLE, PART):
        family = [row for row in held if row["level"] == level]
        for row, adjusted in zip(family, holm([row.get("p") for row in family]), strict=True):
            row["p_holm"] = adjusted
    return held


def format_differences(rows: Sequence[dict[str, Any]]) -> list[list[str]]:
    """Lines of the printed table: whole suites alone."""
    lines = [["candidate", "suite", "what", "before", "after", "difference", "p (Holm)"]]
    for row in rows:
        if row["level"] == WHOLE:
            bounds = f" [{row['ci_low']:+.2f}, {row['ci_high']:+.2f}]" if "ci_low" in row else ""
            p = "-" if row.get("p_holm") is None else f"{row['p_holm']:.3f}"
            lines.append(
                [
                    row["candidate"], row["suite"], HEADINGS[row["metric"]], f"{row['before']:.2f}",
                    f"{row['after']:.2f}", f"{row['difference']:+.2f}{bounds}, n = {row['n']}", p,
                ]
            )  # fmt: skip
    return lines
