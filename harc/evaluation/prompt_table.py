"""Cells of a user's CSV or JSONL file, by row: the form of the file alone; what cells mean is prompt_file's affair."""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from harc.core.errors import DataError
from harc.core.untrusted import parse_json
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
DELIMITERS = {";": "semicolons", "\t": "tabs", "|": "bars"}

Rows = Iterator[tuple[int, dict[str, Any]]]


def read_cells(path: Path, columns: Sequence[str]) -> Rows:
    """(line at which a row begins, cells by column) of a file; names of `columns` count in any case.

    Raises:
        DataError: naming the file and the line, for a file that is none of text, or a row that does not fit.
    """
    text = _read_text(path)
    return (_read_csv if path.name.lower().endswith(".csv") else _read_jsonl)(path, text, columns)


def _read_text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as problem:
        found = "no such file" if isinstance(problem, FileNotFoundError) else str(problem.strerror)
        raise DataError(str(path), expected="a prompt file", found=found, fix="check the path") from None
    for start, kind in MAGIC.items():
        if data.startswith(start):
            raise DataError(
                f"{path}:1", expected="UTF-8 text", found=kind, fix="save the file as UTF-8, as CSV or JSONL"
            )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = data[: problem.start].count(b"\n") + 1
        raise DataError(
            f"{path}:{line}",
            expected="UTF-8 text",
            found=f"byte {data[problem.start]:#04x}",
            fix="save the file as UTF-8 (`iconv -f latin1 -t utf-8`, if it is Latin-1)",
        ) from None


def _name_columns(names: Sequence[Any], columns: Sequence[str]) -> list[str]:
    """Our own names as we write them, whatever their case and spaces; others as they are."""
    plain = [str(name).strip() for name in names]
    return [name.lower() if name.lower() in columns else name for name in plain]


def _read_csv(path: Path, text: str, columns: Sequence[str]) -> Rows:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    csv.field_size_limit(max(LONGEST_PROMPT + 1, csv.field_size_limit()))
    try:
        header = next(reader, [])
        _check_quotes(f"{path}:1", header)
        header = _name_columns(header, columns)
        _check_header(path, header, columns)
        line = reader.line_num + 1
        for cells in reader:
            if cells and len(cells) != len(header):
                raise DataError(
                    f"{path}:{line}",
                    expected=f"{len(header)} cells, as in the header",
                    found=str(len(cells)),
                    fix="put cells with commas or line breaks in double quotes",
                )
            _check_quotes(f"{path}:{line}", cells)
            if cells:
                yield line, dict(zip(header, cells, strict=True))
            line = reader.line_num + 1
    except csv.Error as problem:
        raise DataError(
            f"{path}:{reader.line_num}",
            expected="a CSV row",
            found=str(problem),
            fix="put cells with commas, quotes or line breaks in double quotes, and close every quote",
        ) from None


def _check_quotes(where: str, cells: Sequence[str]) -> None:
    """Refuse a quote behind a space: CSV takes both for text of the cell, and the model would be asked them."""
    for cell in cells:
        if cell[:1].isspace() and len(cell.split()) > 0 and cell.strip()[0] == cell.strip()[-1] == '"':
            raise DataError(
                where,
                expected="quotes that begin right behind the comma",
                found=f"a space before {cell.strip()[:40]}",
                fix="take out the spaces behind commas",
            )


def _check_header(path: Path, header: list[str], columns: Sequence[str]) -> None:
    if "prompt" in header and len(set(header)) == len(header):
        return
    other = next((name for mark, name in DELIMITERS.items() if any(mark in cell for cell in header)), None)
    raise DataError(
        f"{path}:1",
        expected=f"a header with column prompt and, if wanted, {', '.join(columns[1:])}, each once",
        found=", ".join(header) or "an empty file",
        fix=f"separate cells by commas, not {other}" if other else "name the columns in the first line",
    )


def _read_jsonl(path: Path, text: str, columns: Sequence[str]) -> Rows:
    for line, part in enumerate(text.split("\n"), start=1):
        if not part.strip():
            continue
        try:
            cells = parse_json(part)
        except ValueError as problem:
            raise DataError(
                f"{path}:{line}", expected="a JSON object", found=str(problem), fix="mend or remove the line"
            ) from None
        if not isinstance(cells, dict):
            found = type(cells).__name__
        else:
            names = _name_columns(list(cells), columns)
            twice = next((name for name in names if names.count(name) > 1), None)
            found = f"the field {twice} twice" if twice else f"the fields {', '.join(map(str, cells))}"
            if "prompt" in names and twice is None:
                yield line, dict(zip(names, cells.values(), strict=True))
                continue
        raise DataError(
            f"{path}:{line}",
            expected="an object with field prompt",
            found=found,
            fix="mend or remove the line",
        )
