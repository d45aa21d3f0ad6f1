"""Verdicts on the claims of the ledger: declared tests in, what the results say of them out."""

import math
from collections.abc import Hashable, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from harc.core.errors import ArtifactError
from harc.core.untrusted import escape_lines
from harc.results.claim_metrics import METRICS
from harc.results.evidence import Evidence, ResultsView, pool_evidence
from harc.results.ledger import Claim
from harc.results.printer import read_table
from harc.results.rates import Draw
from harc.results.vocabulary import ALL_FAMILIES, POOLED
from harc.stats.significance import detectable_effect, holm

LEVEL = 0.05
POWER = 0.8
SUPPORTED, FAILED, EQUIVALENT, OPEN, UNTESTABLE, UNTESTED = (
    "supported", "not supported", "equivalent to nothing within the margin", "inconclusive", "not testable",
    "not tested in this profile",
)  # fmt: skip
VERDICTS = (SUPPORTED, FAILED, EQUIVALENT, OPEN, UNTESTABLE, UNTESTED)
ONE_SEED, NEVER = "one training seed", "the event occurs in neither or in all"


class Finding(BaseModel):
    """What one claim's test gave on one backbone.

    Attributes:
        reason: why there is no verdict, where there is none.
        p: two-sided, of the distance from the threshold.
        p_adjusted: by Holm over the claims of the question on the backbone.
        p_equivalence: of lying within the margin, adjusted likewise.
        detectable: smallest effect that the test would show with power POWER at the level LEVEL over the number of
            tests of its family; None where no effect in range would be seen.
    """

    model_config = ConfigDict(frozen=True)
    claim: str
    backbone: str
    verdict: str
    evidence: Evidence | None
    reason: str = ""
    p: float | None = None
    p_adjusted: float | None = None
    p_equivalence: float | None = None
    detectable: float | None = None


Case = tuple[Claim, str, Evidence | None]


def _list_backbones(claim: Claim, view: ResultsView) -> list[str]:
    if METRICS[claim.test.metric].of_families:
        return [ALL_FAMILIES]
    families = [family.lower() for family in claim.families]
    return [name for name in view.backbones if not families or any(f in name.lower() for f in families)]


def _pool_runs(claim: Claim, backbones: Sequence[str], view: ResultsView) -> Evidence | None:
    """The quantity over all backbones and seeds: a seed with all its backbones is one draw, or each backbone is.

    None where fewer than two draws are complete.
    """
    metric, given = METRICS[claim.test.metric], claim.test.arguments
    if metric.of_outcomes:
        return metric.measure(view.narrow(backbones, view.seeds), POOLED, **given)
    by_seed = [
        [metric.measure(alone, backbone, **given) for backbone in backbones] for alone in view.split_seeds()
    ]
    draws = by_seed if view.draw == "seed" else [[found] for row in by_seed for found in row]
    complete = [found for row in draws if len(found := [e for e in row if e is not None]) == len(row)]
    if len(complete) < 2:
        return None
    means = [sum(e.estimate for e in row) / len(row) for row in complete]
    errors = [math.hypot(*(e.standard_error for e in row)) / len(row) for row in complete]
    return pool_evidence(means, errors, complete[0][0].n, complete[0][0].unit)


def collect_cases(claims: Sequence[Claim], view: ResultsView) -> list[Case]:
    """Every claim on every backbone; with several of both backbones and seeds, also over all."""
    cases: list[Case] = []
    for claim in claims:
        backbones = _list_backbones(claim, view)
        measure = METRICS[claim.test.metric].measure
        cases += [(claim, name, measure(view, name, **claim.test.arguments)) for name in backbones]
        if len(view.seeds) > 1 and len(backbones) > 1:
            cases.append((claim, POOLED, _pool_runs(claim, backbones, view)))
    return cases


def _explain_untestable(claim: Claim, backbone: str, evidence: Evidence, view: ResultsView) -> str:
    """Why no verdict can come from evidence; empty where one can."""
    drawn = claim.is_trained or backbone not in view.fixed
    if evidence.seeds == 1 and drawn and not METRICS[claim.test.metric].of_families:
        return ONE_SEED
    return NEVER if evidence.never else ""


def _adjust(values: Sequence[float | None], families: Sequence[Hashable | None]) -> list[float | None]:
    """Holm's adjustment within each family; None stands alone."""
    adjusted = list(values)
    for family in set(families) - {None}:
        chosen = [index for index, name in enumerate(families) if name == family]
        for index, value in zip(chosen, holm([values[index] for index in chosen]), strict=True):
            adjusted[index] = value
    return adjusted


