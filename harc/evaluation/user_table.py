"""Files that stand beside the prompts, such as decisions and labels: in the forms of prompt files, with own columns."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harc.core.errors import DataError
from harc.evaluation.own.columns import Header, Reading
from harc.evaluation.own.table import read_cells


class PlainHeader(Header):
    """Columns by the names that they have, in any case; some are needed."""

    def __init__(self, path: Path, needed: Sequence[str]) -> None:
        super().__init__(path)
        self.needed = needed

    def find(self, names: Sequence[Any], where: str, *, table: bool) -> Reading:
        """How rows of these columns are read: every cell as a text.

        Raises:
            DataError: for a column that is there twice, or one that is needed and not there.
        """
        plain = [str(name).strip().lower() for name in names]
        twice = next((name for name in plain if plain.count(name) > 1), None)
        missing = next((name for name in self.needed if name not in plain), None)
        if twice is not None or missing is not None:
            raise DataError(
                where,
                expected=f"the columns {', '.join(self.needed)}, each once",
                found=f"{twice!r} twice" if twice else f"no {missing} among {', '.join(plain) or 'none'}",
                fix="rename a column" if twice else "rename the column that is meant, or add it",
            )

        def read(cells: Sequence[Any]) -> dict[str, Any]:
            texts = ("" if cell is None else str(cell) for cell in cells)
            return dict(zip(plain, texts, strict=True))

        return Reading(read)


def read_table(path: Path, needed: Sequence[str]) -> list[tuple[str, dict[str, str]]]:
    """(file and line, cells as texts by column, names in small letters) of every row.

    Args:
        path: a CSV, JSONL, JSON or Parquet file.
        needed: columns that it must have.

    Raises:
        DataError: naming file and line, for a missing file or column, another encoding or form, or no rows.
    """
    rows = []
    for line, cells in read_cells(path, PlainHeader(path, needed)):
        if isinstance(cells, DataError):
            raise cells
        rows.append((f"{path}:{line}", cells))
    if not rows:
        raise DataError(str(path), expected="at least one row", found="none", fix="check the path")
    return rows
