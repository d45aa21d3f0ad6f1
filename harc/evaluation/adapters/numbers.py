"""The numbers of a safetensors file, read in blocks: whether they are finite, and whether all are zero."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harc.model.tensors import is_packed

BLOCK = 1 << 22  # bytes held at once
WIDTHS = {
    "F64": 8, "I64": 8, "U64": 8, "C64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2,
    "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1, "F8_E4M3FNUZ": 1, "F8_E5M2FNUZ": 1, "I8": 1, "U8": 1, "BOOL": 1,
}  # fmt: skip
"""Bytes of a number by its dtype in a header."""
EXPONENTS = {"F64": 0x7FF << 52, "F32": 0xFF << 23, "F16": 0x1F << 10, "BF16": 0xFF << 7}
"""Bits that are all set in NaN and infinity, and in no other number (IEEE 754; bfloat16: the upper half of float32)."""


@dataclass(frozen=True)
class Scan:
    """What was found in one tensor."""

    finite: bool
    zero: bool


def scan_numbers(path: Path, header: Mapping[str, Mapping[str, Any]], start: int) -> dict[str, Scan]:
    """Read every floating-point tensor of a file once; memory does not grow with the file.

    Args:
        path: the file.
        header: dtype and data_offsets by name, checked.
        start: where the data begins, bytes.
    """
    found = {}
    with path.open("rb") as handle:
        for name, entry in header.items():
            if is_packed(dict(entry)):
                continue
            first, last = entry["data_offsets"]
            handle.seek(start + first)
            finite, zero, left = True, True, last - first
            while left:
                block = handle.read(min(BLOCK, left))
                if not block:
                    break
                left -= len(block)
                one_finite, one_zero = _look(
                    block[: len(block) - len(block) % WIDTHS[entry["dtype"]]], entry["dtype"]
                )
                finite, zero = finite and one_finite, zero and one_zero
            found[name] = Scan(finite, zero)
    return found


def _look(block: bytes, dtype: str) -> tuple[bool, bool]:
    """(all finite, all zero) of some numbers by their bits; minus zero is zero."""
    width = WIDTHS[dtype]
    bits = np.frombuffer(block, f"<u{width}")
    exponent, sign = (bits.dtype.type(mask) for mask in (EXPONENTS[dtype], 1 << (8 * width - 1)))
    return not ((bits & exponent) == exponent).any(), not (bits & ~sign).any()
