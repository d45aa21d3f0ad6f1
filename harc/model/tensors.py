"""Reading safetensors files: the one place where tensors come from disk."""

import os
from pathlib import Path
from typing import Any, Literal

from harc.core.errors import ArtifactError, DataError, HarcError
from harc.core.untrusted import parse_json
from harc.model.problems import summarize_problem

MOST_HEADER_BYTES = 100_000_000
"""Length of a header; the library's own limit."""


def read_header(path: Path) -> dict[str, Any]:
    """Header of a safetensors file: dtype, shape and data_offsets by tensor name, and `__metadata__`.

    Stricter than the library: a name given twice is refused, and sizes are compared with the file's own.

    Raises:
        ValueError: with what is wrong in one line.
    """
    size = os.path.getsize(path)
    with open(path, "rb") as handle:
        length = int.from_bytes(handle.read(8), "little")
        if size < 8 or length > min(size - 8, MOST_HEADER_BYTES):
            raise ValueError(
                f"a header of {length} bytes in a file of {size}: cut off, or no safetensors file"
            )
        text = handle.read(length)
    try:
        header = parse_json(text.decode("utf-8"))
    except ValueError as problem:
        raise ValueError(f"a header that is no JSON ({problem})") from None
    if not isinstance(header, dict):
        raise ValueError("a header that is no object")
    for name, entry in header.items():
        if name != "__metadata__":
            _check_extent(name, entry, size - 8 - length)
    return header


def _check_extent(name: str, entry: Any, room: int) -> None:
    try:
        start, stop = entry["data_offsets"]
        fits = 0 <= start <= stop <= room
        entry["dtype"].upper()
        shape = all(isinstance(extent, int) and extent >= 0 for extent in entry["shape"])
    except (AttributeError, KeyError, TypeError, ValueError):
        raise ValueError(f"no dtype, shape and data_offsets for {name}") from None
    if not (fits and shape):
        raise ValueError(
            f"{name} said to lie at bytes {start} to {stop} of {room}: cut off, or a false header"
        )


def list_entries(path: Path) -> dict[str, dict[str, Any]]:
    """dtype, shape and data_offsets of a file's tensors by name.

    Raises:
        ValueError: see read_header.
    """
    return {name: entry for name, entry in read_header(path).items() if name != "__metadata__"}


def is_packed(entry: dict[str, Any]) -> bool:
    """Whether a tensor holds something else than floating-point numbers of 16 bits or more."""
    return entry["dtype"] not in ("F64", "F32", "F16", "BF16")


def read_tensors(
    path: Path | str,
    *,
    expected: str = "a safetensors file",
    fix: str = "make the file again",
    framework: Literal["pt", "np"] = "pt",
    finite: bool = True,
    kind: type[HarcError] = ArtifactError,
) -> dict[str, Any]:
    """Tensors of a safetensors file by name.

    Args:
        path: the file.
        expected, fix: words for the error.
        framework: "pt" for torch tensors, "np" for numpy arrays (without bfloat16).
        finite: whether NaN and infinity are an error; not so where NaN stands for "nothing here".
        kind: of the error.

    Raises:
        HarcError: of the given kind, if the file is missing, damaged, or holds NaN or infinity.
    """
    from safetensors import safe_open

    path = Path(path)
    try:
        names = list_entries(path)
        with safe_open(str(path), framework=framework) as handle:
            tensors = {name: handle.get_tensor(name) for name in names}
    except (
        Exception
    ) as problem:  # SafetensorError, and what torch and numpy make of strange dtypes and shapes
        found = "no file" if isinstance(problem, FileNotFoundError) else summarize_problem(problem)
        raise kind(str(path), expected=expected, found=found, fix=fix) from problem
    if finite:
        _check_values(tensors, path, framework, fix, kind)
    return tensors


def _check_values(
    tensors: dict[str, Any], path: Path, framework: str, fix: str, kind: type[HarcError]
) -> None:
    from harc.model.finite import check_tensors

    if framework == "np":
        import torch

        tensors = {name: torch.as_tensor(value) for name, value in tensors.items()}
    check_tensors(tensors.items(), str(path), fix, kind)


def read_metadata(path: Path | str) -> dict[str, str]:
    """Texts that a safetensors file carries beside its tensors.

    Raises:
        DataError: if it has no readable header.
    """
    try:
        found = read_header(Path(path)).get("__metadata__", {})
    except (OSError, ValueError) as problem:
        raise DataError(
            str(path), expected="a safetensors file", found=str(problem), fix="make the file again"
        ) from None
    return {str(name): str(value) for name, value in found.items()} if isinstance(found, dict) else {}
