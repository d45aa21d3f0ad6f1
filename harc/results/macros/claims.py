"""Macros of the claims ledger: counts, verdicts, and the claims of each verdict as list items."""

from harc.results.claims import VERDICTS
from harc.results.latex import MISSING, escape_latex
from harc.results.macros.rows import Rows
from harc.results.vocabulary import POOLED, camel

POOLED_REMARK = (
    "Within one backbone a few seeds leave few degrees of freedom, so each test is also given pooled over all runs; "
    "that test was added after a first look at results and does not enter the verdict."
)


def list_claims(rows: Rows) -> dict[str, str]:
    """Counts per verdict, the ledger's hash, and the claims that failed or stayed open, as lists of items."""
    overall = {row["claim"]: row for row in rows}
    pooled = {row["claim"]: f"; pooled: {row['verdict']}" for row in rows if row["backbone"] == POOLED}
    macros = {
        "ClaimsTotal": str(len(overall)),
        "ClaimsHash": (rows[0]["ledger_sha256"][:12] if rows else MISSING),
    }
    macros["PooledRemark"] = POOLED_REMARK if pooled else ""
    for verdict, name in zip(VERDICTS, ("Supported", "Failed", "Open", "Untested"), strict=True):
        chosen = [row for row in overall.values() if row["overall"] == verdict]
        macros[f"Claims{name}"] = str(len(chosen))
        items = "".join(
            f"\\item {escape_latex(row['words'])} ({row['origin']}{pooled.get(row['claim'], '')})\n"
            for row in chosen
        )
        macros[f"Claims{name}Items"] = items or "\\item none\n"
    for row in overall.values():
        macros[f"Verdict{camel(row['claim'])}"] = escape_latex(row["overall"])
    return macros
