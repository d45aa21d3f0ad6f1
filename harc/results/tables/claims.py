"""The claims table: words, source, declared test, outcome, verdict; failed claims as loud as the rest."""

import math
from collections.abc import Sequence
from pathlib import Path

from harc.results.claim_metrics import METRICS, Evidence, ResultsView
from harc.results.claims import (VERDICTS, Claim, Finding, decide_claim, evaluate_claims, hash_ledger, load_claims)
from harc.results.latex import (MISSING, escape_latex, format_interval, format_p, format_rate, format_signed, make_breakable)
from harc.results.tables.layout import Table
from harc.results.vocabulary import POOLED, name_backbone

COLUMNS = (
    "claim",
    "origin",
    "words",
    "source",
    "metric",
    "arguments",
    "comparison",
    "threshold",
    "correction",
    "backbone",
    "estimate",
    "low",
    "high",
    "n",
    "unit",
    "seeds",
    "p_for",
    "p_against",
    "verdict",
    "overall",
    "ledger_sha256",
)
MARKS = {VERDICTS[0]: "\\textbf{supported}", VERDICTS[1]: "\\textbf{not supported}"}
ORIGINS = {
    "paper": "Claims of the paper",
    "audit": "Claims of the independent audit",
    "project": "Declared by this project",
}


def evidence_bounds(evidence: Evidence | None, confidence: float) -> tuple[float | None, float | None]:
    """Interval of an estimate, or (None, None) where the profile gives no measure of chance."""
    if evidence is None or not evidence.standard_error:
        return None, None
    from scipy.stats import t

    half = float(t.ppf(0.5 + confidence / 2, evidence.degrees)) * evidence.standard_error
    return evidence.estimate - half, evidence.estimate + half


def _row(claim: Claim, finding: Finding, overall: str, ledger: str, confidence: float) -> dict:
    evidence, test = finding.evidence, claim.test
    low, high = evidence_bounds(evidence, confidence)
    row = {
        "claim": claim.id,
        "origin": claim.origin,
        "words": claim.words,
        "source": claim.source,
        "metric": test.metric,
        "arguments": "; ".join(f"{name}={value}" for name, value in sorted(test.arguments.items())),
        "comparison": test.comparison,
        "threshold": test.threshold,
        "correction": test.correction,
        "backbone": finding.backbone,
        "low": low,
        "high": high,
        "p_for": finding.p_for,
        "p_against": finding.p_against,
        "verdict": finding.verdict,
        "overall": overall,
        "ledger_sha256": ledger,
    }
    if evidence is not None:
        row |= {
            "estimate": evidence.estimate,
            "n": evidence.n,
            "unit": evidence.unit,
            "seeds": evidence.seeds,
        }
    return row


def _describe_test(claim: Claim) -> str:
    test = claim.test
    arguments = ", ".join(str(test.arguments[name]) for name in METRICS[test.metric].arguments)
    sign = "<" if test.comparison == "below" else ">"
    called = make_breakable(escape_latex(f"{test.metric}({arguments})" if arguments else test.metric))
    return f"{called} $ {sign} {format_rate(test.threshold)}$"


def _describe_finding(finding: Finding, confidence: float) -> str:
    name = escape_latex(name_backbone(finding.backbone))
    if finding.evidence is None:
        return f"{name}: {MISSING}"
    low, high = evidence_bounds(finding.evidence, confidence)
    seeds = finding.evidence.seeds
    unit = finding.evidence.unit if finding.evidence.n != 1 else finding.evidence.unit.removesuffix("s")
    word = "run" if finding.backbone == POOLED else "seed"
    counted = f"n = {finding.evidence.n} {unit}, {seeds} {word}{'s' if seeds != 1 else ''}"
    shown = f"{name}: {format_signed(finding.evidence.estimate)} {format_interval(low, high)}"
    if finding.p_for is not None:
        side = "" if finding.p_for <= (finding.p_against or 0) else " against"
        shown += f", {format_p(min(finding.p_for, finding.p_against or math.inf))}{side}"
    verdict = f": {finding.verdict}" if finding.backbone == POOLED else ""
    return f"{shown} ({escape_latex(counted)}){verdict}"


def _body(claims: Sequence[Claim], findings: Sequence[Finding], confidence: float) -> list[str]:
    body: list[str] = []
    for origin, title in ORIGINS.items():
        chosen = [claim for claim in claims if claim.origin == origin]
        if chosen:
            body.append(f"\\multicolumn{{4}}{{@{{}}l}}{{\\emph{{{title}}}}} \\\\*")
        for claim in chosen:
            own = [finding for finding in findings if finding.claim == claim.id]
            overall = decide_claim(own)
            shown = " \\newline ".join(_describe_finding(finding, confidence) for finding in own) or MISSING
            words = (
                f"{escape_latex(claim.words)} {{\\scriptsize [{make_breakable(escape_latex(claim.source))}]}}"
            )
            cells = [words, f"{{\\scriptsize {_describe_test(claim)}}}", f"{{\\scriptsize {shown}}}"]
            body.append(" & ".join([*cells, MARKS.get(overall, overall)]) + " \\\\[2pt]")
    return body


def build_table(claims_file: Path, view: ResultsView) -> Table:
    """The ledger with its verdicts.

    Raises:
        ConfigError: if the ledger is not valid.
    """
    claims, confidence = load_claims(claims_file), view.confidence
    findings = evaluate_claims(claims, view)
    ledger = hash_ledger(claims_file)
    rows = []
    for claim in claims:
        own = [finding for finding in findings if finding.claim == claim.id]
        overall = decide_claim(own)
        if not own:
            own = [Finding(claim=claim.id, backbone="none", verdict=overall, evidence=None)]
        rows += [_row(claim, finding, overall, ledger, confidence) for finding in own]
    ragged = ">{\\raggedright\\arraybackslash}"
    return Table(
        "claims",
        COLUMNS,
        rows,
        "@{}" + "".join(f"{ragged}p{{{width}\\textwidth}}" for width in (0.34, 0.2, 0.27, 0.11)) + "@{}",
        ["claim [source] & declared test & outcome & verdict"],
        _body(claims, findings, confidence),
        [
            f"{100 * confidence:g}\\% intervals; $p$ one-sided, Holm-adjusted within origin and backbone. "
            f"SHA-256 of the ledger file: {{\\ttfamily {ledger[:32]}\\allowbreak {ledger[32:]}}}."
        ],
        long=True,
    )
