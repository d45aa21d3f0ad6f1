"""The one printer of tables: a data frame and its layout in; CSV, LaTeX and the cells of a page out.

A `Table` holds plain values, a record a row; its columns say how a printed line shows them. A line is one record, or
several that agree in `lines` (a method's rates on every suite, say). Lines that agree in `sections` share a title.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harc.core.csv_files import read_csv_rows
from harc.core.csv_files import render_csv as join_csv
from harc.core.files import write_text
from harc.results.latex import MISSING, UNDEFINED, escape_latex, format_interval, format_rate, show_controls
from harc.results.outcomes import SHARES
from harc.results.vocabulary import name_backbone, name_method, name_suite
from harc.suites.records import exceeds

if TYPE_CHECKING:
    import pandas

Record = Mapping[str, Any]
RAGGED = ">{\\raggedright\\arraybackslash}"
NOT_EVALUATED = f"{MISSING}$^\\dagger$"
DAGGER_NOTE = f"$^\\dagger$ {MISSING}: not evaluated in this profile."
ENDS = ("", "_low", "_high")


@dataclass(frozen=True)
class Column:
    """A printed column.

    Attributes:
        head: typeset head; several texts are the lines of the header.
        show: a record as a typeset cell; None where the line has no such record.
        align: LaTeX column specification.
        group: typeset title over all neighbouring columns of the same group.
        above: typeset text in the groups' place, for a column of no group.
        where: values of the record that is shown, of a line's several.
        whole: `show` takes the list of all such records instead of the first.
    """

    head: str | tuple[str, ...]
    show: Callable[[Any], str]
    align: str = "l"
    group: str = ""
    above: str = ""
    where: Mapping[str, object] = field(default_factory=dict)
    whole: bool = False

    def typeset(self, line: Sequence[Record]) -> str:
        """The column's cell of one line."""
        found = [r for r in line if all(r.get(name) == value for name, value in self.where.items())]
        if self.whole:
            return self.show(found)
        return self.show(found[0] if found else None)


@dataclass(frozen=True)
class Table:
    """A table: its values, and how it is printed.

    Attributes:
        name: file name without extension.
        frame: the values; columns that begin with `_` are for the printed cells alone.
        columns: printed columns.
        lines: columns of the frame that make a printed line; none: every record is one.
        sections: columns of the frame that make a section.
        title: a section's records as its title; None prints no titles.
        foot: a section's records as its last, typeset line, without the row end.
        notes: typeset sentences under the table.
        absent: typeset line, without the row end, where there is nothing to print.
        lacking: typeset line, without the row end, of a section whose one record holds nothing but the section's name.
        printed: records to print in place of the frame's.
        header: typeset header lines, where the columns' own will not do.
        align: LaTeX column specification, where the columns' own will not do.
        row_end: what ends a line.
        gaps: whether space parts the sections.
        total: whether a rule parts the last line from the others.
        long: whether the table may break across pages.
    """

    name: str
    frame: "pandas.DataFrame"
    columns: Sequence[Column]
    lines: Sequence[str] = ()
    sections: Sequence[str] = ()
    title: Callable[[list[Record]], str] | None = None
    foot: Callable[[list[Record]], str] | None = None
    notes: Sequence[str] = ()
    absent: str = ""
    lacking: str = ""
    printed: Sequence[Record] | None = None
    header: Sequence[str] = ()
    align: str = ""
    row_end: str = " \\\\"
    gaps: bool = True
    total: bool = False
    long: bool = False

    @property
    def records(self) -> list[dict[str, Any]]:
        """The frame's rows."""
        return self.frame.to_dict("records")


