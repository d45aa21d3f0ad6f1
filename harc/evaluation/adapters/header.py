"""The header of a safetensors file that somebody else wrote, believed only where it agrees with the file."""

from pathlib import Path
from typing import Any

from harc.evaluation.adapters.numbers import WIDTHS
from harc.model.tensors import list_entries, name_some

LONGEST = 16 << 20  # bytes of a header; 10,000 tensors take about 1.5 MB
LONGEST_NAME = 1024
MOST_TENSORS = 200_000
MOST_DIMENSIONS = 8


def find_data(path: Path) -> int:
    """Where the numbers of a safetensors file begin, bytes."""
    with path.open("rb") as handle:
        return 8 + int.from_bytes(handle.read(8), "little")


def list_strict_entries(path: Path) -> dict[str, dict[str, Any]]:
    """dtype, shape and data_offsets of a file's tensors by name.

    Stricter than `list_entries`: names and shapes of a sane size, known dtypes, shapes that fill their bytes, and bytes
    that belong to one tensor each, all of them.

    Raises:
        ValueError: with what is wrong in one line.
    """
    start = find_data(path)
    if start - 8 > LONGEST:
        raise ValueError(f"a header of {start - 8:,} bytes, more than {LONGEST:,}")
    header = list_entries(path)
    if not header:
        raise ValueError("a header without tensors")
    if len(header) > MOST_TENSORS:
        raise ValueError(f"{len(header):,} tensors")
    if wrong := [fault for name, entry in header.items() if (fault := _find_fault(name, entry))]:
        raise ValueError(name_some(wrong))
    _check_spans(header, path.stat().st_size - start)
    return header


def _find_fault(name: str, entry: dict[str, Any]) -> str | None:
    """What is wrong with one tensor's entry."""
    start, stop = entry["data_offsets"]
    shape, width = entry["shape"], WIDTHS.get(entry["dtype"])
    if len(name) > LONGEST_NAME:
        return f"a name of {len(name)} characters"
    if not all(type(number) is int for number in (start, stop, *shape)):
        return f"{name} with sizes that are no whole numbers"
    if width is None:
        return f"{name} of the unknown kind {entry['dtype']!r}"
    count = 1
    for extent in shape[:MOST_DIMENSIONS]:
        count = min(count * extent, 1 << 62)
    if len(shape) > MOST_DIMENSIONS or count * width != stop - start:
        return f"{name} with shape {shape[:MOST_DIMENSIONS]} of {entry['dtype']} in {stop - start} bytes"
    return None


def _check_spans(header: dict[str, dict[str, Any]], room: int) -> None:
    """Refuse bytes of two tensors, and of none: other data may hide there."""
    end, last = 0, "the header"
    for start, stop, name in sorted((*entry["data_offsets"], name) for name, entry in header.items()):
        if start < end:
            raise ValueError(f"{last} and {name} overlap at bytes {start} to {min(end, stop)}")
        if start > end:
            raise ValueError(f"bytes {end} to {start} belong to no tensor")
        end, last = stop, name
    if end != room:
        raise ValueError(f"bytes {end} to {room} belong to no tensor")
