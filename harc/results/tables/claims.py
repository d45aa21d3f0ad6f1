"""The claims table: words, source, declared test, outcome, verdict; failed claims as loud as the rest."""

from collections.abc import Sequence

from harc.results.claim_metrics import METRICS
from harc.results.claims import (
    EQUIVALENT,
    FAILED,
    POWER,
    SUPPORTED,
    UNTESTED,
    Finding,
    decide_claim,
    evaluate_claims,
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
from harc.results.ledger import Claim, hash_ledger, load_claims
from harc.results.printer import Column, Record, Table, make_frame, set_paragraphs, set_small
from harc.results.view import Results
from harc.results.vocabulary import ALL_FAMILIES, POOLED, name_backbone, note_attacks

COLUMNS = (
    "claim", "origin", "question", "primary", "words", "source", "metric", "arguments", "comparison", "threshold",
    "margin", "correction", "backbone", "estimate", "low", "high", "n", "unit", "seeds", "p", "p_adjusted",
    "p_equivalence", "p_flip", "detectable", "verdict", "reason", "overall", "ledger_sha256",
)  # fmt: skip
NO_BACKBONE = "none"  # of a claim that is about none of the profile's
MARKS = {verdict: f"\\textbf{{{verdict}}}" for verdict in (SUPPORTED, FAILED, EQUIVALENT)}
ORIGINS = {
    "paper": "Claims of the paper",
    "audit": "Claims of the independent audit",
    "project": "Declared by this project",
    "related": "Claims of related work",
}


def evidence_bounds(evidence: Evidence | None, confidence: float) -> tuple[float | None, float | None]:
    """Interval of an estimate, or (None, None) where the profile gives no measure of chance."""
    if evidence is None or not evidence.standard_error:
        return None, None
    return evidence.interval(confidence)[1:]


def _make_row(claim: Claim, finding: Finding, overall: str, ledger: str, confidence: float) -> dict:
    evidence, test = finding.evidence, claim.test
    low, high = evidence_bounds(evidence, confidence)
    row = {
        "claim": claim.id,
        "origin": claim.origin,
        "words": claim.words,
        "source": claim.source,
        "question": claim.question,
        "primary": claim.primary or None,
        **test.model_dump(exclude={"arguments"}),
        "arguments": "; ".join(f"{name}={value}" for name, value in sorted(test.arguments.items())),
        "_called": ", ".join(str(test.arguments[name]) for name in METRICS[test.metric].arguments),
        **finding.model_dump(exclude={"claim", "evidence"}),
        "low": low,
        "high": high,
        "overall": overall,
        "ledger_sha256": ledger,
    }
    if evidence is not None:
        row |= evidence.model_dump(include={"estimate", "n", "unit", "seeds", "p_flip"})
    return row


def _show_words(row: Record) -> str:
    source = make_breakable(escape_latex(row["source"]))
    return f"{escape_latex(row['words'])} {set_small(f'[{source}]')}"


def _show_test(row: Record) -> str:
    called = f"{row['metric']}({row['_called']})" if row["_called"] else row["metric"]
    sign = "<" if row["comparison"] == "below" else ">"
    shown = f"{make_breakable(escape_latex(called))} $ {sign} {format_rate(row['threshold'])}$"
    if row["margin"] is not None:
        shown += f", margin {format_rate(row['margin'])}"
    return set_small(f"{shown}; {escape_latex(row['question'].replace('_', ' '))}")


def _describe_finding(row: Record) -> str:
    name = escape_latex(name_backbone(row["backbone"]))
    if row["estimate"] is None:
        return f"{name}: {MISSING}"
    seeds = row["seeds"]
    unit = row["unit"] if row["n"] != 1 else row["unit"].removesuffix("s")
    kind = "draw" if row["backbone"] == POOLED else "seed"
    counted = f"n = {row['n']} {unit}, {seeds} {kind}{'s' if seeds != 1 else ''}"
    shown = f"{name}: {format_signed(row['estimate'])} {format_interval(row['low'], row['high'])}"
    if row["p_adjusted"] is not None:
        shown += f", {format_p(row['p_adjusted'])}"
    if row["p_equivalence"] is not None:
        shown += f", equivalence {format_p(row['p_equivalence'])}"
    if row["p"] is not None:
        counted += f", detectable {format_rate(row['detectable'])}"
    return f"{shown} ({escape_latex(counted)}): {row['reason'] or row['verdict']}"


def _show_findings(rows: Sequence[Record]) -> str:
    found = [_describe_finding(row) for row in rows if row["backbone"] != NO_BACKBONE]
    return set_small(" \\newline ".join(found) or MISSING)


def decide_claims(claims: Sequence[Claim], view: Results, ledger: str) -> list[dict]:
    """A row for each claim and backbone, the claims' whole questions among them."""
    findings = evaluate_claims(claims, view)
    rows = []
    for claim in claims:
        own = [finding for finding in findings if finding.claim == claim.id]
        overall = decide_claim(own, view.draw)
        own = own or [Finding(claim=claim.id, backbone=NO_BACKBONE, verdict=overall, evidence=None)]
        rows += [_make_row(claim, finding, overall, ledger, view.confidence) for finding in own]
    return rows


def select_deciding(rows: Sequence[dict], view: Results) -> list[dict]:
    """Findings that verdicts come from: over all draws where backbones are drawn, else of each model.

    Of a claim on models of one family alone, of which there is no finding over all, every one.
    """
    drawn = view.draw == "backbone"
    over_all = {row["claim"] for row in rows if row["backbone"] not in view.backbones}
    return [
        row
        for row in rows
        if (row["backbone"] in view.backbones) != (drawn and row["claim"] in over_all)
        or row["backbone"] in (ALL_FAMILIES, NO_BACKBONE)
    ]


def build_claims(view: Results) -> Table:
    """The ledger with its verdicts; printed are claims that something here tests, with the findings that decide them.

    Raises:
        ConfigError: if the ledger is not valid.
    """
    claims, ledger = load_claims(view.claims), hash_ledger(view.claims)
    align = set_paragraphs(0.34, 0.2, 0.27, 0.11)
    frame = make_frame(COLUMNS, decide_claims(claims, view, ledger))
    records = frame.to_dict("records")
    left_out = len({row["claim"] for row in records if row["overall"] == UNTESTED})
    shown = select_deciding([row for row in records if row["overall"] != UNTESTED], view)
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
            f"{100 * view.confidence:g}\\% intervals; $p$ two-sided, Holm-adjusted within question and backbone; "
            "equivalence: two one-sided tests at the margin. Detectable: the smallest effect seen with power "
            f"{POWER:g} at the level that Holm's first step asks of the question's tests. "
            f"SHA-256 of the ledger file: {{\\ttfamily {ledger[:32]}\\allowbreak {ledger[32:]}}}.",
            f"In the CSV alone: claims that this profile does not test ({left_out} of {len(claims)}), and findings "
            "that decide nothing (of single backbones where these are drawn, over all where they are not).",
            *note_attacks(view.mean_attacks, "mean attack success (mean\\_asr)"),
        ],
        printed=[row for origin in ORIGINS for row in shown if row["origin"] == origin],
        row_end=" \\\\[2pt]",
        gaps=False,
        long=True,
    )
