"""The claims ledger: declared tests in, computed verdicts out."""

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harc.core.errors import ArtifactError, ConfigError
from harc.core.files import sha256_file
from harc.core.untrusted import escape_lines
from harc.core.yaml_text import YamlError, parse_yaml
from harc.results.claim_metrics import METRICS
from harc.results.evidence import Evidence, ResultsView, pool_evidence
from harc.results.printer import read_table
from harc.results.vocabulary import ALL_FAMILIES, POOLED
from harc.stats.significance import holm, one_sided_p

LEVEL = 0.05
SUPPORTED, FAILED, OPEN, UNTESTED = "supported", "not supported", "inconclusive", "not tested in this profile"
VERDICTS = (SUPPORTED, FAILED, OPEN, UNTESTED)


class ClaimTest(BaseModel):
    """How a claim is decided."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    metric: str
    arguments: dict[str, str | int | float]
    comparison: Literal["below", "above"]
    threshold: float
    correction: Literal["holm", "none"]


class Claim(BaseModel):
    """One claim with its source and its declared test."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    id: str = Field(pattern=r"^[a-z0-9-]+$")
    origin: Literal["paper", "audit", "project"] = Field(alias="from")
    source: str = Field(min_length=1)
    words: str = Field(min_length=1)
    test: ClaimTest
    families: tuple[str, ...] = ()


class Finding(BaseModel):
    """What one claim's test gave on one backbone."""

    model_config = ConfigDict(frozen=True)
    claim: str
    backbone: str
    verdict: str
    evidence: Evidence | None
    p_for: float | None = None
    p_against: float | None = None


def _name(problem: Exception) -> str:
    """What a text that cannot be read holds; other troubles by their kind."""
    return str(problem) if isinstance(problem, YamlError) else type(problem).__name__


def _fail(path: Path, where: str, expected: str, found: str) -> ConfigError:
    return ConfigError(f"{path}: {where}", expected=expected, found=found, fix="mend the claims file")


def load_claims(path: Path) -> list[Claim]:
    """Read and check the ledger.

    Raises:
        ConfigError: naming the claim, for an unknown metric or argument, an unknown key, or a repeated id.
    """
    try:
        entries = parse_yaml(path.read_text(encoding="utf-8"))["claims"]
        assert isinstance(entries, list)
    except (OSError, ValueError, KeyError, TypeError, AssertionError) as problem:
        raise _fail(path, "top", "YAML with a list `claims`", _name(problem)) from None
    claims: list[Claim] = []
    for number, entry in enumerate(entries, start=1):
        name = entry.get("id", f"entry {number}") if isinstance(entry, Mapping) else f"entry {number}"
        try:
            claim = Claim.model_validate(entry)
        except ValidationError as problem:
            first = problem.errors()[0]
            field = ".".join(str(part) for part in first["loc"])
            raise _fail(path, f"claim {name}", f"a valid `{field}`", first["msg"]) from None
        _check_test(path, claim)
        if any(other.id == claim.id for other in claims):
            raise _fail(path, f"claim {name}", "ids that differ", "the same id twice")
        claims.append(claim)
    return claims


def _check_test(path: Path, claim: Claim) -> None:
    metric = METRICS.get(claim.test.metric)
    if metric is None:
        known = ", ".join(sorted(METRICS))
        raise _fail(path, f"claim {claim.id}", f"a metric among {known}", f"`{claim.test.metric}`")
    wanted, given = set(metric.arguments), set(claim.test.arguments)
    if wanted != given:
        raise _fail(
            path,
            f"claim {claim.id}",
            f"the arguments {', '.join(sorted(wanted)) or 'none'} for {claim.test.metric}",
            ", ".join(sorted(given)) or "none",
        )


def _test_sides(test: ClaimTest, evidence: Evidence | None) -> tuple[float | None, float | None]:
    """One-sided p values for and against the claim (t statistic of the distance from the threshold), if tested."""
    if evidence is None or not evidence.standard_error:
        return None, None
    distance = (evidence.estimate - test.threshold) / evidence.standard_error
    if test.comparison == "below":
        distance = -distance
    return one_sided_p(distance, evidence.degrees), one_sided_p(-distance, evidence.degrees)


