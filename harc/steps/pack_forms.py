"""Forms in which many files of a results tree become one, and back, byte for byte.

Any reader of Parquet and safetensors opens them; `file` is a file's path in the tree.

- rows: a table of records, one row a line of JSON or CSV. A column holds values of one type, or, named in the schema's
  metadata, JSON texts; null is a field that the record lacks. Cells of CSV are texts.
- tensors: `<file>:<name>` in safetensors; in Parquet a row a tensor, with dtype, shape and bytes. The headers of the
  files stand in the member's own metadata, each distinct one once.
- files: a row a file, with its content.

A form leaves out what it cannot hold, and may give back other bytes for a file that is not written as this project
writes it: whoever encodes looks at what comes back.
"""

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping
from itertools import groupby
from math import prod
from typing import Any, NamedTuple

from harc.core.untrusted import parse_json

LEVEL = 19  # of zstd
PAGE = 1 << 30
"""Bytes of a page: the compression sees a whole column, most of which repeats from model to model."""
METADATA = "__metadata__"  # of a safetensors file

Files = Mapping[str, bytes]  # by path in the tree
_ABSENT = object()
_to_json = json.JSONEncoder(sort_keys=True, ensure_ascii=False, allow_nan=False).encode


class Form(NamedTuple):
    """How files become one, which leaves out those that it cannot hold, and come back from it."""

    encode: Callable[[Files], bytes]
    decode: Callable[[bytes], dict[str, bytes]]


def _encode_table(columns: Mapping[str, Any], notes: Mapping[str, Any]) -> bytes:
    """One row group of columns, with notes as JSON under `harc` of the schema's metadata."""
    import pyarrow as pa
    from pyarrow import parquet

    table = pa.table(dict(columns)).replace_schema_metadata({"harc": json.dumps(notes, sort_keys=True)})
    buffer = io.BytesIO()
    parquet.write_table(
        table,
        buffer,
        compression="zstd",
        compression_level=LEVEL,
        row_group_size=max(1, len(table)),
        data_page_size=PAGE,
        dictionary_pagesize_limit=PAGE,
        write_statistics=False,
        store_schema=True,
    )
    return buffer.getvalue()


def _decode_table(data: bytes) -> tuple[Any, dict[str, Any]]:
    import pyarrow as pa
    from pyarrow import parquet

    table = parquet.read_table(pa.BufferReader(data))
    return table, parse_json((table.schema.metadata or {})[b"harc"].decode())


# Records ------------------------------------------------------------------------------------------------------------


def _parse_records(name: str, data: bytes) -> list[dict[str, Any]]:
    """The lines of a file of JSON lines or CSV.

    Raises:
        ValueError: if it is no such file.
    """
    text = data.decode()
    if name.endswith(".csv"):
        header, *lines = csv.reader(io.StringIO(text, newline=""))
        return [dict(zip(header, line, strict=True)) for line in lines]
    records = [parse_json(line) for line in text.removesuffix("\n").split("\n")]
    if not all(isinstance(record, dict) for record in records):
        raise ValueError("a line that is no object")
    return records


def _encode_column(values: list[Any]) -> tuple[Any, bool]:
    """Values of a field, None where a record lacks it, as a column; and whether it holds JSON."""
    import pyarrow as pa

    kinds = {type(value) for value in values if value is not _ABSENT}
    if len(kinds) == 1 and kinds <= {str, int, float, bool}:
        try:
            return pa.array(
                [None if value is _ABSENT else value for value in values]
            ).dictionary_encode(), False
        except (OverflowError, pa.ArrowException):  # an integer of more than 64 bits
            pass
    texts = [None if value is _ABSENT else _to_json(value) for value in values]
    return pa.array(texts, pa.string()).dictionary_encode(), True


def _encode_rows(files: Files) -> bytes:
    owners: list[str] = []
    records: list[dict[str, Any]] = []
    for name, data in files.items():
        try:
            own = _parse_records(name, data)
        except ValueError:
            continue
        if any("file" in record for record in own):
            continue
        owners += [name] * len(own)
        records += own
    columns, texts = {"file": _encode_column(owners)[0]}, []
    for field in dict.fromkeys(field for record in records for field in record):
        columns[field], is_json = _encode_column([record.get(field, _ABSENT) for record in records])
        texts += [field] if is_json else []
    return _encode_table(columns, {"form": "rows", "json": texts})


def _render_column(column: Any, render: Callable[[Any], str]) -> list[str | None]:
    """The text of each value, made once for equal ones; None for null."""
    import numpy as np

    encoded = column.combine_chunks()
    encoded = encoded if hasattr(encoded, "dictionary") else encoded.dictionary_encode()
    texts = [*map(render, encoded.dictionary.to_pylist()), None]
    return np.array(texts, object)[
        encoded.indices.fill_null(len(texts) - 1).to_numpy(zero_copy_only=False)
    ].tolist()


