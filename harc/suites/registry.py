"""Suites and attacks, one file each: a file of this folder with `SUITES = (Suite(...), ...)` is all that declares them.

Beside the declaration the file may hold `run(target, rows, examiner)`, where asking the rows' turns one after the other
is not enough. Such files import nothing heavy at the top: names of suites are needed wherever settings are read.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from harc.core.registry import gather, pick
from harc.judges.base import Label
from harc.suites.base import FAMILIES, MEANS, Mean, Suite

__all__ = [
    "MEANS", "RATES", "SUITES", "Suite", "counted_label", "is_published_mean", "list_members", "list_suites",
    "main_metric", "run_suite",
]  # fmt: skip


def _find_suites() -> list[Suite]:
    """What the files declare, family by family."""
    found = [
        replace(suite, module=module)
        for module, declared in gather(__package__, "SUITES")
        for suite in declared
    ]
    families = list(FAMILIES)
    return sorted(found, key=lambda suite: (families.index(suite.family), suite.order))


SUITES: dict[str, Suite] = {suite.name: suite for suite in _find_suites()}
"""Every suite by name, family by family."""
RATES: tuple[Suite | Mean, ...] = (*SUITES.values(), *MEANS)
"""Whatever has a rate of its own."""


def list_suites(*families: str) -> tuple[str, ...]:
    """Names of the suites of some families, in order."""
    return tuple(name for family in families for name, suite in SUITES.items() if suite.family == family)


DIRECT_SUITES = list_suites("direct")
ATTACK_SUITES = list_suites("attack")
EXTRA_ATTACK_SUITES = list_suites("extra_attack")
DECODING_SUITES = list_suites("decoding")
OVER_REFUSAL_SUITES = list_suites("over_refusal")
CONTRAST_SUITES = list_suites("contrast")
BENIGN_SUITES = list_suites("benign")
HELPFULNESS_SUITES = list_suites("helpfulness")
METHOD_SUITES = DIRECT_SUITES + ATTACK_SUITES + OVER_REFUSAL_SUITES + BENIGN_SUITES + HELPFULNESS_SUITES
"""What methods are compared on, by default."""
ALL_SUITES = tuple(SUITES)
WRITTEN_SUITES = tuple(name for name, suite in SUITES.items() if suite.written)
"""Suites in which a model may write the prompts."""
HARNESS_SUITES = tuple(name for name, suite in SUITES.items() if suite.needs == "likelihoods")
"""Suites that lm-evaluation-harness runs."""
WEIGHT_SUITES = tuple(name for name, suite in SUITES.items() if suite.needs != "text")
"""Suites that a target behind a server cannot answer."""


def list_members(metric: str, mean_attacks: Sequence[str]) -> tuple[str, ...]:
    """Suites behind a metric: those of a mean, or the one that the metric is named after.

    Args:
        metric: name of a suite or of a mean.
        mean_attacks: attacks over which `mean_asr` is taken.
    """
    family = next((mean.family for mean in MEANS if mean.name == metric), None)
    if family is None:
        return (metric,)
    return tuple(mean_attacks) if family == "attack" else list_suites(family)


def is_published_mean(mean_attacks: Sequence[str]) -> bool:
    """Whether a mean over these attacks is that of the paper's main table."""
    return set(mean_attacks) == set(ATTACK_SUITES)


def main_metric(suite: str) -> str:
    """What a suite's `success` counts; `accuracy` for one that is none of ours."""
    return SUITES[suite].metric if suite in SUITES else "accuracy"


def counted_label(metric: str) -> Label:
    """The judges' label that a metric counts."""
    return "refused" if metric in ("over_refusal", "refusal") else "correct"


def run_suite(suite: str, target: Any, rows: Sequence[dict], examiner: Any) -> list[dict]:
    """Judged generation records of one suite that needs no harness.

    Args:
        suite: its name.
        target: the model under test, a `harc.suites.target.TextTarget`.
        rows: of the suite.
        examiner: who writes prompts and who judges, a `harc.suites.examiner.Examiner`.

    Raises:
        ConfigError: where a model has to write the prompts and none is named.
        ModelError: naming a prompt that the model cannot answer.
    """
    from harc.suites.direct import run as run_turns

    return pick(__package__, SUITES[suite].module, "run", run_turns)(target, rows, examiner)
