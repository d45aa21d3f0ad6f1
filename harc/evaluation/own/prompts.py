"""Prompt files of a user: CSV, JSONL, JSON or Parquet with the column `prompt` and, where wanted, those of COLUMNS.

Every fault is named with file, row and column; of several, the first and their number. Nothing is repaired in silence.
"""

import json
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harc.core.errors import DataError
from harc.core.untrusted import replace_surrogates
from harc.evaluation.agents.calls import list_names
from harc.evaluation.own.columns import COLUMNS, Header
from harc.evaluation.own.table import read_cells
from harc.evaluation.own.turns import (
    CellFault,
    describe_turns,
    find_control,
    read_patterns,
    read_tools,
    read_turns,
)
from harc.suites.records import find_prompt, is_blank
from harc.suites.rows import LONGEST_PROMPT

KIND_WORDS = {
    "harmful": ("harmful", "unsafe", "malicious", "harm"),
    "benign": ("benign", "safe", "harmless", "unharmful"),
    "injected": ("injected", "injection", "prompt injection"),
}
KINDS = tuple(KIND_WORDS)
"""What `kind` may say. A bare yes or no needs a header that asks, such as is_harmful."""
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
TEXTS = ("prompt", "contains", "goal")
NO_TEXTS = ("messages", "tools", "calls", "weight", "response")
ENDINGS = (".csv", ".jsonl", ".json", ".parquet")
SHOWN_FAULTS = 10  # rows left out that are named one by one
Fault = tuple[str, str, str]


@dataclass(frozen=True)
class FaultyRow:
    """A row that was left out: its line or number, the column (empty: the row itself), and why."""

    place: int
    column: str
    expected: str
    found: str


@dataclass(frozen=True)
class PromptFile:
    """What a prompt file holds.

    Attributes:
        rows: see read_prompts.
        remarks: what a user should know of it.
        faulty: rows that were left out, since they were asked to be.
    """

    rows: list[dict[str, Any]]
    remarks: list[str] = field(default_factory=list)
    faulty: list[FaultyRow] = field(default_factory=list)


def is_prompt_file(name: str) -> bool:
    """Whether a suite's name is the path of a file."""
    return name.lower().endswith(ENDINGS)


def name_suite(path: Path) -> str:
    """The suite's name: the file's, in letters, digits and low lines."""
    return re.sub(r"[^a-z0-9]+", "_", path.stem.lower()).strip("_") or "prompts"


