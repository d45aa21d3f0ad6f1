"""A table as data: plain values for the CSV, typeset cells and notes for LaTeX."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harc.results.latex import MISSING, UNDEFINED, escape_latex
from harc.core.csv_files import read_csv_rows
from harc.core.csv_files import render_csv as join_csv
from harc.core.files import write_text


@dataclass(frozen=True)
class Table:
    """One table in both forms.

    Attributes:
        name: file name without extension.
        columns: names of the CSV columns.
        rows: CSV values; None is written as an empty cell, NaN as `nan`.
        align: LaTeX column specification.
        header: typeset header lines, without the row ends.
        body: typeset body lines, row ends and rules included.
        notes: typeset sentences under the table.
        long: True for a table that may break across pages.
    """

    name: str
    columns: tuple[str, ...]
    rows: list[dict]
    align: str
    header: Sequence[str]
    body: Sequence[str]
    notes: Sequence[str] = field(default=())
    long: bool = False


def stack_cell(lines: Sequence[str]) -> str:
    """One cell of several lines, the first in full size and the rest small, as a rate above its interval."""
    small = "".join(f"\\\\[-3pt]{{\\tiny {line}}}" for line in lines[1:])
    return f"\\begin{{tabular}}[t]{{@{{}}c@{{}}}}{lines[0]}{small}\\end{{tabular}}"


def title_row(title: str, columns: int) -> str:
    """A line across all columns that names the rows below it; no page breaks after it."""
    return f"\\multicolumn{{{columns}}}{{@{{}}l}}{{\\emph{{{escape_latex(title)}}}}} \\\\*"


def format_value(value: object) -> str:
    """A value as a CSV cell: floats with 6 significant digits, missing ones empty."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{round(value, 12) + 0.0:.6g}"  # what is left of cancelled sums is 0
    return str(value)


def render_csv(table: Table) -> str:
    """The table as CSV text; see `harc.core.csv_files`."""
    lines = ([format_value(row.get(column)) for column in table.columns] for row in table.rows)
    return join_csv(table.columns, lines)


FOOTNOTES = {
    MISSING: f"{MISSING}: not measured in this profile.",
    UNDEFINED: f"{UNDEFINED}: measured, but without a number that is defined (an empty class, say).",
}


def complete_notes(table: Table) -> list[str]:
    """The table's notes, and a footnote for every mark of a missing number that they leave unexplained."""
    notes, cells = list(table.notes), "\n".join((*table.header, *table.body))
    return notes + [
        text
        for mark, text in FOOTNOTES.items()
        if mark in cells and not any(mark in note for note in table.notes)
    ]


def render_latex(table: Table) -> str:
    """The table as LaTeX: a booktabs tabular (or longtable) and its notes, to be `\\input` inside a float."""
    header = [f"{line} \\\\" if not line.startswith("\\cmidrule") else line for line in table.header]
    notes = " ".join(complete_notes(table))
    width = "\\textwidth" if table.long else "\\linewidth"
    tail = [f"\\par\\vspace{{3pt}}\\noindent\\parbox{{{width}}}{{\\footnotesize {notes}}}"] if notes else []
    if table.long:
        # The text gives the caption through a macro, so that it stays with the table when pages break.
        head = ["\\toprule", *header, "\\midrule"]
        start = [f"\\begin{{longtable}}{{{table.align}}}", "\\generatedcaption"]
        start += [*head, "\\endfirsthead", *head, "\\endhead", "\\bottomrule", "\\endlastfoot"]
        end = ["\\end{longtable}"]
    else:
        start = [f"\\begin{{tabular}}{{{table.align}}}", "\\toprule", *header, "\\midrule"]
        end = ["\\bottomrule", "\\end{tabular}"]
    return "\n".join([*start, *table.body, *end, *tail]) + "\n"


def write_table(table: Table, folder: Path) -> list[Path]:
    """Write `<name>.csv` and `<name>.tex` into the folder; returns their paths."""
    paths = [folder / f"{table.name}.csv", folder / f"{table.name}.tex"]
    write_text(paths[0], render_csv(table))
    write_text(paths[1], render_latex(table))
    return paths


def read_table(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV table as texts; a missing file is an empty table (not made in this profile).

    Raises:
        DataError: if it is no table.
    """
    if not path.is_file():
        return []
    return read_csv_rows(path)[1]


def read_number(row: dict[str, str] | None, column: str) -> float | None:
    """A cell as a number, or None where the row, the column or the value is missing."""
    text = (row or {}).get(column) or ""
    return float(text) if text else None
