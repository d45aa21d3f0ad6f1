"""Paired comparison of each method with the base model on the same prompts, corrected for multiplicity."""

from collections.abc import Mapping, Sequence

from harc.config.evaluation import EvaluationSettings
from harc.errors import DataError
from harc.evaluation.bootstrap import paired_difference_interval
from harc.evaluation.families import main_metric
from harc.evaluation.score import MEANS, bootstrap_of, collect_units, make_rate_row
from harc.evaluation.statistics import holm, mcnemar_exact

COMPARISON_COLUMNS = (
    "method", "suite", "metric", "n", "rate_base", "rate_method", "difference", "ci_low", "ci_high",
    "only_base", "only_method", "p_mcnemar", "p_holm", "mde",
)  # fmt: skip


def check_pairs(base: Sequence[dict], method: Sequence[dict], name: str) -> None:
    """Refuse outcomes that are not answers to the same prompts.

    Raises:
        DataError: naming the first prompt that only one side has.
    """
    keys = [{(row["suite"], row["id"]) for row in rows} for rows in (base, method)]
    lone = sorted(keys[0] ^ keys[1])
    if lone:
        suite, identifier = lone[0]
        raise DataError(
            f"outcomes of {name}",
            expected="the same prompts as the base model's",
            found=f"{len(lone)} prompts on one side only, as {identifier} of {suite}",
            fix="evaluate both on the same data file and suites",
        )


def compare_suite(
    name: str,
    suites: Sequence[str],
    base: Sequence[dict],
    method: Sequence[dict],
    settings: EvaluationSettings,
) -> dict:
    """Paired difference (method - base) of one suite, or of a mean over several suites.

    McNemar's test is given for single suites only: over several, one goal would enter more than once.
    """
    judge, metric = settings.judges[0], main_metric(suites[0])
    before = collect_units(base, suites, judge)
    after = collect_units(method, suites, judge)
    strata, goals, first = zip(*before, strict=True)
    second = [hit for _, _, hit in after]
    difference, low, high = paired_difference_interval(first, second, strata, goals, **bootstrap_of(settings))
    rates = [_mean_rate(strata, hits) for hits in (first, second)]
    row = {
        "suite": name, "metric": metric, "n": len(first), "rate_base": rates[0], "rate_method": rates[1],
        "difference": difference, "ci_low": low, "ci_high": high,
    }  # fmt: skip
    if len(suites) == 1:
        only_base = sum(a > b for a, b in zip(first, second, strict=True))
        only_method = sum(a < b for a, b in zip(first, second, strict=True))
        row |= {
            "only_base": only_base, "only_method": only_method,
            "p_mcnemar": mcnemar_exact(only_base, only_method),
            "mde": make_rate_row(name, metric, "", first, settings)["mde"],
        }  # fmt: skip
    return row


def _mean_rate(strata: Sequence[str], hits: Sequence[int]) -> float:
    families = dict.fromkeys(strata)
    return sum(
        sum(hit for stratum, hit in zip(strata, hits, strict=True) if stratum == family)
        / strata.count(family)
        for family in families
    ) / len(families)


def compare_methods(
    base: Sequence[dict], method: Sequence[dict], settings: EvaluationSettings, name: str = "method"
) -> list[dict]:
    """Main metric of every suite and of every mean: both rates, paired difference, interval, McNemar's p.

    Args:
        base: outcomes of the base model, as `load_outcomes` or `read_csv` give them.
        method: outcomes of the method on the same prompts.
        settings: suites, judges, bootstrap.
        name: the method, for the rows and for errors.

    Raises:
        DataError: if the two are not answers to the same prompts.
    """
    check_pairs(base, method, name)
    order = {(row["suite"], row["id"]): place for place, row in enumerate(base)}
    method = sorted(method, key=lambda row: order[row["suite"], row["id"]])
    rows = [compare_suite(suite, (suite,), base, method, settings) for suite in settings.suites]
    rows += [
        compare_suite(mean, family, base, method, settings)
        for mean, _, family in MEANS
        if all(suite in settings.suites for suite in family)
    ]
    return [{"method": name} | row for row in rows]


def compare_all(
    base: Sequence[dict], methods: Mapping[str, Sequence[dict]], settings: EvaluationSettings
) -> list[dict]:
    """`compare_methods` for each method, with Holm's correction across methods within each suite."""
    rows = [
        row for name, outcomes in methods.items() for row in compare_methods(base, outcomes, settings, name)
    ]
    for suite in dict.fromkeys(row["suite"] for row in rows):
        tested = [row for row in rows if row["suite"] == suite and "p_mcnemar" in row]
        for row, adjusted in zip(tested, holm([row["p_mcnemar"] for row in tested]), strict=True):
            row["p_holm"] = adjusted
    return rows
