"""What models answer after fine-tuning on harmful answers: reading it, and rates by number of examples."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from harc.core.artifacts import Layout
from harc.core.csv_files import read_csv_rows
from harc.core.errors import DataError
from harc.judges.base import counts_as
from harc.results.outcomes import Outcome, make_outcome, merge_units, select_suites, share_states
from harc.results.vocabulary import OVER_REFUSAL
from harc.stats.statistics import wilson_interval
from harc.suites.records import is_blank

REQUIRED = ("examples", "suite", "id", "label")
ByExamples = dict[int, list[Outcome]]


class Point(NamedTuple):
    """A rate after fine-tuning on some number of examples, its Wilson interval, prompts, and shares of SHARES."""

    examples: int
    rate: float
    low: float
    high: float
    n: int
    garbled: float = 0.0
    blocked: float = 0.0
    unjudged: float = 0.0
    cut: float = 0.0
    empty: float = 0.0


def list_finetuning_files(
    results_root: Path, backbones: Sequence[str], methods: Sequence[str], seeds: Sequence[int]
) -> list[Path]:
    """Answers of the given models."""
    layout = Layout(results_root)
    return [layout.finetuning(b, m, s) / "answers.csv" for b in backbones for m in methods for s in seeds]


def read_finetuning(results_root: Path, backbone: str, method: str, seed: int) -> ByExamples:
    """Outcomes of one model by number of examples; empty where the profile does not fine-tune it.

    Raises:
        DataError: if a column is missing.
    """
    path = Layout(results_root).finetuning(backbone, method, seed) / "answers.csv"
    if not path.is_file():
        return {}
    columns, rows = read_csv_rows(path)
    missing = [name for name in REQUIRED if name not in columns]
    if missing:
        raise DataError(
            str(path),
            expected=f"the columns {', '.join(REQUIRED)}",
            found=f"no {missing[0]}",
            fix="run the fine-tuning of this method again",
        )
    found: dict[int, list[Outcome]] = {}
    for row in rows:
        answer = {**row, "empty": "1" if is_blank(row.get("response", "-")) else ""}
        found.setdefault(int(row["examples"]), []).append(make_outcome(answer))
    return {examples: merge_units(found[examples]) for examples in sorted(found)}


def count_hits(suite: str, outcomes: Sequence[Outcome]) -> tuple[int, int]:
    """(hits, prompts) of a suite: refusals of safe prompts, elsewhere answers, also to plain harmful requests."""
    counted = "refused" if suite in OVER_REFUSAL else "correct"
    own = select_suites(outcomes, [suite])
    return sum(counts_as(outcome.label, counted) for outcome in own), len(own)


def trace_rates(answers: ByExamples, suite: str, confidence: float) -> list[Point]:
    """The suite's rate at every number of examples."""
    points = []
    for examples, outcomes in answers.items():
        hits, n = count_hits(suite, outcomes)
        if n:
            own = [outcome for outcome in outcomes if outcome.suite == suite]
            points.append(Point(examples, *wilson_interval(hits, n, confidence), n, *share_states(own)))
    return points
