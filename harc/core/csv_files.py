"""Tables of this project's own as CSV: what no spreadsheet runs when written, the same text again when read.

Other people's tables are read where they come in: harc.evaluation.prompt_file, harc.data.public_sources.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from harc.core.errors import DataError
from harc.core.untrusted import neutralise_formula, restore_formula

AGAIN = "make the table again"


def render_csv(columns: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A header and lines of cells as CSV text with Unix line ends."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([neutralise_formula(cell) for cell in line] for line in lines)
    return buffer.getvalue()


def read_csv_rows(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Columns and rows of a table that `render_csv` made; cells that a row lacks are empty.

    Raises:
        DataError: if it is no such table: not UTF-8, broken off, or with more cells than columns in a row.
    """
    try:
        with path.open(newline="", encoding="utf-8") as handle:
            text = handle.read()
        reader = csv.DictReader(io.StringIO(text, newline=""), restval="")
        rows = list(reader)
    except (UnicodeDecodeError, csv.Error) as problem:
        raise DataError(str(path), expected="a table in UTF-8", found=str(problem), fix=AGAIN) from None
    long = next((number for number, row in enumerate(rows, start=2) if None in row), None)
    if long is not None:
        raise DataError(f"{path}: row {long}", expected="a cell a column", found="more", fix=AGAIN)
    if "'" in text:  # without one nothing was neutralised
        rows = [{name: restore_formula(cell) for name, cell in row.items()} for row in rows]
    return list(reader.fieldnames or ()), rows
