"""Scores of a `harc evaluate` run on an adapter, as tables of its card."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harc.core.csv_files import read_csv
from harc.core.errors import ConfigError, DataError
from harc.core.files import read_json
from harc.evaluation.adapters.text import escape_text, make_table
from harc.evaluation.own.answers import RUN_FILE
from harc.evaluation.own.benchmarks import FOLDER
from harc.evaluation.own.scores import SCORE_COLUMNS, SHARES, WHOLE, format_rate, name_category
from harc.model.handle import hash_weights

MOST_ROWS = 200  # of a table in a card
NUMBERS = ("n", "successes", "rate", "ci_low", "ci_high", "mde", "prompts", "unjudged", "stderr")


def read_run(run: Path, adapter: Path) -> dict[str, Any]:
    """run.json of a run on this adapter.

    Raises:
        ConfigError: if it is of another one, of a base alone, or of a served model.
        DataError: if there is none.
    """
    found = read_json(run / RUN_FILE)
    named = found.get("adapter") if isinstance(found, dict) else None
    digest = named.get("sha256") if isinstance(named, dict) else None
    if digest != hash_weights(adapter):
        source = named.get("source") if isinstance(named, dict) else None
        raise ConfigError(
            f"--run {run}",
            expected=f"a run of the adapter in {adapter}, told by its bytes",
            found=f"one of {source}, with other bytes" if source else "one without an adapter's folder",
            fix="run `harc evaluate --adapter` with this folder",
        )
    return found


def describe_scores(found: Mapping[str, Any], run: Path) -> list[str]:
    """Rates with 95% intervals and n, by suite and judge; benchmarks."""
    rows = read_scores(run / "scores.csv", SCORE_COLUMNS)
    lines = []
    if rows:
        judges: dict[tuple[Any, ...], Any] = {}
        for row in rows:
            judges.setdefault((row["suite"], row["kind"], row["metric"]), row["judge"])
        shown = [
            row for row in rows
            if row["level"] == WHOLE or row["judge"] == judges[row["suite"], row["kind"], row["metric"]]
        ]  # fmt: skip
        heads = ["suite", "category", "prompts", "what is counted", "judge", "rate [95% interval]"]
        table = [
            [row["suite"], name_category(row["level"], row["category"] or ""), row["kind"], row["metric"], row["judge"],
             _format(row)]
            for row in shown[:MOST_ROWS]
        ]  # fmt: skip
        lines += [make_table(heads, table), ""]
        if len(shown) > MOST_ROWS:
            lines += [f"{len(shown) - MOST_ROWS} further rows are in the run's scores.csv.", ""]
        lines += [
            "Shares of answers that are no answers, over all prompts of a suite:",
            "",
            _share_table(rows),
            "",
        ]
    if benchmarks := read_scores(run / FOLDER / "scores.csv", ("suite", "metric", "n", "rate")):
        table = [[row["suite"], row["metric"], row["n"], _format_benchmark(row)] for row in benchmarks]
        lines += [make_table(["benchmark", "metric", "n", "score [95% interval]"], table), ""]
    if not lines:
        return ["None: the run holds no scores."]
    decoding = found.get("decoding")
    said = (
        ", ".join(f"{name} {value}" for name, value in decoding.items())
        if isinstance(decoding, dict)
        else "unknown"
    )
    return [
        *lines,
        f"Answers are greedy; decoding: {escape_text(said)}. Judges: docs/evaluation.md of harc-reproduction.",
    ]


def read_scores(path: Path, columns: Sequence[str]) -> list[dict[str, Any]]:
    """Rows of a run's table; none where there is no file.

    Raises:
        DataError: for a table that no run wrote: text where a number stands, or a rate without its interval.
    """
    if not path.is_file():
        return []
    rows = read_csv(path, columns)
    for number, row in enumerate(rows, start=2):
        numbers = [name for name in row if name in NUMBERS or name.startswith("share_")]
        wrong = [name for name in numbers if not isinstance(row[name], int | float | None)]
        if row["rate"] is not None:
            wrong += [name for name in ("n", "ci_low", "ci_high") if row.get(name) is None]
        if wrong:
            raise DataError(
                f"{path}: row {number}",
                expected="a number in every column of numbers",
                found=f"{row.get(wrong[0])!r} in {wrong[0]}",
                fix="give the folder that `harc evaluate` wrote",
            )
    return rows


def _format(row: Mapping[str, Any]) -> str:
    """A rate as `harc evaluate` prints it, marked where too many answers are none."""
    if not row["n"] or row["rate"] is None:
        return "none"
    counts = {
        share.removeprefix("share_"): round((row[share] or 0) * (row["prompts"] or 0)) for share in SHARES
    }
    return format_rate({**row, "counts": counts, "prompts": row["prompts"] or 0})


def _format_benchmark(row: Mapping[str, Any]) -> str:
    if row.get("rate") is None:
        return "none"
    interval = [row.get("ci_low"), row.get("ci_high")]
    return f"{row['rate']:.3f}" + ("" if None in interval else f" [{interval[0]:.3f}, {interval[1]:.3f}]")


def _share_table(rows: Sequence[Mapping[str, Any]]) -> str:
    seen: dict[tuple[Any, Any], Mapping[str, Any]] = {}
    for row in rows:
        if row["level"] == WHOLE:
            seen.setdefault((row["suite"], row["kind"]), row)
    heads = [
        "suite",
        "prompts",
        "asked",
        *(share.removeprefix("share_").replace("_", " ") for share in SHARES),
    ]
    table = [
        [suite, kind, row["prompts"], *(f"{row[share] or 0:.1%}" for share in SHARES)]
        for (suite, kind), row in seen.items()
    ]
    return make_table(heads, table)
