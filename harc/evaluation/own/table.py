"""Cells of a user's CSV, JSONL, JSON or Parquet file, by row: the form of the file alone.

What columns are called is columns' affair, what cells mean is prompts'.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from harc.core.errors import DataError
from harc.core.untrusted import parse_json
from harc.evaluation.own.columns import Header
from harc.suites.rows import LONGEST_PROMPT

MAGIC = {
    b"PK\x03\x04": "an Excel workbook or zip archive",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"\x1f\x8b": "a gzip archive",
    b"%PDF": "a PDF file",
    b"\xff\xfe": "byte 0xff: UTF-16 text",
    b"\xfe\xff": "byte 0xfe: UTF-16 text",
    b"SQLite format 3": "a database",
    b"PAR1": "a Parquet file",
}
"""First bytes of files that are given other files' endings."""
LIST_FIELDS = ("jailbreaks",)
"""Fields of a JSON object that hold the rows: JailbreakBench's artifacts."""
PARQUET_ROWS = 1024  # read at a time

Rows = Iterator[tuple[int, dict[str, Any] | DataError]]
"""(line at which a row begins, or its number; its cells by our columns, or why it is no row)."""


def read_cells(path: Path, header: Header, *, lenient: bool = False) -> Rows:
    """The rows of a file.

    Args:
        path: the file; its ending says what it is.
        header: knows what the columns are called; it learns those of this file.
        lenient: whether a file may hold bytes that are no UTF-8; the rows that do are faulty.

    Raises:
        DataError: naming the file and the line, for a file of another kind, or a header that cannot be read.
    """
    ending = path.suffix.lower() or path.name.lower()
    if ending == ".parquet":
        return _read_parquet(path, header)
    text = _read_text(path, lenient)
    return {".csv": _read_csv, ".json": _read_json}.get(ending, _read_jsonl)(path, text, header)


def _read_text(path: Path, lenient: bool) -> str:
    data = _read_bytes(path)
    for start, kind in MAGIC.items():
        if data.startswith(start):
            raise DataError(
                f"{path}:1", expected="UTF-8 text", found=kind, fix="save the file as UTF-8, as CSV or JSONL"
            )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        if lenient:
            return data.decode("utf-8-sig", "surrogateescape")
        line = data[: problem.start].count(b"\n") + 1
        raise DataError(
            f"{path}:{line}",
            expected="UTF-8 text",
            found=f"byte {data[problem.start]:#04x}",
            fix="save the file as UTF-8 (`iconv -f latin1 -t utf-8`, if it is Latin-1)",
        ) from None


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as problem:
        found = "no such file" if isinstance(problem, FileNotFoundError) else str(problem.strerror)
        raise DataError(str(path), expected="a prompt file", found=found, fix="check the path") from None


def _read_csv(path: Path, text: str, header: Header) -> Rows:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    csv.field_size_limit(max(LONGEST_PROMPT + 1, csv.field_size_limit()))
    try:
        names = next(reader, [])
    except csv.Error as problem:
        raise _refuse_line(path, reader.line_num, problem) from None
    if fault := _find_quotes(f"{path}:1", names):
        raise fault
    reading = header.find(names, f"{path}:1", table=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as problem:  # the reader goes on with the line after it
            yield line, _refuse_line(path, reader.line_num, problem)
            continue
        if cells is None:
            return
        if cells and len(cells) != len(names):
            yield (
                line,
                DataError(
                    f"{path}:{line}",
                    expected=f"{len(names)} cells, as in the header",
                    found=str(len(cells)),
                    fix="put cells with commas or line breaks in double quotes",
                ),
            )
        elif fault := _find_quotes(f"{path}:{line}", cells):
            yield line, fault
        elif cells:
            yield line, reading.read(cells)


def _refuse_line(path: Path, line: int, problem: csv.Error) -> DataError:
    return DataError(
        f"{path}:{line}",
        expected="a CSV row",
        found=str(problem),
        fix="put cells with commas, quotes or line breaks in double quotes, and close every quote",
    )


def _find_quotes(where: str, cells: Sequence[str]) -> DataError | None:
    """A quote behind a space: CSV takes both for text of the cell, and the model would be asked them."""
    for cell in cells:
        if cell[:1].isspace() and len(cell.split()) > 0 and cell.strip()[0] == cell.strip()[-1] == '"':
            return DataError(
                where,
                expected="quotes that begin right behind the comma",
                found=f"a space before {cell.strip()[:40]}",
                fix="take out the spaces behind commas",
            )
    return None


def _read_jsonl(path: Path, text: str, header: Header) -> Rows:
    for line, part in enumerate(text.split("\n"), start=1):
        if not part.strip():
            continue
        try:
            cells = parse_json(part)
        except ValueError as problem:
            yield (
                line,
                DataError(
                    f"{path}:{line}",
                    expected="a JSON object",
                    found=str(problem),
                    fix="mend or remove the line",
                ),
            )
            continue
        yield line, _read_object(cells, f"{path}:{line}", header)


def _read_object(cells: Any, where: str, header: Header) -> dict[str, Any] | DataError:
    if not isinstance(cells, dict):
        return DataError(
            where,
            expected="an object with field prompt",
            found=type(cells).__name__,
            fix="mend or remove the line",
        )
    try:
        return header.find(list(cells), where, table=False).read(list(cells.values()))
    except DataError as problem:
        return problem


def _read_json(path: Path, text: str, header: Header) -> Rows:
    """Rows of a JSON file: a list of objects, or an object that holds one under a name of LIST_FIELDS."""
    try:
        found = parse_json(text)
    except ValueError as problem:
        raise DataError(
            str(path),
            expected="a JSON list of objects",
            found=str(problem),
            fix="mend it, or save it as JSONL",
        ) from None
    if isinstance(found, dict) and (cases := _list_cases(found)):
        found = cases
    if isinstance(found, dict):
        found = next((found[name] for name in LIST_FIELDS if name in found), found)
    if not isinstance(found, list):
        raise DataError(
            str(path),
            expected=f"a JSON list of objects, or an object with one in {' or '.join(LIST_FIELDS)}",
            found=type(found).__name__,
            fix="save the rows as JSONL, one object a line",
        )
    for number, cells in enumerate(found, start=1):
        yield number, _read_object(cells, f"{path}:{number}", header)


def _list_cases(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of HarmBench's results, an object of lists by behavior; none where it is something else."""
    lists = list(found.values())
    if not all(isinstance(part, list) for part in lists):
        return []
    if not all(isinstance(item, dict) and "generation" in item for part in lists for item in part):
        return []
    return [
        {"behavior_id": name, "case": f"{name}-{number:03d}", **item}
        for name, part in found.items()
        for number, item in enumerate(part, start=1)
    ]


def _read_parquet(path: Path, header: Header) -> Rows:
    """Rows of a Parquet file, by number."""
    import pyarrow
    from pyarrow import parquet

    if not path.is_file():
        _read_bytes(path)
    try:
        with parquet.ParquetFile(path) as table:
            names = table.schema_arrow.names
            reading = header.find(names, str(path), table=True)
            number = 0
            for batch in table.iter_batches(PARQUET_ROWS):
                columns = [column.to_pylist() for column in batch.columns]
                for cells in zip(*columns, strict=True):
                    number += 1
                    yield number, reading.read(cells)
    except (pyarrow.ArrowException, OSError, ValueError) as problem:
        raise DataError(
            str(path),
            expected="a Parquet file",
            found=str(problem).split("\n")[0][:200],
            fix="write it again, or save the rows as JSONL",
        ) from None
