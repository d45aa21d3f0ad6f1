"""Tables of this project's own as CSV: what no spreadsheet runs when written, the same text again when read.

Other people's tables are read where they come in: harc.evaluation.own.prompts, harc.data.public_sources.
"""

import csv
import io
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from harc.core.errors import DataError
from harc.core.files import write_text
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


def format_value(value: object) -> str:
    """A cell: numbers with 6 decimals at most, nothing for None and NaN."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return f"{value:.6f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def write_csv(path: Path | str, columns: Sequence[str], rows: Sequence[dict]) -> None:
    """Write rows atomically with the given columns; a cell that a row lacks stays empty."""
    lines = ([format_value(row.get(column)) for column in columns] for row in rows)
    write_text(path, render_csv(columns, lines))


def read_csv(path: Path | str, required: Sequence[str] = ()) -> list[dict]:
    """Rows of a table as written by `write_csv`: text cells, numbers where they parse, None where empty.

    Raises:
        DataError: if the file is missing, empty, or lacks a required column.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(str(path), expected="a table", found="no file", fix="run `harc score`")
    columns, lines = read_csv_rows(path)
    rows = [{name: _parse(name, cell) for name, cell in line.items()} for line in lines]
    missing = [name for name in required if name not in columns]
    if missing or not rows:
        raise DataError(
            str(path),
            expected=f"rows with the columns {', '.join(required)}" if required else "rows",
            found=f"no {missing[0]}" if missing else "no rows",
            fix="run `harc score`",
        )
    return rows


def _parse(name: str, cell: str) -> object:
    if cell == "":
        return None
    if name in ("id", "unit", "goal", "suite", "metric", "category"):
        return cell
    for kind in (int, float):
        try:
            return kind(cell)
        except ValueError:
            continue
    return cell
