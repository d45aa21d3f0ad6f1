"""The claims ledger as plain text, for the terminal."""

from pathlib import Path

from harc.analysis.claims import VERDICTS
from harc.analysis.tables.layout import read_table
from harc.errors import ArtifactError


def format_ledger(path: Path, fix: str) -> str:
    """One line per claim in the ledger's order, whatever its verdict, with counts and the ledger's hash.

    Args:
        path: claims.csv among the tables of a run.
        fix: what to do where there is none.

    Raises:
        ArtifactError: if no verdicts have been computed.
    """
    rows = {row["claim"]: row for row in read_table(path)}
    if not rows:
        raise ArtifactError(str(path), expected="computed verdicts", found="none", fix=fix)
    width = max(map(len, VERDICTS))
    lines = [
        f"{row['overall']:{width}}  {claim} ({row['origin']}): {row['words']}" for claim, row in rows.items()
    ]
    found = [row["overall"] for row in rows.values()]
    counts = ", ".join(f"{found.count(verdict)} {verdict}" for verdict in VERDICTS)
    ledger = next(iter(rows.values()))["ledger_sha256"]
    return "\n".join([*lines, f"{len(rows)} claims: {counts}", f"ledger sha256 {ledger}"])