def _adjust(values: Sequence[float | None], families: Sequence[Hashable | None]) -> list[float | None]:
    """Holm's adjustment within each family; None stands alone."""
    adjusted = list(values)
    for family in set(families) - {None}:
        chosen = [index for index, name in enumerate(families) if name == family]
        for index, value in zip(chosen, holm([values[index] for index in chosen]), strict=True):
            adjusted[index] = value
    return adjusted


def _list_backbones(claim: Claim, view: ResultsView) -> list[str]:
    if METRICS[claim.test.metric].of_families:
        return [ALL_FAMILIES]
    families = [family.lower() for family in claim.families]
    return [name for name in view.backbones if not families or any(f in name.lower() for f in families)]


def _pool_runs(claim: Claim, backbones: Sequence[str], views: Sequence[ResultsView]) -> Evidence | None:
    """The quantity over all runs (backbone and seed), each one draw; None below three runs."""
    measure = METRICS[claim.test.metric].measure
    found = [measure(view, backbone, **claim.test.arguments) for backbone in backbones for view in views]
    runs = [evidence for evidence in found if evidence is not None]
    if len(runs) < 3:
        return None
    errors = [run.standard_error for run in runs]
    return pool_evidence([run.estimate for run in runs], errors, runs[0].n, runs[0].unit)


def _collect_cases(claims: Sequence[Claim], view: ResultsView) -> list[tuple[Claim, str, Evidence | None]]:
    """Every claim on every backbone; with several of both, also over all runs."""
    views = view.split_seeds() if len(view.seeds) > 1 else []
    cases = []
    for claim in claims:
        backbones = _list_backbones(claim, view)
        measure = METRICS[claim.test.metric].measure
        cases += [(claim, name, measure(view, name, **claim.test.arguments)) for name in backbones]
        if views and len(backbones) > 1:
            cases.append((claim, POOLED, _pool_runs(claim, backbones, views)))
    return cases


def evaluate_claims(claims: Sequence[Claim], view: ResultsView) -> list[Finding]:
    """One finding per claim and backbone it applies to, and one over all runs where there are several.

    Holm's families are the tests marked `holm` of one origin on one backbone: backbones are replicates, and a
    claim needs all of them. The finding over all runs stands beside the declared verdict and does not enter it.
    """
    cases = _collect_cases(claims, view)
    families = [
        (claim.origin, backbone) if claim.test.correction == "holm" else None for claim, backbone, _ in cases
    ]
    sides = zip(*(_test_sides(claim.test, evidence) for claim, _, evidence in cases), strict=True)
    adjusted = zip(*(_adjust(side, families) for side in sides), strict=True)
    return [
        Finding(
            claim=claim.id,
            backbone=backbone,
            verdict=_judge(evidence, *values),
            evidence=evidence,
            p_for=values[0],
            p_against=values[1],
        )
        for (claim, backbone, evidence), values in zip(cases, adjusted, strict=True)
    ]


def decide_claim(findings: Sequence[Finding]) -> str:
    """The declared verdict of one claim: from its backbones, without the finding over all runs."""
    return combine_verdicts([finding.verdict for finding in findings if finding.backbone != POOLED])


def _judge(evidence: Evidence | None, p_for: float | None, p_against: float | None) -> str:
    if evidence is None:
        return UNTESTED
    if p_for is None or p_against is None:
        return OPEN
    if p_for < LEVEL:
        return SUPPORTED
    return FAILED if p_against < LEVEL else OPEN


def combine_verdicts(verdicts: Sequence[str]) -> str:
    """The verdict over backbones: failed on any is failed, supported needs every tested one."""
    tested = [verdict for verdict in verdicts if verdict != UNTESTED]
    if not tested:
        return UNTESTED
    if FAILED in tested:
        return FAILED
    return SUPPORTED if set(tested) == {SUPPORTED} else OPEN


def hash_ledger(path: Path) -> str:
    """SHA-256 of the ledger file, printed beside its verdicts so that a changed test shows."""
    return sha256_file(path)


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
