"""The public benchmarks beside a user's own prompts, on the model that is loaded already."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harc.core.errors import ConfigError
from harc.core.files import read_json
from harc.evaluation.own_table import MARK, align_columns
from harc.settings.suites import HelpfulnessSettings
from harc.suites.benchmarks import list_datasets
from harc.suites.records import exceeds

FOLDER = "benchmarks"


def make_benchmark_settings(
    names: Sequence[str], limit: int | None, batch_size: int, given: Mapping[str, Any]
) -> HelpfulnessSettings:
    """Settings of the named benchmarks.

    Args:
        names: keys of BENCHMARKS.
        limit: most items of each task.
        batch_size: prompts decoded together.
        given: `judge` and `sandbox`, where the user sets them.

    Raises:
        ConfigError: for mt_bench without a judge.
    """
    from harc.settings.loading import parse_settings

    if "mt_bench" in names and not given.get("judge"):
        raise ConfigError(
            "--suite mt_bench",
            expected="the chat model that grades, as endpoint in --judge-config",
            found="none",
            fix="name one; `harc evaluate --help` shows the file",
        )
    limits = {} if limit is None else {name: {"limit": limit} for name in names}
    values = {"benchmarks": tuple(names), "batch_size": batch_size, **limits, **given}
    return parse_settings(HelpfulnessSettings, values, "harc evaluate")


def check_benchmarks(settings: HelpfulnessSettings, out: Path) -> None:
    """Stop before the model is loaded if benchmarks cannot run, or the folder's were asked in another way.

    Raises:
        EnvironmentProblem: for HumanEval without a sandbox.
        ConfigError: if finished benchmarks of the folder had other settings; they are left as they are.
    """
    from harc.evaluation.helpfulness import KEY_FILE
    from harc.judges.sandbox import check_sandbox

    if "humaneval" in settings.benchmarks:
        check_sandbox(settings.sandbox)
    marker = out / FOLDER / KEY_FILE
    if marker.is_file() and read_json(marker) != describe(settings):
        raise ConfigError(
            f"--out {out}",
            expected="benchmarks asked as before",
            found="another --limit, judge, sandbox, or release of harc or of a library",
            fix="name another folder; nothing in this one was touched",
        )


def describe(settings: HelpfulnessSettings) -> dict[str, Any]:
    """What finished benchmarks depend on besides model, adapter and decoding, which run.json holds."""
    from harc.core.finished import describe_work

    asked = settings.model_dump(mode="json", exclude={"batch_size", "benchmarks"})
    return describe_work(["harc.evaluation.helpfulness:measure_helpfulness"], settings=asked)


def run_benchmarks(
    target: Any, settings: HelpfulnessSettings, out: Path, public_dir: Path, mirror: Path | None
) -> list[dict[str, Any]]:
    """Rows of benchmarks/scores.csv; finished benchmarks are not asked again.

    Raises:
        HarcError: see harc.evaluation.helpfulness.measure_helpfulness.
    """
    from harc.data.fetch import fetch_datasets
    from harc.evaluation.helpfulness import RecordStore, measure_helpfulness

    if needed := list_datasets(settings):
        fetch_datasets(needed, public_dir, mirror=mirror)
    folder = out / FOLDER
    return measure_helpfulness(
        target, settings, RecordStore(folder, describe(settings)), public_dir, folder, seed=0
    )


def format_benchmarks(rows: Sequence[Mapping[str, Any]]) -> str:
    """One line per metric."""
    lines = [["benchmark", "metric", "score"]]
    for row in rows:
        score = "none" if row.get("rate") is None else f"{row['rate']:.3f} (s.e. {row['stderr']:.3f})"
        interval = "" if row.get("rate") is None else f" [{row['ci_low']:.3f}, {row['ci_high']:.3f}]"
        unread = f", {row['unjudged']} unjudged" if row.get("unjudged") else ""
        lines.append([row["suite"], row["metric"], f"{score}{interval}, n = {row['n']}{unread}{_mark(row)}"])
    return align_columns(lines)


def _mark(row: Mapping[str, Any]) -> str:
    """Shares of answers that are none and cut ones, marked where they are too large."""
    shares = {state: row.get(f"share_{state}") or 0.0 for state in ("empty", "cut")}
    shares["unjudged"] = (row.get("unjudged") or 0) / max(row["n"] + (row.get("unjudged") or 0), 1)
    said = [f", {share:.0%} {state}" for state, share in shares.items() if share and state != "unjudged"]
    return "".join(said) + (MARK if any(exceeds(state, share, 1) for state, share in shares.items()) else "")
