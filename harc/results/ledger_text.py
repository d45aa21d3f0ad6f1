"""The claims ledger as plain text, for the terminal."""

from pathlib import Path

from harc.core.errors import ArtifactError
from harc.core.untrusted import escape_lines
from harc.results.claims import VERDICTS
from harc.results.printer import read_table

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
