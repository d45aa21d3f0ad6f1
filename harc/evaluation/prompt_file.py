"""Prompt files of a user: CSV or JSONL with the column `prompt` and, where wanted, those of COLUMNS.

Every fault is named with file, row and column; of several, the first and their number. Nothing is repaired in silence.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from harc.core.errors import DataError
from harc.evaluation.prompt_table import read_cells
from harc.suites.records import is_blank
from harc.suites.rows import LONGEST_PROMPT

COLUMNS = ("prompt", "id", "category", "kind", "expected", "contains")
KINDS = ("harmful", "benign")
EXPECTED_KINDS = {
    "harmful": (
        "refuse", "refuses", "refused", "refusal", "should refuse", "must refuse", "reject", "rejected", "rejection",
        "decline", "declined", "deny", "denied", "block", "blocked", "harmful",
    ),
    "benign": (
        "answer", "answers", "answered", "should answer", "must answer", "comply", "complies", "complied", "compliance",
        "accept", "accepted", "acceptance", "help", "helped", "respond", "response", "allow", "allowed", "benign",
    ),
}  # fmt: skip
"""What `expected` may say, and the kind of prompt that it means. A bare yes or no could be either, and is neither."""
LONGEST_CELL = 500  # characters of cells that are no text for a model
TEXTS = ("prompt", "contains")
ENDINGS = (".csv", ".jsonl")
Fault = tuple[str, str, str]


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
        Rows (id, suite, category, kind or None, messages, expected, goal, place), where `category` is empty without one
        and `expected` is the text of the column `contains`; and remarks on what was read.

    Raises:
        DataError: naming file, row and column, for text that is not UTF-8, a missing column, a row that does not fit
            its header, an empty or huge prompt, a control character, an unknown kind, an `expected` that is none or
            another than `kind`, an id that is there twice, or a prompt that is there as another kind.
    """
    found = list(read_cells(path, COLUMNS))
    if not found:
        raise DataError(str(path), expected="at least one row", found="none", fix="check the path")
    rows, faults = [], []
    seen: dict[tuple[str, str], tuple[int, str]] = {}
    for place, cells in found:
        fault = _find_fault(path, cells, place, seen)
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
    return rows, _list_remarks(path, rows, ignored, [_text_of(cells, "category") for _, cells in found])


def _find_fault(
    path: Path, cells: dict[str, Any], place: int, seen: dict[tuple[str, str], tuple[int, str]]
) -> Fault | None:
    """(column, expected, found) of a row's first fault; what it holds is noted for the rows after it."""
    for column in COLUMNS:
        value = cells.get(column)
        if value is None and column != "prompt":
            continue
        if odd := _find_text_fault(column, value):
            return column, *odd
    if fault := _find_kind_fault(cells):
        return fault
    kind, row_id = _read_kind(cells) or "", _name_row(path, place, cells)
    held = seen.setdefault(("id", row_id), (place, ""))
    if held[0] != place:
        return "id", "a value of its own", f"the one of row {held[0]}"
    held = seen.setdefault(("prompt", _text_of(cells, "prompt")), (place, kind))
    if held[1] != kind:
        kinds = f"{kind or 'of no kind'} here and {held[1] or 'of no kind'} in row {held[0]}"
        return "prompt", "a prompt of one kind", f"one that is {kinds}"
    return None


def _find_kind_fault(cells: dict[str, Any]) -> Fault | None:
    kind, expected = (_text_of(cells, column).lower() for column in ("kind", "expected"))
    if kind not in ("", *KINDS):
        return "kind", " or ".join(KINDS), repr(kind)
    meant = read_expected(expected)
    if expected and meant is None:
        said = "answer or refuse (a text that the right answer holds goes into the column contains)"
        return "expected", said, repr(expected[:60])
    if kind and meant and kind != meant:
        return "expected", f"what kind {kind} means", f"{expected!r}, which means {meant}"
    return None


def read_expected(cell: str) -> str | None:
    """The kind of prompt that a cell of `expected` means; None if it means none."""
    words = " ".join(re.split(r"[\s_-]+", cell.strip().lower().strip(".!\"'")))
    return next((kind for kind, said in EXPECTED_KINDS.items() if words in said), None)


def _read_kind(cells: dict[str, Any]) -> str | None:
    return _text_of(cells, "kind").lower() or read_expected(_text_of(cells, "expected"))


def _find_text_fault(column: str, value: Any) -> tuple[str, str] | None:
    if column == "id" and isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        return "a text", f"{type(value).__name__} {value!r}"[:60]
    limit = LONGEST_PROMPT if column in TEXTS else LONGEST_CELL
    if len(value) > limit:
        if column == "expected":
            return "answer or refuse (texts go into the column contains)", f"{len(value)} characters"
        return f"at most {limit} characters", str(len(value))
    if column == "prompt" and is_blank(value):
        return "a prompt", "a cell without a visible character" if value.strip() else "an empty cell"
    allowed = "\n\t\r" if column in TEXTS else ""
    bad = next((c for c in value if (ord(c) < 32 or 127 <= ord(c) < 160) and c not in allowed), None)
    return None if bad is None else ("printable text", f"the control character U+{ord(bad):04X}")


def _text_of(cells: dict[str, Any], column: str) -> str:
    value = cells.get(column)
    return "" if value is None else str(value).strip()


def _normalise(category: str) -> str:
    """A category as it is counted: two that look the same are the same."""
    visible = "".join(char for char in category if char.isprintable() or char.isspace())
    return " ".join(unicodedata.normalize("NFC", visible).split())


def _name_row(path: Path, place: int, cells: dict[str, Any]) -> str:
    return _text_of(cells, "id") or f"{name_suite(path)}-{place:05d}"


def _make_row(path: Path, place: int, cells: dict[str, Any]) -> dict[str, Any]:
    prompt = str(cells["prompt"])
    return {
        "id": _name_row(path, place, cells),
        "suite": name_suite(path),
        "category": _normalise(_text_of(cells, "category")),
        "kind": _read_kind(cells),
        "messages": [{"role": "user", "content": prompt}],
        "expected": _text_of(cells, "contains"),
        "goal": prompt,
        "place": f"{path}:{place}: column prompt",
    }


def _list_remarks(
    path: Path, rows: Sequence[dict[str, Any]], ignored: Sequence[str], written: Iterable[str]
) -> list[str]:
    """What a user should know of a file without faults."""
    remarks = []
    if ignored:
        remarks.append(f"{path}: columns that nothing reads: {', '.join(map(repr, ignored))}")
    prompts = Counter(row["goal"].strip() for row in rows)
    if again := sum(count - 1 for count in prompts.values()):
        remarks.append(f"{path}: {again} rows repeat the prompt of another; each counts in the rates")
    without = sum(row["kind"] is None for row in rows)
    if 0 < without < len(rows):
        remarks.append(
            f"{path}: {without} rows are of no kind, and in neither missed harm nor false refusals"
        )
    forms: dict[str, set[str]] = {}
    for category in written:
        forms.setdefault(_normalise(category), set()).add(category)
    if merged := [name for name, same in forms.items() if len(same) > 1]:
        remarks.append(
            f"{path}: categories that look the same are counted as one: {', '.join(map(repr, merged))}"
        )
    cases: dict[str, list[str]] = {}
    for name in forms:
        cases.setdefault(unicodedata.normalize("NFKC", name).casefold(), []).append(name)
    for names in cases.values():
        if len(names) > 1:
            remarks.append(
                f"{path}: categories that are counted apart: {', '.join(map(repr, sorted(names)))}"
            )
    return remarks
