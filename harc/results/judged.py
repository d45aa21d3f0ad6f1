"""Every judge's label of every answer of a profile's run, as the outcomes hold them."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from harc.core.artifacts import Layout
from harc.core.csv_files import read_csv_rows

PREFIX = "label_"
Unit = tuple[str, str, int]


def read_judged(results_root: Path, units: Iterable[Unit]) -> Iterator[tuple[Unit, list[dict[str, str]]]]:
    """(backbone, method, seed) and the rows of its outcomes; units without results are left out."""
    layout = Layout(results_root)
    for unit in units:
        path = layout.scores(*unit) / "outcomes.csv"
        if path.is_file():
            yield unit, read_csv_rows(path)[1]


def list_judges(rows: Sequence[dict[str, str]]) -> tuple[str, ...]:
    """The judges whose labels stand in outcomes, in their order."""
    return tuple(name.removeprefix(PREFIX) for name in (rows[0] if rows else ()) if name.startswith(PREFIX))