def _quote(cell: str) -> str:
    """A cell with the comma after it, as the writer of every table of this project writes it."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="").writerow([cell, ""])
    return buffer.getvalue()


def _decode_rows(data: bytes) -> dict[str, bytes]:
    table, notes = _decode_table(data)
    spans, start = {}, 0
    for name, members in groupby(table["file"].to_pylist()):
        count = sum(1 for _ in members)
        spans[name], start = slice(start, start + count), start + count
    fields = [field for field in table.column_names if field != "file"]
    tabular = {name for name in spans if name.endswith(".csv")}
    cells = {field: _render_column(table[field], _quote) for field in fields} if tabular else {}
    found = {name: _join_cells(cells, spans[name]) for name in tabular}
    if len(tabular) < len(spans):
        pairs = [_render_pairs(table[field], field, field in notes["json"]) for field in sorted(fields)]
        lines = [f"{{{', '.join(filter(None, parts))}}}\n" for parts in zip(*pairs, strict=True)]
        found |= {name: "".join(lines[spans[name]]).encode() for name in spans.keys() - tabular}
    return found


def _render_pairs(column: Any, field: str, is_json: bool) -> list[str | None]:
    key = _to_json(field)
    return _render_column(column, lambda value: f"{key}: {value if is_json else _to_json(value)}")


def _join_cells(cells: Mapping[str, list[str | None]], span: slice) -> bytes:
    own = {_quote(field): column[span] for field, column in cells.items() if column[span.start] is not None}
    lines = [own.keys(), *zip(*own.values(), strict=True)]
    return "".join(f"{''.join(line)[:-1]}\n" for line in lines).encode()


class _Tensor(NamedTuple):
    """One tensor of a file; a member holds it under `<file>:<tensor>`, in Parquet in columns of these names."""

    file: str
    tensor: str
    dtype: str
    shape: list[int]
    data: bytes


def _split_header(data: bytes) -> tuple[str, dict[str, Any], memoryview]:
    """(text, entries, bytes of the tensors) of a safetensors file.

    Raises:
        ValueError: if it is no such file, or holds anything between its tensors.
    """
    length = int.from_bytes(data[:8], "little")
    text, body = data[8 : 8 + length].decode(), memoryview(data)[8 + length :]
    entries = parse_json(text)
    place = 0
    for start, end in sorted(e["data_offsets"] for name, e in entries.items() if name != METADATA):
        if start != place or end > len(body):
            raise ValueError("tensors that do not follow on each other")
        place = end
    if place != len(body):
        raise ValueError("bytes after the last tensor")
    return text, entries, body


def _split_tensors(files: Files) -> tuple[list[_Tensor], dict[str, Any]]:
    """Tensors of every file that can be read, and the header of each: the number of one of the distinct texts."""
    tensors: list[_Tensor] = []
    headers: dict[str, int] = {}
    numbers: dict[str, int] = {}
    for name, data in files.items():
        try:
            text, entries, body = _split_header(data)
            own = [
                _Tensor(
                    name, tensor, entry["dtype"], entry["shape"], bytes(body[slice(*entry["data_offsets"])])
                )
                for tensor, entry in entries.items()
                if tensor != METADATA
            ]
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
        tensors += own
        numbers[name] = headers.setdefault(text, len(headers))
    return tensors, {"form": "tensors", "headers": list(headers), "files": numbers}


def _join_tensors(tensors: Iterable[_Tensor], notes: Mapping[str, Any]) -> dict[str, bytes]:
    own: dict[str, dict[str, bytes]] = {name: {} for name in notes["files"]}
    for tensor in tensors:
        own[tensor.file][tensor.tensor] = tensor.data
    found = {}
    for name, number in notes["files"].items():
        text = notes["headers"][number].encode()
        entries = {t: e["data_offsets"] for t, e in parse_json(text.decode()).items() if t != METADATA}
        body = b"".join(own[name][tensor] for tensor in sorted(entries, key=entries.__getitem__))
        found[name] = len(text).to_bytes(8, "little") + text + body
    return found


def _encode_safetensors(files: Files) -> bytes:
    tensors, notes = _split_tensors(files)
    entries: dict[str, Any] = {METADATA: {"harc": json.dumps(notes, sort_keys=True)}}
    place, parts = 0, []
    # The widest first, as the library does, so that each lies at a multiple of its width.
    for tensor in sorted(tensors, key=lambda t: -len(t.data) // max(1, prod(t.shape))):
        end = place + len(tensor.data)
        entries[f"{tensor.file}:{tensor.tensor}"] = {
            "dtype": tensor.dtype,
            "shape": tensor.shape,
            "data_offsets": [place, end],
        }
        parts.append(tensor.data)
        place = end
    header = json.dumps(entries, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + b"".join(parts)


def _decode_safetensors(data: bytes) -> dict[str, bytes]:
    _, entries, body = _split_header(data)
    notes = parse_json(entries.pop(METADATA)["harc"])
    tensors = []
    for name, entry in entries.items():
        file, _, tensor = name.partition(".safetensors:")
        part = bytes(body[slice(*entry["data_offsets"])])
        tensors.append(_Tensor(f"{file}.safetensors", tensor, entry["dtype"], entry["shape"], part))
    return _join_tensors(tensors, notes)


def _encode_tensor_table(files: Files) -> bytes:
    tensors, notes = _split_tensors(files)
    columns = {name: [getattr(tensor, name) for tensor in tensors] for name in _Tensor._fields}
    return _encode_table(columns, notes)


def _decode_tensor_table(data: bytes) -> dict[str, bytes]:
    table, notes = _decode_table(data)
    rows = zip(*(table[name].to_pylist() for name in _Tensor._fields), strict=True)
    return _join_tensors((_Tensor(*row) for row in rows), notes)


def _encode_files(files: Files) -> bytes:
    import pyarrow as pa

    try:
        contents = pa.array([data.decode() for data in files.values()], pa.string())
    except UnicodeDecodeError:
        contents = pa.array(list(files.values()), pa.binary())
    return _encode_table({"file": pa.array(list(files), pa.string()), "content": contents}, {"form": "files"})


def _decode_files(data: bytes) -> dict[str, bytes]:
    table, _ = _decode_table(data)
    contents = (text.encode() if isinstance(text, str) else text for text in table["content"].to_pylist())
    return dict(zip(table["file"].to_pylist(), contents, strict=True))


ROWS = Form(_encode_rows, _decode_rows)
TENSORS = Form(_encode_safetensors, _decode_safetensors)
TENSOR_TABLE = Form(_encode_tensor_table, _decode_tensor_table)
FILES = Form(_encode_files, _decode_files)
