"""Rows of tables as macros: finding them, which backbone stands for a family, a value with its interval."""

from collections.abc import Callable, Iterator

from harc.results.latex import format_bounds, format_rate
from harc.results.printer import ENDS, read_number
from harc.results.vocabulary import FAMILIES, find_family

Row = dict[str, str]
Rows = list[Row]


def pick_families(rows: Rows) -> dict[str, str]:
    """The first backbone of each family among the rows of a table."""
    found: dict[str, str] = {}
    for row in rows:
        family = find_family(row["backbone"])
        if family:
            found.setdefault(family, row["backbone"])
    return found


def find_row(rows: Rows, **wanted: str | None) -> Row | None:
    """The first row with the given values, or None."""
    return next((row for row in rows if all(row.get(key) == value for key, value in wanted.items())), None)


def find_by_family(rows: Rows, **wanted: str) -> Iterator[tuple[str, Row | None]]:
    """Every family with the first row of its backbone that has the given values; all are named in every profile."""
    families = pick_families(rows)
    for family in FAMILIES:
        yield family, find_row(rows, backbone=families.get(family), **wanted)


def read_bounded(row: Row | None, column: str, ends: tuple[str, ...] = ENDS) -> list[float | None]:
    """A column's value and interval; `ends` are what follows its name, or the names where none begins with it."""
    return [read_number(row, f"{column}{end}") for end in ends]


def show_bounded(
    name: str, values: list[float | None], show: Callable[[float | None], str] = format_rate
) -> dict[str, str]:
    """`\\Name`, and `\\NameCi` for the interval that follows it in the text."""
    return {name: show(values[0]), f"{name}Ci": format_bounds(*values)}
