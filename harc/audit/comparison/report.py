"""A comparison on the terminal; what artifacts hold is shown, never obeyed."""

from collections import Counter
from typing import Any

from harc.audit.comparison.trees import Comparison, Difference, FileComparison
from harc.core.terminal import make_console
from harc.core.untrusted import escape_control

SHOWN = 5  # differences listed of one file; all are in the JSON


def _word(difference: Difference) -> str:
    if difference.overlaps is None:
        return ""
    return "; intervals overlap" if difference.overlaps else "; intervals apart"


def _describe(file: FileComparison) -> str:
    if file.unreadable:
        return "values that cannot be read"
    if not file.values:
        return "other bytes"
    if file.agrees:
        return f"other bytes, the same {file.values} values"
    covered = sum(bool(difference.overlaps) for difference in file.differences)
    apart = sum(difference.overlaps is False for difference in file.differences)
    words = f"{len(file.differences)} of {file.values} values differ"
    return words + (
        f", {covered} with overlapping intervals, {apart} with intervals apart" if covered + apart else ""
    )


def print_comparison(comparison: Comparison, *, shown: int = SHOWN, stream: Any = None) -> None:
    """Print what differs, file by file, with the first few values, and a summary by kind of artifact."""
    from rich.table import Table

    console = make_console(stream)
    for file in comparison.different:
        console.print(escape_control(f"{file.name}: {_describe(file)}"))
        for difference in file.differences[:shown]:
            a, b = ("none" if side is None else str(side) for side in (difference.a, difference.b))
            console.print(escape_control(f"    {difference.name}: {a} | {b}{_word(difference)}"))
    columns = {
        "same": comparison.same,
        "same values": [file.name for file in comparison.different if file.agrees],
        "differ": [file.name for file in comparison.different if not file.agrees],
        "only in A": comparison.only_a,
        "only in B": comparison.only_b,
    }
    counts = {name: Counter(path.split("/")[0] for path in paths) for name, paths in columns.items()}
    table = Table(
        title=escape_control(f"A: {comparison.a}   B: {comparison.b}"), title_justify="left", box=None
    )
    table.add_column("files")
    for name in columns:
        table.add_column(name, justify="right")
    for kind in sorted(set().union(*counts.values())):
        table.add_row(kind, *(str(counts[name][kind]) for name in columns))
    console.print(table)
