"""Finding rows of tables, and which backbone stands for a family."""

from harc.results.vocabulary import find_family

Rows = list[dict[str, str]]


def pick_families(rows: Rows) -> dict[str, str]:
    """The first backbone of each family among the rows of a table."""
    found: dict[str, str] = {}
    for row in rows:
        family = find_family(row["backbone"])
        if family:
            found.setdefault(family, row["backbone"])
    return found


def find_row(rows: Rows, **wanted: str | None) -> dict[str, str] | None:
    """The first row with the given values, or None."""
    return next((row for row in rows if all(row.get(key) == value for key, value in wanted.items())), None)
