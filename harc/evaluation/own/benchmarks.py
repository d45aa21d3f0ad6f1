"""The shipped suites and the public benchmarks that a user's own prompts stand beside."""

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harc.core.errors import ConfigError
from harc.core.finished import KEPT, KeyedStore, describe_work
from harc.core.terminal import align_columns
from harc.evaluation.agents import suite as agents
from harc.evaluation.own.scores import MARK
from harc.settings.data import PublicRowSettings
from harc.settings.suites import HelpfulnessSettings
from harc.suites import registry as suites
from harc.suites.benchmarks import list_datasets
from harc.suites.records import exceeds

FOLDER = "benchmarks"
SUITES = {name: suite.about for name, suite in suites.SUITES.items() if suite.about} | {
    agents.NAME: agents.ABOUT
}
"""Names and contents; harc.data.public makes the rows, but for the embedded one."""


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
    from harc.judges.sandbox import check_sandbox

    if "humaneval" in settings.benchmarks:
        check_sandbox(settings.sandbox)
    if KeyedStore(out / FOLDER / KEPT, describe(settings)).holds_other_work:
        raise ConfigError(
            f"--out {out}",
            expected="benchmarks asked as before",
            found="another --limit, judge, sandbox, or release of harc or of a library",
            fix="name another folder; nothing in this one was touched",
        )


def describe(settings: HelpfulnessSettings) -> dict[str, Any]:
    """What finished benchmarks depend on besides model, adapter and decoding, which run.json holds."""
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
    from harc.evaluation.helpfulness import measure_helpfulness

    if needed := list_datasets(settings):
        fetch_datasets(needed, public_dir, mirror=mirror)
    store = KeyedStore(out / FOLDER / KEPT, describe(settings))
    return measure_helpfulness(target, settings, store, public_dir, out / FOLDER, seed=0)


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


def list_shipped_rows(
    names: Sequence[str], public_dir: Path, *, mirror: Path | None = None, timeout: float = 30.0
) -> dict[str, list[dict[str, Any]]]:
    """Rows of shipped suites, by suite.

    Args:
        names: keys of SUITES.
        public_dir: folder of public data; what it lacks is fetched.
        mirror: folder that stands in for the network.
        timeout: longest wait for an answer (seconds).

    Raises:
        DataError, EnvironmentProblem: if a public file cannot be got or is not the registered one.
    """
    from harc.data.fetch import fetch_datasets
    from harc.data.public import make_evaluation_rows
    from harc.data.public_sources import DATASETS, read_public_prompts

    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    if agents.NAME in rows:
        rows[agents.NAME] = agents.read_suite()
    if rows.keys() == {agents.NAME}:
        return rows
    fetch_datasets(DATASETS, public_dir, mirror=mirror, timeout=timeout)
    found = make_evaluation_rows(read_public_prompts(public_dir), PublicRowSettings())
    for row in found:
        if row["suite"] in rows:
            kind = "harmful" if row["category"] == "harmful" else "benign"
            category = row["template"].partition("/")[2] or row["template"]
            rows[row["suite"]].append(
                {**row, "kind": kind, "category": category, "place": f"{row['suite']}: {row['id']}"}
            )
    return rows


def draw_rows(rows: Sequence[dict[str, Any]], limit: int | None, seed: int = 0) -> list[dict[str, Any]]:
    """At most so many rows, drawn by the seed, in their order."""
    if limit is None or len(rows) <= limit:
        return list(rows)
    kept = sorted(random.Random(seed).sample(range(len(rows)), limit))
    return [rows[index] for index in kept]