def read_prompt_file(path: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """Rows of a prompt file whose prompts are single texts, with the prompt as `goal`, and remarks.

    Raises:
        DataError: as read_prompts, and for a row with tools or several turns.
    """
    found = read_prompts(path)
    for row in found.rows:
        if len(row["messages"]) > 1 or "tools" in row:
            raise DataError(
                row["place"],
                expected="one user turn",
                found="several turns, or tools",
                fix="take the row out",
            )
    return [row | {"goal": row["messages"][0]["content"]} for row in found.rows], found.remarks


def read_prompts(path: Path, *, skip_faulty: bool = False, collapse: bool = False) -> PromptFile:
    """Rows of a prompt file, checked.

    Args:
        path: a file that ends in one of ENDINGS.
        skip_faulty: whether faulty rows are left out and listed, in place of an error.
        collapse: whether rows that repeat the conversation and tools of another are left out.

    Returns:
        Rows (id, suite, category, kind or None, messages, expected, goal, place; tools, language, weight, policy,
        calls, canary, response and decision where there are any), where `category` is empty without one, `expected` is
        the text of the column `contains`, and `decision` is what a policy layer said
        (see harc.evaluation.policy.recorded).

    Raises:
        DataError: naming file, row and column, for text that is not UTF-8, a missing column, a row that does not fit
            its header, an empty or huge prompt, a control character, an unknown kind, an `expected` that is none or
            another than `kind`, an id that is there twice, a prompt that is there as another kind, turns or tools
            that are none, or a weight that is no positive number.
    """
    reader = _Reader(path)
    rows, faults, first = [], [], None
    held = Counter[str]()
    for place, cells in read_cells(path, reader.header, lenient=skip_faulty):
        held["rows"] += 1
        if isinstance(cells, DataError):
            faults.append(FaultyRow(place, "", cells.expected, cells.found))
            first = first or cells
            continue
        form = reader.header.format
        if form is not None and form.unasked and cells.get("prompt") is None:
            held["unasked"] += 1
            continue
        row = reader.read(place, cells)
        if isinstance(row, FaultyRow):
            faults.append(row)
        elif collapse and reader.repeats:
            held["collapsed"] += 1
        else:
            rows.append(row)
    if not held["rows"]:
        raise DataError(str(path), expected="at least one row", found="none", fix="check the path")
    if faults and (not skip_faulty or not rows):
        raise _refuse_rows(path, faults, first, len(rows))
    if not rows:
        raise DataError(str(path), expected="at least one prompt", found="none", fix="check the path")
    return PromptFile(rows, _list_remarks(path, reader, rows, faults, held), faults)


def _refuse_rows(path: Path, faults: Sequence[FaultyRow], first: DataError | None, whole: int) -> DataError:
    """The error for a file with faulty rows: the first of them, and how many there are."""
    place, more = faults[0], f"; {len(faults) - 1} more rows have faults" if len(faults) > 1 else ""
    if whole:
        more += " (--skip-bad-rows leaves them out)" if more else " (--skip-bad-rows leaves it out)"
    if not place.column and first is not None:
        return DataError(first.where, expected=first.expected, found=first.found, fix=first.fix + more)
    return DataError(
        f"{path}:{place.place}: column {place.column}",
        expected=place.expected,
        found=place.found,
        fix=f"mend or remove the row{more}",
    )


class _Reader:
    """Reads the rows of one file, one after the other.

    Attributes:
        repeats: whether the row that was read last repeats another.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.suite, self.header = path, name_suite(path), Header(path)
        self.repeats = False
        self.written: list[str] = []
        self._ids: dict[str, int] = {}
        self._prompts: dict[str, tuple[int, str]] = {}

    def read(self, place: int, cells: dict[str, Any]) -> dict[str, Any] | FaultyRow:
        """A row, or its first fault; what it holds is noted for the rows after it."""
        try:
            for column in COLUMNS:
                value = cells.get(column)
                if column in NO_TEXTS or (value is None and column != "prompt"):
                    continue
                if column == "prompt" and "messages" in cells and (value is None or value == ""):
                    continue
                _check_text(column, value)
            _check_kind(cells)
            row = self._make_row(place, cells)
        except _ColumnFault as problem:
            return FaultyRow(place, *problem.args)
        return self._compare(place, row) or row

    def _make_row(self, place: int, cells: dict[str, Any]) -> dict[str, Any]:
        turns, prompt = _read_messages(cells), cells.get("prompt")
        category = _text_of(cells, "category")
        self.written.append(category)
        row: dict[str, Any] = {
            "id": _text_of(cells, "id") or f"{self.suite}-{place:05d}",
            "suite": self.suite,
            "category": _normalise(category),
            "kind": read_kind(_text_of(cells, "kind")) or read_expected(_text_of(cells, "expected")),
            "messages": turns,
            "expected": _text_of(cells, "contains"),
            "goal": cells["goal"] if _text_of(cells, "goal") else find_prompt(turns),
            "place": f"{self.path}:{place}: column {'messages' if not prompt else 'prompt'}",
        }
        if decision := _text_of(cells, "decision"):
            row["decision"] = decision
        for column in ("language", "policy"):
            if text := _text_of(cells, column):
                row[column] = _normalise(text)
        if _holds(cells, "tools"):
            row["tools"] = _read_cell("tools", cells["tools"], read_tools)
        _read_watched(cells, row)
        if "response" in cells:
            row["response"] = _read_response(cells["response"])
        if _holds(cells, "weight"):
            row["weight"] = _read_cell("weight", cells["weight"], _read_weight)
        return row

    def _compare(self, place: int, row: dict[str, Any]) -> FaultyRow | None:
        """What is wrong with a row beside those before it."""
        first = self._ids.setdefault(row["id"], place)
        if first != place:
            return FaultyRow(place, "id", "a value of its own", f"the one of row {first}")
        asked = describe_turns(row["messages"])
        if "tools" in row:
            asked += f"\x00{json.dumps(row['tools'], sort_keys=True)}"
        kind = row["kind"] or ""
        first, held = self._prompts.setdefault(asked, (place, kind))
        self.repeats = first != place
        if held != kind:
            kinds = f"{kind or 'of no kind'} here and {held or 'of no kind'} in row {first}"
            return FaultyRow(place, "prompt", "a prompt of one kind", f"one that is {kinds}")
        return None


class _ColumnFault(Exception):
    """A fault with its column: (column, expected, found)."""


def _read_cell(column: str, cell: Any, read: Any) -> Any:
    try:
        return read(cell)
    except CellFault as problem:
        raise _ColumnFault(column, problem.expected, problem.found) from None


def _read_watched(cells: dict[str, Any], row: dict[str, Any]) -> None:
    """Add what the calls of an answer mean, and the canary; a row with an injection needs one of the two."""
    if _holds(cells, "calls"):
        names = list_names(row.get("tools", ()))
        row["calls"] = _read_cell("calls", cells["calls"], lambda cell: read_patterns(cell, names))
    if canary := _text_of(cells, "canary"):
        if canary.casefold() in describe_turns(row["messages"]).casefold():
            raise _ColumnFault("canary", "a text that the conversation does not hold", f"{canary!r:.40}")
        row["canary"] = canary
    if (row["kind"] == "injected" or "canary" in row) and "tools" not in row:
        raise _ColumnFault("tools", "a JSON list of tools, since the row is of an agent", "none")
    if row["kind"] == "injected" and not ("canary" in row or row.get("calls", {}).get("injected")):
        raise _ColumnFault("calls", "the injected call, or a canary, by which success is known", "neither")


def _read_response(cell: Any) -> str | None:
    """A recorded answer; None where there is none. An empty one is an answer."""
    if cell is not None and not isinstance(cell, str):
        raise _ColumnFault("response", "a text", f"{type(cell).__name__} {cell!r}"[:60])
    return None if cell is None else replace_surrogates(cell)


def _holds(cells: dict[str, Any], column: str) -> bool:
    return cells.get(column) not in (None, "") and bool(str(cells[column]).strip())


def _read_messages(cells: dict[str, Any]) -> list[dict[str, Any]]:
    """The turns of a row; a prompt beside them may only repeat the last."""
    if not _holds(cells, "messages"):
        if "messages" in cells and "prompt" not in cells:
            raise _ColumnFault("messages", "a JSON list of turns with role and content", "an empty cell")
        return [{"role": "user", "content": str(cells["prompt"])}]
    turns = _read_cell("messages", cells["messages"], read_turns)
    prompt = cells.get("prompt")
    if prompt and str(prompt).strip() != find_prompt(turns).strip():
        raise _ColumnFault("prompt", "nothing, or the last turn of messages", "another text")
    return turns


def _read_weight(cell: Any) -> float:
    try:
        weight = math.nan if isinstance(cell, bool) else float(cell)
    except (TypeError, ValueError, OverflowError):
        weight = math.nan
    if not (math.isfinite(weight) and weight > 0):
        raise CellFault("a number above 0", repr(cell)[:60])
    return weight


def _check_kind(cells: dict[str, Any]) -> None:
    kind, expected = (_text_of(cells, column).lower() for column in ("kind", "expected"))
    means = read_kind(kind)
    if kind and means is None:
        raise _ColumnFault("kind", " or ".join(KINDS), repr(kind))
    meant = read_expected(expected)
    if expected and meant is None:
        said = "answer or refuse (a text that the right answer holds goes into the column contains)"
        raise _ColumnFault("expected", said, repr(expected[:60]))
    if means and meant and means != meant:
        raise _ColumnFault("expected", f"what kind {kind} means", f"{expected!r}, which means {meant}")


def read_kind(cell: str) -> str | None:
    """The kind that a cell of `kind` names; None if it names none."""
    word = cell.strip().lower()
    return next((kind for kind, said in KIND_WORDS.items() if word in said), None)


def read_expected(cell: str) -> str | None:
    """The kind of prompt that a cell of `expected` means; None if it means none."""
    words = " ".join(re.split(r"[\s_-]+", cell.strip().lower().strip(".!\"'")))
    return next((kind for kind, said in EXPECTED_KINDS.items() if words in said), None)


def _check_text(column: str, value: Any) -> None:
    if column == "id" and isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise _ColumnFault(column, "a text", f"{type(value).__name__} {value!r}"[:60])
    limit = LONGEST_PROMPT if column in TEXTS else LONGEST_CELL
    if len(value) > limit:
        if column == "expected":
            said = "answer or refuse (texts go into the column contains)"
            raise _ColumnFault(column, said, f"{len(value)} characters")
        raise _ColumnFault(column, f"at most {limit} characters", str(len(value)))
    if column == "prompt" and is_blank(value):
        found = "a cell without a visible character" if value.strip() else "an empty cell"
        raise _ColumnFault(column, "a prompt", found)
    if bad := find_control(value, "\n\t\r" if column in TEXTS else ""):
        raise _ColumnFault(column, "printable text", bad)


def _text_of(cells: dict[str, Any], column: str) -> str:
    value = cells.get(column)
    return "" if value is None else str(value).strip()


def _normalise(category: str) -> str:
    """A category as it is counted: two that look the same are the same."""
    visible = "".join(char for char in category if char.isprintable() or char.isspace())
    return " ".join(unicodedata.normalize("NFC", visible).split())


def _list_remarks(
    path: Path,
    reader: _Reader,
    rows: Sequence[dict[str, Any]],
    faults: Sequence[FaultyRow],
    held: Counter[str],
) -> list[str]:
    """What a user should know of a file."""
    remarks = reader.header.list_remarks()
    if reader.header.format is not None:
        kinds = Counter(row["kind"] or "of no kind" for row in rows)
        said = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
        remarks[0] += f": {len(rows)} prompts, {said}"
    if held["unasked"]:
        remarks.append(f"{path}: {held['unasked']} rows without a prompt are left out")
    for fault in faults[:SHOWN_FAULTS]:
        column = f": column {fault.column}" if fault.column else ""
        remarks.append(
            f"{path}:{fault.place}{column}: left out: expected {fault.expected}; found {fault.found}"
        )
    if faults:
        remarks.append(f"{path}: {len(faults)} of {held['rows']} rows are left out, since they have faults")
    if held["collapsed"]:
        remarks.append(f"{path}: {held['collapsed']} rows that repeat the prompt of another are left out")
    prompts = Counter(describe_turns(row["messages"]) for row in rows)
    if again := sum(count - 1 for count in prompts.values()):
        remarks.append(f"{path}: {again} rows repeat the prompt of another; each counts in the rates")
    without = sum(row["kind"] is None for row in rows)
    if 0 < without < len(rows):
        remarks.append(
            f"{path}: {without} rows are of no kind, and in neither missed harm nor false refusals"
        )
    return remarks + _compare_categories(path, reader.written)


def _compare_categories(path: Path, written: Iterable[str]) -> list[str]:
    """Remarks on categories that look alike."""
    remarks = []
    forms: dict[str, set[str]] = {}
    for category in dict.fromkeys(written):
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
