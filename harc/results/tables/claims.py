"""The claims table: words, source, declared test, outcome, verdict; failed claims as loud as the rest."""

import math
from collections.abc import Sequence

from harc.results.claim_metrics import METRICS
from harc.results.claims import (
    VERDICTS,
    Claim,
    Finding,
    decide_claim,
    evaluate_claims,
    hash_ledger,
    load_claims,
)
from harc.results.evidence import Evidence
from harc.results.latex import (
    MISSING,
    escape_latex,
    format_interval,
    format_p,
    format_rate,
    format_signed,
    make_breakable,
)
from harc.results.printer import Column, Record, Table, make_frame, set_paragraphs, set_small
from harc.results.view import Results
from harc.results.vocabulary import POOLED, name_backbone
from harc.stats.intervals import Pooled

COLUMNS = (
    "claim", "origin", "words", "source", "metric", "arguments", "comparison", "threshold", "correction", "backbone",
    "estimate", "low", "high", "n", "unit", "seeds", "p_for", "p_against", "verdict", "overall", "ledger_sha256",
)  # fmt: skip
NO_BACKBONE = "none"  # of a claim that is about none of the profile's
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
    return Pooled(evidence.estimate, evidence.standard_error, evidence.degrees).interval(confidence)[1:]


def _make_row(claim: Claim, finding: Finding, overall: str, ledger: str, confidence: float) -> dict:
    evidence, test = finding.evidence, claim.test
    low, high = evidence_bounds(evidence, confidence)
    row = {
        "claim": claim.id,
        "origin": claim.origin,
        "words": claim.words,
        "source": claim.source,
        **test.model_dump(exclude={"arguments"}),
        "arguments": "; ".join(f"{name}={value}" for name, value in sorted(test.arguments.items())),
        "_called": ", ".join(str(test.arguments[name]) for name in METRICS[test.metric].arguments),
        **finding.model_dump(include={"backbone", "p_for", "p_against", "verdict"}),
        "low": low,
        "high": high,
        "overall": overall,
        "ledger_sha256": ledger,
    }
    if evidence is not None:
        row |= evidence.model_dump(include={"estimate", "n", "unit", "seeds"})
    return row


def _show_words(row: Record) -> str:
    source = make_breakable(escape_latex(row["source"]))
    return f"{escape_latex(row['words'])} {set_small(f'[{source}]')}"


def _show_test(row: Record) -> str:
    called = f"{row['metric']}({row['_called']})" if row["_called"] else row["metric"]
    sign = "<" if row["comparison"] == "below" else ">"
    return set_small(f"{make_breakable(escape_latex(called))} $ {sign} {format_rate(row['threshold'])}$")


def _describe_finding(row: Record) -> str:
    name = escape_latex(name_backbone(row["backbone"]))
    if row["estimate"] is None:
        return f"{name}: {MISSING}"
    seeds, pooled = row["seeds"], row["backbone"] == POOLED
    unit = row["unit"] if row["n"] != 1 else row["unit"].removesuffix("s")
    counted = f"n = {row['n']} {unit}, {seeds} {'run' if pooled else 'seed'}{'s' if seeds != 1 else ''}"
    shown = f"{name}: {format_signed(row['estimate'])} {format_interval(row['low'], row['high'])}"
    if row["p_for"] is not None:
        side = "" if row["p_for"] <= (row["p_against"] or 0) else " against"
        shown += f", {format_p(min(row['p_for'], row['p_against'] or math.inf))}{side}"
    return f"{shown} ({escape_latex(counted)}){': ' + row['verdict'] if pooled else ''}"


def _show_findings(rows: Sequence[Record]) -> str:
    found = [_describe_finding(row) for row in rows if row["backbone"] != NO_BACKBONE]
    return set_small(" \\newline ".join(found) or MISSING)


def build_claims(view: Results) -> Table:
    """The ledger with its verdicts.

    Raises:
        ConfigError: if the ledger is not valid.
    """
    claims, ledger = load_claims(view.claims), hash_ledger(view.claims)
    findings = evaluate_claims(claims, view)
    rows = []
    for claim in claims:
        own = [finding for finding in findings if finding.claim == claim.id]
        overall = decide_claim(own)
        own = own or [Finding(claim=claim.id, backbone=NO_BACKBONE, verdict=overall, evidence=None)]
        rows += [_make_row(claim, finding, overall, ledger, view.confidence) for finding in own]
    align = set_paragraphs(0.34, 0.2, 0.27, 0.11)
    frame = make_frame(COLUMNS, rows)
    records = frame.to_dict("records")
    return Table(
        "claims",
        frame,
        [
            Column("claim [source]", _show_words, align[0]),
            Column("declared test", _show_test, align[1]),
            Column("outcome", _show_findings, align[2], whole=True),
            Column("verdict", lambda row: MARKS.get(row["overall"], row["overall"]), align[3]),
        ],
        lines=("claim",),
        sections=("origin",),
        title=lambda section: ORIGINS[section[0]["origin"]],
        notes=[
            f"{100 * view.confidence:g}\\% intervals; $p$ one-sided, Holm-adjusted within origin and backbone. "
            f"SHA-256 of the ledger file: {{\\ttfamily {ledger[:32]}\\allowbreak {ledger[32:]}}}."
        ],
        printed=[row for origin in ORIGINS for row in records if row["origin"] == origin],
        row_end=" \\\\[2pt]",
        gaps=False,
        long=True,
    )