def make_frame(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> "pandas.DataFrame":
    """A frame of plain values as they are: None is missing, NaN is a number that is not defined."""
    import pandas

    extra = dict.fromkeys(name for row in rows for name in row if name.startswith("_"))
    names = [*columns, *extra]
    return pandas.DataFrame([[row.get(name) for name in names] for row in rows], columns=names, dtype=object)


def name_section(section: Sequence[Record]) -> str:
    """The title of a backbone's section."""
    return name_backbone(section[0]["backbone"])


BY_BACKBONE: Mapping[str, Any] = {"sections": ("backbone",), "title": name_section}
"""Of a `Table` with a section a backbone."""


def split_records(records: Sequence[Record], keys: Sequence[str]) -> Iterator[list[Record]]:
    """Records that agree in some columns, in the order of their first."""
    groups: dict[tuple, list[Record]] = {}
    for record in records:
        groups.setdefault(tuple(record.get(key) for key in keys), []).append(record)
    yield from groups.values()


# CSV


def format_value(value: object) -> str:
    """A value as a CSV cell: floats with 6 significant digits, missing ones empty."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{round(value, 12) + 0.0:.6g}"  # what is left of cancelled sums is 0
    return str(value)


def render_csv(table: Table) -> str:
    """The table as CSV text; see `harc.core.files`."""
    columns = [name for name in table.frame.columns if not name.startswith("_")]
    return join_csv(columns, ([format_value(record[name]) for name in columns] for record in table.records))


def read_table(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV table as texts; a missing file is an empty table (not made in this profile).

    Raises:
        DataError: if it is no table.
    """
    return read_csv_rows(path)[1] if path.is_file() else []


def read_number(row: Mapping[str, str] | None, column: str) -> float | None:
    """A cell as a number, or None where the row, the column or the value is missing."""
    text = (row or {}).get(column) or ""
    return float(text) if text else None


# LaTeX: cells


def stack_cell(lines: Sequence[str]) -> str:
    """One cell of several lines, the first in full size and the rest small, as a rate above its interval."""
    small = "".join(f"\\\\[-3pt]{{\\tiny {line}}}" for line in lines[1:])
    return f"\\begin{{tabular}}[t]{{@{{}}c@{{}}}}{lines[0]}{small}\\end{{tabular}}"


def set_small(text: str) -> str:
    """Typeset text in small type."""
    return f"{{\\scriptsize {text}}}"


def format_tight(low: float | None, high: float | None, digits: int = 2) -> str:
    """An interval without space behind its comma."""
    return format_interval(low, high, digits).replace(", ", ",")


def show_bounds(record: Record, column: str) -> str:
    """The interval of a column's value, tight."""
    return format_tight(record[f"{column}_low"], record[f"{column}_high"])


def _find_ends(column: str) -> tuple[str, str]:
    """The columns of a value's interval, which a table of one value a row calls `low` and `high`."""
    alone = column in ("rate", "estimate", "area", "difference")
    return ("low", "high") if alone else (f"{column}_low", f"{column}_high")


def show_rate(column: str, lost: str = MISSING) -> Callable[[Record | None], str]:
    """A column's value above its interval; `lost` for a missing one."""
    low, high = _find_ends(column)

    def show(record: Record | None) -> str:
        if record is None or record[column] is None:
            return lost
        return stack_cell([format_rate(record[column]), format_tight(record[low], record[high])])

    return show


def show_beside(
    column: str, lost: str = MISSING, value: Callable[[float], str] = format_rate
) -> Callable[[Record | None], str]:
    """A column's value and, in small type beside it, its interval; `lost` for a missing one."""
    low, high = _find_ends(column)

    def show(record: Record | None) -> str:
        if record is None or record[column] is None:
            return lost
        return f"{value(record[column])} {set_small(format_tight(record[low], record[high]))}"

    return show


def show_name(column: str, name: Callable[[str], str] = str) -> Callable[[Record], str]:
    """A column's text under the name that readers know."""
    return lambda record: escape_latex(name(str(record[column])))


def plain_words(text: object) -> str:
    """An identifier as words."""
    return str(text).replace("_", " ")


def set_paragraphs(*widths: float) -> list[str]:
    """Column specifications of ragged paragraphs; widths are shares of the text width."""
    return [f"{RAGGED}p{{{width}\\textwidth}}" for width in widths]


def span_row(text: str, columns: int) -> str:
    """A typeset line across columns, in place of rows that there are none of."""
    return f"\\multicolumn{{{columns}}}{{@{{}}l@{{}}}}{{{text}}}"


# LaTeX: the table

FOOTNOTES = {
    MISSING: f"{MISSING}: not measured in this profile.",
    UNDEFINED: f"{UNDEFINED}: measured, but without a number that is defined (an empty class, say).",
}


def title_row(title: str, columns: int) -> str:
    """A line across all columns that names the rows below it; no page breaks after it."""
    return f"\\multicolumn{{{columns}}}{{@{{}}l}}{{\\emph{{{escape_latex(title)}}}}} \\\\*"


def typeset_lines(
    columns: Sequence[Column], records: Sequence[Record], lines: Sequence[str] = ()
) -> list[str]:
    """Cells of every line, joined; without row ends."""
    groups = split_records(records, lines) if lines else ([record] for record in records)
    return [" & ".join(column.typeset(line) for column in columns) for line in groups]


def typeset_body(table: Table) -> list[str]:
    """Titles, lines and feet of all sections."""
    records = table.records if table.printed is None else table.printed
    body: list[str] = []
    for section in split_records(records, table.sections):
        body += ["\\addlinespace"] if body and table.gaps else []
        body += [title_row(table.title(section), len(table.columns))] if table.title else []
        empty = bool(table.lacking) and section[0].keys() <= set(table.sections)
        found = [table.lacking] if empty else typeset_lines(table.columns, section, table.lines)
        body += [f"{line}{table.row_end}" for line in found]
        body += [f"{table.foot(section)} \\\\"] if table.foot else []
    if table.total and records:
        body.insert(-1, "\\midrule")
    return body or ([f"{table.absent} \\\\"] if table.absent else [])


def typeset_header(table: Table) -> list[str]:
    """The groups' titles with their rules, and the heads; row ends included."""
    if table.header:
        return [f"{line} \\\\" for line in table.header]
    above, rules = _typeset_groups(table.columns)
    heads = [(c.head,) if isinstance(c.head, str) else c.head for c in table.columns]
    depth = max(map(len, heads))
    lines = [" & ".join((*head, *[""] * depth)[row] for head in heads) for row in range(depth)]
    return (
        [f"{above} \\\\", rules, *(f"{line} \\\\" for line in lines)]
        if rules
        else [f"{x} \\\\" for x in lines]
    )


def _typeset_groups(columns: Sequence[Column]) -> tuple[str, str]:
    """The line of groups and the rules below it; no rules without a group."""
    cells, rules, place = [], "", 0
    while place < len(columns):
        group, width = columns[place].group, 1
        while group and place + width < len(columns) and columns[place + width].group == group:
            width += 1
        cells.append(f"\\multicolumn{{{width}}}{{c}}{{{group}}}" if group else columns[place].above)
        rules += f"\\cmidrule(lr){{{place + 1}-{place + width}}}" if group else ""
        place += width
    return " & ".join(cells), rules


def complete_notes(table: Table, typeset: Sequence[str]) -> list[str]:
    """The table's notes, and a footnote for every mark of a missing number that they leave unexplained."""
    notes, cells = list(table.notes), "\n".join(typeset)
    return notes + [
        text
        for mark, text in FOOTNOTES.items()
        if mark in cells and not any(mark in note for note in table.notes)
    ]


def render_latex(table: Table) -> str:
    """The table as LaTeX: a booktabs tabular (or longtable) and its notes, to be `\\input` inside a float."""
    header, body = typeset_header(table), typeset_body(table)
    align = table.align or f"@{{}}{''.join(column.align for column in table.columns)}@{{}}"
    notes = " ".join(complete_notes(table, (*header, *body)))
    width = "\\textwidth" if table.long else "\\linewidth"
    tail = [f"\\par\\vspace{{3pt}}\\noindent\\parbox{{{width}}}{{\\footnotesize {notes}}}"] if notes else []
    if table.long:
        # The text gives the caption through a macro, so that it stays with the table when pages break.
        head = ["\\toprule", *header, "\\midrule"]
        start = [f"\\begin{{longtable}}{{{align}}}", "\\generatedcaption"]
        start += [*head, "\\endfirsthead", *head, "\\endhead", "\\bottomrule", "\\endlastfoot"]
        end = ["\\end{longtable}"]
    else:
        start = [f"\\begin{{tabular}}{{{align}}}", "\\toprule", *header, "\\midrule"]
        end = ["\\bottomrule", "\\end{tabular}"]
    return "\n".join([*start, *body, *end, *tail]) + "\n"


def write_table(table: Table, folder: Path) -> list[Path]:
    """Write `<name>.csv` and `<name>.tex` into the folder; returns their paths."""
    paths = [folder / f"{table.name}.csv", folder / f"{table.name}.tex"]
    write_text(paths[0], render_csv(table))
    write_text(paths[1], render_latex(table))
    return paths


# HTML: from the CSV, so that a page shows what the files hold

FOLDED = ("_low", "_high", "_n", "_seed_low", "_seed_high", "_mde", *(f"_{name}" for name in SHARES))
BOUNDED = ("difference", "area", "estimate")  # whose interval is `low` and `high`
LABELLED: dict[str, Callable[[str], str]] = dict.fromkeys(("backbone", "model"), name_backbone)
LABELLED |= dict.fromkeys(("method", "reference", "arm"), name_method)
LABELLED |= dict.fromkeys(("metric", "suite"), name_suite)


def make_safe(text: object, limit: int = 2000) -> str:
    """Model output for display: control characters visible, length bounded; the template escapes HTML."""
    shown = "\n".join(show_controls(line) for line in str(text).split("\n"))
    return shown if len(shown) <= limit else f"{shown[:limit]} [... {len(shown) - limit} characters more]"


def present_cell(row: Mapping[str, str], column: str) -> dict[str, Any]:
    """A cell of a page: its text, what it sorts by, and interval, count and shares in small type."""
    value = row.get(column) or ""
    if column in LABELLED:
        return {"text": make_safe(LABELLED[column](value)), "sort": value, "small": ""}
    try:
        number = float(value)
    except ValueError:
        return {"text": make_safe(value), "sort": value, "small": ""}
    low, high = (read_number(row, f"{column}{end}") for end in ("_low", "_high"))
    if low is None and column in BOUNDED:
        low, high = read_number(row, "low"), read_number(row, "high")
    # Whole numbers are counts unless they carry an interval.
    text = value if low is None and "." not in value else format_rate(number, 3)
    interval = f"[{format_rate(low)}, {format_rate(high)}]" if low is not None else ""
    counted = f"n = {row[f'{column}_n']}" if row.get(f"{column}_n") else ""
    small = " ".join(part for part in (interval, counted, *_list_shares(row, column)) if part)
    return {"text": text, "sort": number, "small": small}


def _list_shares(row: Mapping[str, str], column: str) -> list[str]:
    """Shares of garbled, blocked, ... answers beside a rate, marked where they are too large; zeros are left out."""
    shares = {name: read_number(row, f"{column}_{name}") for name in SHARES}
    return [
        f"{name} {format_rate(share)}{' (!)' if exceeds(name, share, 1) else ''}"
        for name, share in shares.items()
        if share
    ]


def present_table(path: Path) -> dict[str, Any] | None:
    """A CSV table as heads and cells of a page, intervals and counts folded into their value's; None if absent."""
    rows = read_table(path)
    if not rows:
        return None
    own = set(BOUNDED) & set(rows[0])
    kept = [name for name in rows[0] if not name.endswith(FOLDED) and not (own and name in {"low", "high"})]
    return {
        "heads": [name_suite(name) for name in kept],
        "rows": [[present_cell(row, name) for name in kept] for row in rows],
    }
