"""The values of an artifact by name, with their intervals: tables, records, macros and tensors alike."""

import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harc.core.csv_files import read_csv_rows
from harc.core.errors import DataError
from harc.core.files import read_json, read_jsonl

# Columns that say which row of a table a row is.
ROW_NAMES = (
    *("backbone", "method", "reference", "seed", "suite", "metric", "criterion", "claim", "side", "axis"),
    *("id", "name", "topic", "setting", "switch"),
)
# Interval columns that are not named after their value.
INTERVALS = {
    "rate": ("ci_low", "ci_high"),
    "difference": ("low", "high"),
    "estimate": ("low", "high"),
    "area": ("low", "high"),
}
MACRO = re.compile(r"\\newcommand\{\\(\w+)\}\{(.*)\}")
OWN_PATH = re.compile(
    r"^results/(reference/)?[^/]+/"
)  # a tree's path inside its files; trees may lie anywhere


@dataclass(frozen=True)
class Value:
    """A number or a text of an artifact; numbers may have an interval."""

    value: float | str
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        """As shown to a person."""
        if isinstance(self.value, str):
            return self.value if len(self.value) <= 60 else f"{self.value[:57]}..."
        if self.low is None:
            return f"{self.value:.6g}"
        return f"{self.value:.6g} [{self.low:.6g}, {self.high:.6g}]"


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _make_value(value: Any, low: float | None = None, high: float | None = None) -> Value:
    if isinstance(value, bool) or value is None:
        return Value(json.dumps(value))
    if isinstance(value, int | float):
        return Value(float(value), low, high)
    number = _number(str(value))
    if number is not None:
        return Value(number, low, high)
    return Value(OWN_PATH.sub("results://", str(value)))


def _interval(row: dict[str, str], column: str) -> tuple[float | None, float | None]:
    low, high = INTERVALS.get(column, (f"{column}_low", f"{column}_high"))
    found = _number(row.get(low) or ""), _number(row.get(high) or "")
    return found if None not in found else (None, None)


def read_table(path: Path) -> Iterator[tuple[str, Value]]:
    """Values of a CSV file by row and column; a value's interval goes with it."""
    _, rows = read_csv_rows(path)
    seen: dict[str, int] = {}
    for row in rows:
        name = " ".join(row[column] for column in ROW_NAMES if row.get(column))
        seen[name] = seen.get(name, 0) + 1
        place = name if seen[name] == 1 else f"{name} #{seen[name]}"
        bounds = {
            bound for column in row for bound in INTERVALS.get(column, (f"{column}_low", f"{column}_high"))
        }
        for column, text in row.items():
            if column not in ROW_NAMES and column not in bounds:
                yield f"{place}: {column}", _make_value(text, *_interval(row, column))


def _flatten(value: Any, place: str) -> Iterator[tuple[str, Value]]:
    if isinstance(value, dict):
        for name in sorted(value):
            yield from _flatten(value[name], f"{place}.{name}" if place else str(name))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _flatten(item, f"{place}[{number}]")
    else:
        yield place, _make_value(value)


def read_object(path: Path) -> Iterator[tuple[str, Value]]:
    """Values of a JSON file by their path in it."""
    yield from _flatten(read_json(path), "")


def read_records(path: Path) -> Iterator[tuple[str, Value]]:
    """Values of a JSONL file by record (its id, else its line) and path."""
    for number, row in enumerate(read_jsonl(path), start=1):
        yield from _flatten(row, str(row.get("id", f"line {number}")))


def read_macros(path: Path) -> Iterator[tuple[str, Value]]:
    """Values of LaTeX macros by name; of other LaTeX, its lines."""
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, start=1):
        match = MACRO.fullmatch(line.strip())
        yield (match[1], _make_value(match[2])) if match else (f"line {number}", Value(line))


def read_tensor_values(path: Path) -> Iterator[tuple[str, Value]]:
    """Every entry of every tensor, and the tensors' shapes."""
    from harc.audit.tensors import read_tensors

    for name, tensor in sorted(read_tensors(path).items()):
        yield f"{name} shape", Value(f"{tensor.dtype} {tensor.shape}")
        for number, entry in enumerate(tensor.ravel().tolist()):
            yield f"{name}[{number}]", Value(float(entry))


READERS: dict[str, Callable[[Path], Iterator[tuple[str, Value]]]] = {
    ".csv": read_table,
    ".json": read_object,
    ".jsonl": read_records,
    ".tex": read_macros,
    ".safetensors": read_tensor_values,
}


def read_values(path: Path) -> dict[str, Value] | None:
    """The values of a file; None for one that is compared by its bytes (figures, pages), or that cannot be read."""
    reader = READERS.get(path.suffix)
    if reader is None:
        return None
    from safetensors import SafetensorError

    try:
        return dict(reader(path))
    except (SafetensorError, DataError, ValueError, ArithmeticError, OSError):
        return None


def agree(a: Value, b: Value, tolerance: float) -> bool:
    """Whether two values are the same: texts exactly, numbers within a relative tolerance."""
    if isinstance(a.value, str) or isinstance(b.value, str):
        return a.value == b.value
    if math.isnan(a.value) or math.isnan(b.value):
        return math.isnan(a.value) and math.isnan(b.value)
    return math.isclose(a.value, b.value, rel_tol=tolerance, abs_tol=0.0)


def overlap(a: Value, b: Value) -> bool | None:
    """Whether the intervals of two numbers overlap; None where one has none."""
    if a.low is None or b.low is None or a.high is None or b.high is None:
        return None
    return a.low <= b.high and b.low <= a.high
