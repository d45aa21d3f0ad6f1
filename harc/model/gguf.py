"""A GGUF file's header, walked within the file's bounds before the library reads it.

The library believes what the header says: an array said to hold 2**60 numbers keeps it busy until memory ends.
Layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import os
import struct
from pathlib import Path
from typing import Any, BinaryIO

from harc.core.errors import ModelError

MAGIC = b"GGUF"
VERSIONS = (2, 3)
SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
"""Bytes of a value by its type's number."""
TEXT, ARRAY = 8, 9
DEEPEST = 4  # arrays of arrays
MOST_DIMENSIONS = 4
LONGEST_NAME = 1024
COMPUTED = ("rope_freqs", "rope_factors", "_exps")


def check_gguf(path: Path) -> list[str]:
    """Refuse a file that is no GGUF, is cut off in its header, or claims more than it can hold.

    Returns:
        Names of its tensors.

    Raises:
        ModelError: with what is wrong.
    """
    try:
        with open(path, "rb") as handle:
            return _walk(handle, os.path.getsize(path))
    except (ValueError, struct.error) as problem:
        raise ModelError(
            str(path),
            expected="a GGUF file",
            found=str(problem),
            fix="get the file again, or use another model",
        ) from None


def _walk(handle: BinaryIO, size: int) -> list[str]:
    if handle.read(4) != MAGIC:
        raise ValueError("another format (its first bytes are not GGUF)")
    version, tensors, values = struct.unpack("<IQQ", _take(handle, 20))
    if version not in VERSIONS:
        raise ValueError(f"version {version}, not {' or '.join(map(str, VERSIONS))}")
    if tensors + values > size:
        raise ValueError(f"{tensors} tensors and {values} values claimed in {size} bytes")
    for _ in range(values):
        _skip_text(handle, size)
        _skip_value(handle, size, _number(handle, 4), DEEPEST)
    names = []
    for _ in range(tensors):
        length = _number(handle, 8)
        if length > LONGEST_NAME:
            raise ValueError(f"a tensor's name of {length} bytes")
        names.append(_take(handle, length).decode("utf-8"))
        dimensions = _number(handle, 4)
        if dimensions > MOST_DIMENSIONS:
            raise ValueError(f"a tensor of {dimensions} dimensions")
        _take(handle, 8 * dimensions + 12)
    return names


def list_leftover(path: Path, model: Any) -> list[str]:
    """Tensors of a GGUF file that transformers finds no place for in the model that it made of it; it says nothing.

    Rotary frequencies are computed; of experts, which it takes apart and joins, the names alone do not tell.
    """
    from transformers.modeling_gguf_pytorch_utils import (
        TENSOR_PROCESSORS,
        TensorProcessor,
        get_gguf_hf_weights_map,
    )

    processor = TENSOR_PROCESSORS.get(model.config.model_type, TensorProcessor)(config=model.config.to_dict())
    places = get_gguf_hf_weights_map(model, processor)
    names = (name for name in check_gguf(path) if name not in places)
    return sorted(name for name in names if not any(part in name for part in COMPUTED))


def _skip_value(handle: BinaryIO, size: int, kind: int, deepest: int) -> None:
    if kind == TEXT:
        _skip_text(handle, size)
    elif kind == ARRAY:
        inner, count = _number(handle, 4), _number(handle, 8)
        if inner in SIZES:
            _skip(handle, size, count * SIZES[inner])
            return
        if count > size or not deepest:
            raise ValueError(f"an array of {count} values claimed in {size} bytes")
        for _ in range(count):
            _skip_value(handle, size, inner, deepest - 1)
    elif kind in SIZES:
        _take(handle, SIZES[kind])
    else:
        raise ValueError(f"a value of unknown type {kind}")


def _skip_text(handle: BinaryIO, size: int) -> None:
    _skip(handle, size, _number(handle, 8))


def _skip(handle: BinaryIO, size: int, length: int) -> None:
    if length > size - handle.tell():
        raise ValueError(f"{length} bytes claimed at {handle.tell()} of {size}: cut off, or a false header")
    handle.seek(length, os.SEEK_CUR)


def _number(handle: BinaryIO, width: int) -> int:
    return int.from_bytes(_take(handle, width), "little")


def _take(handle: BinaryIO, length: int) -> bytes:
    data = handle.read(length)
    if len(data) < length:
        raise ValueError("the end of the file within its header: cut off")
    return data