def evaluate_claims(claims: Sequence[Claim], view: ResultsView) -> list[Finding]:
    """One finding per claim and backbone it applies to, and one over all backbones and seeds where there are several.

    A Holm family is the tests of one question on one backbone that are marked `holm`; equivalence is adjusted in the
    same families apart, since of one contrast only one of the two hypotheses can be true.
    """
    cases = collect_cases(claims, view)
    reasons = [
        "" if evidence is None else _explain_untestable(claim, backbone, evidence, view)
        for claim, backbone, evidence in cases
    ]
    pooled = [
        None if evidence is None or reason or not evidence.standard_error else evidence.as_pooled()
        for (_, _, evidence), reason in zip(cases, reasons, strict=True)
    ]
    families = [
        (claim.question, backbone) if claim.test.correction == "holm" else None
        for claim, backbone, _ in cases
    ]
    p = [found and found.test(case[0].test.threshold) for found, case in zip(pooled, cases, strict=True)]
    within = [
        None if found is None or case[0].test.margin is None else found.test_equivalence(case[0].test.margin)
        for found, case in zip(pooled, cases, strict=True)
    ]
    tests = [
        sum(1 for f, v in zip(families, p, strict=True) if f == own and v is not None) for own in families
    ]
    found = zip(
        cases, reasons, families, tests, p, _adjust(p, families), _adjust(within, families), strict=True
    )
    return [
        _find(case, reason, size if family else 1, *values) for case, reason, family, size, *values in found
    ]


def _find(
    case: Case, reason: str, tests: int, p: float | None, adjusted: float | None, within: float | None
) -> Finding:
    claim, backbone, evidence = case
    detectable = None
    if p is not None and evidence is not None:
        reach = detectable_effect(
            evidence.standard_error, evidence.degrees, confidence=1 - LEVEL / tests, power=POWER
        )
        detectable = reach if reach <= 1 else None
    return Finding(
        claim=claim.id,
        backbone=backbone,
        verdict=_judge(claim, evidence, reason, adjusted, within),
        evidence=evidence,
        reason=reason,
        p=p,
        p_adjusted=adjusted,
        p_equivalence=within,
        detectable=detectable,
    )


def _judge(
    claim: Claim, evidence: Evidence | None, reason: str, p: float | None, within: float | None
) -> str:
    if evidence is None:
        return UNTESTED
    if reason:
        return UNTESTABLE
    if p is not None and p < LEVEL:
        below = evidence.estimate < claim.test.threshold
        return SUPPORTED if below == (claim.test.comparison == "below") else FAILED
    return EQUIVALENT if within is not None and within < LEVEL else OPEN


def decide_claim(findings: Sequence[Finding], draw: Draw = "seed") -> str:
    """The verdict of one claim: from each of its backbones, or from all together where backbones are what is drawn."""
    together = [finding.verdict for finding in findings if finding.backbone == POOLED]
    if together and draw == "backbone":
        return together[0]
    return combine_verdicts([finding.verdict for finding in findings if finding.backbone != POOLED])


def combine_verdicts(verdicts: Sequence[str]) -> str:
    """The verdict over backbones: failed on any is failed; supported, or equivalent, needs every tested one."""
    tested = [verdict for verdict in verdicts if verdict not in (UNTESTED, UNTESTABLE)]
    if not tested:
        return UNTESTABLE if UNTESTABLE in verdicts else UNTESTED
    if FAILED in tested:
        return FAILED
    return tested[0] if len(set(tested)) == 1 else OPEN


COLUMNS = ("claim", "overall", "origin", "words", "ledger_sha256")


def format_ledger(path: Path, fix: str) -> str:
    """One line per claim in the ledger's order, whatever its verdict, with counts and the ledger's hash.

    Args:
        path: claims.csv among the tables of a run.
        fix: what to do where there is none.

    Raises:
        ArtifactError: if no verdicts have been computed.
    """
    rows = {row.get("claim", ""): row for row in read_table(path)}
    if not rows:
        raise ArtifactError(str(path), expected="computed verdicts", found="none", fix=fix)
    lacking = [name for name in COLUMNS if any(row.get(name) is None for row in rows.values())]
    if lacking:
        raise ArtifactError(
            str(path), expected=f"the columns {', '.join(COLUMNS)}", found=f"no {lacking[0]}", fix=fix
        )
    width = max(map(len, VERDICTS))
    lines = [
        f"{row['overall']:{width}}  {claim} ({row['origin']}): {row['words']}" for claim, row in rows.items()
    ]
    found = [row["overall"] for row in rows.values()]
    counts = ", ".join(f"{found.count(verdict)} {verdict}" for verdict in VERDICTS)
    ledger = next(iter(rows.values()))["ledger_sha256"]
    return escape_lines("\n".join([*lines, f"{len(rows)} claims: {counts}", f"ledger sha256 {ledger}"]))
