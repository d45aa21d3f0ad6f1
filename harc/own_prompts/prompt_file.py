"""Prompt files of a user: CSV or JSONL with the column `prompt` and, where wanted, id, category, kind and expected.

Every fault is named with file, row and column; of several, the first and their number. Nothing is repaired in silence.
"""

import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harc.errors import DataError
from harc.evaluation.rows import LONGEST_PROMPT

COLUMNS = ("prompt", "id", "category", "kind", "expected")
KINDS = ("harmful", "benign")
LONGEST_CELL = 500  # characters of id and category
ENDINGS = (".csv", ".jsonl")


def is_prompt_file(name: str) -> bool:
    """Whether a suite's name is the path of a file."""
    return name.lower().endswith(ENDINGS)


def name_suite(path: Path) -> str:
    """The suite's name: the file's, in letters, digits and low lines."""
    return re.sub(r"[^a-z0-9]+", "_", path.stem.lower()).strip("_") or "prompts"


def read_prompt_file(path: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """Rows of a prompt file, checked.

    Args:
        path: a file that ends in .csv or .jsonl.

    Returns:
        Rows (id, suite, category, kind or None, messages, expected, goal, place), and the columns that were ignored.

    Raises:
        DataError: naming file, row and column, for text that is not UTF-8, a missing column, a row that does not fit
            its header, an empty or huge prompt, a control character, an unknown kind, or an id or prompt that is
            there twice.
    """
    text = _read_text(path)
    found = list(_read_csv(path, text) if path.suffix.lower() == ".csv" else _read_jsonl(path, text))
    if not found:
        raise DataError(str(path), expected="at least one row", found="none", fix="check the path")
    rows, faults = [], []
    seen: dict[tuple[str, str], int] = {}
    for place, cells in found:
        fault = _find_fault(cells, place, seen)
        if fault:
            faults.append((place, *fault))
        else:
            rows.append(_make_row(path, place, cells))
    if faults:
        place, column, expected, what = faults[0]
        more = f"; {len(faults) - 1} more rows have faults" if len(faults) > 1 else ""
        raise DataError(
            f"{path}:{place}: column {column}",
            expected=expected,
            found=what,
            fix=f"mend or remove the row{more}",
        )
    ignored = sorted({str(name) for _, cells in found for name in cells} - set(COLUMNS))
    return rows, ignored


def _read_text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as problem:
        found = "no such file" if isinstance(problem, FileNotFoundError) else str(problem.strerror)
        raise DataError(str(path), expected="a prompt file", found=found, fix="check the path") from None
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


def _read_csv(path: Path, text: str) -> Iterator[tuple[int, dict[str, str]]]:
    """(line at which the row begins, cells by column)."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    csv.field_size_limit(max(LONGEST_PROMPT + 1, csv.field_size_limit()))
    try:
        header = [name.strip() for name in next(reader, [])]
        _check_header(path, header)
        line = reader.line_num + 1
        for cells in reader:
            if cells and len(cells) != len(header):
                raise DataError(
                    f"{path}:{line}",
                    expected=f"{len(header)} cells, as in the header",
                    found=str(len(cells)),
                    fix="put cells with commas or line breaks in double quotes",
                )
            if cells:
                yield line, dict(zip(header, cells, strict=True))
            line = reader.line_num + 1
    except csv.Error as problem:
        raise DataError(
            f"{path}:{reader.line_num}",
            expected="a CSV row",
            found=str(problem),
            fix="put cells with commas, quotes or line breaks in double quotes",
        ) from None


def _check_header(path: Path, header: list[str]) -> None:
    if "prompt" not in header or len(set(header)) != len(header):
        raise DataError(
            f"{path}:1",
            expected=f"a header with column prompt and, if wanted, {', '.join(COLUMNS[1:])}, each once",
            found=", ".join(header) or "an empty file",
            fix="name the columns in the first line",
        )


def _read_jsonl(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for line, part in enumerate(text.split("\n"), start=1):
        if not part.strip():
            continue
        try:
            cells = json.loads(part)
        except json.JSONDecodeError as problem:
            raise DataError(
                f"{path}:{line}", expected="a JSON object", found=problem.msg, fix="mend or remove the line"
            ) from None
        if not isinstance(cells, dict) or "prompt" not in cells:
            found = (
                f"the fields {', '.join(map(str, cells))}"
                if isinstance(cells, dict)
                else type(cells).__name__
            )
            raise DataError(
                f"{path}:{line}",
                expected="an object with field prompt",
                found=found,
                fix="mend or remove the line",
            )
        yield line, cells


def _find_fault(
    cells: dict[str, Any], place: int, seen: dict[tuple[str, str], int]
) -> tuple[str, str, str] | None:
    """(column, expected, found) of a row's first fault; what it holds is noted for the rows after it."""
    for column in COLUMNS:
        value = cells.get(column)
        if value is None and column != "prompt":
            continue
        fault = _find_text_fault(column, value)
        if fault:
            return column, *fault
    kind = _text_of(cells, "kind").lower()
    if kind not in ("", *KINDS):
        return "kind", " or ".join(KINDS), repr(kind)
    for column in ("id", "prompt"):
        value = _text_of(cells, column)
        if value and (column, value) in seen:
            return column, "a value of its own", f"the one of row {seen[column, value]}"
        seen.setdefault((column, value), place)
    return None


def _find_text_fault(column: str, value: Any) -> tuple[str, str] | None:
    if column == "id" and isinstance(value, int):
        value = str(value)
    if not isinstance(value, str):
        return "a text", f"{type(value).__name__} {value!r}"[:60]
    limit = LONGEST_PROMPT if column in ("prompt", "expected") else LONGEST_CELL
    if len(value) > limit:
        return f"at most {limit} characters", str(len(value))
    if column == "prompt" and not value.strip():
        return "a prompt", "an empty cell"
    allowed = "\n\t\r" if column in ("prompt", "expected") else ""
    bad = next((c for c in value if (ord(c) < 32 or 127 <= ord(c) < 160) and c not in allowed), None)
    return None if bad is None else ("printable text", f"the control character U+{ord(bad):04X}")


def _text_of(cells: dict[str, Any], column: str) -> str:
    value = cells.get(column)
    return "" if value is None else str(value).strip()


def _make_row(path: Path, place: int, cells: dict[str, Any]) -> dict[str, Any]:
    suite, prompt = name_suite(path), str(cells["prompt"])
    return {
        "id": _text_of(cells, "id") or f"{suite}-{place:05d}",
        "suite": suite,
        "category": _text_of(cells, "category") or "uncategorised",
        "kind": _text_of(cells, "kind").lower() or None,
        "messages": [{"role": "user", "content": prompt}],
        "expected": _text_of(cells, "expected"),
        "goal": prompt,
        "place": f"{path}:{place}: column prompt",
    }
