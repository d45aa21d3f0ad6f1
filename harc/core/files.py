"""Atomic reading and writing: a file is either the old one, the new one, or absent; never half of one."""

import gzip
import hashlib
import json
import os
import re
import shutil
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harc.core.errors import DataError
from harc.core.untrusted import parse_json


def sha256_file(path: Path | str) -> str:
    """Hex SHA-256 of a file's bytes."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def sha256_text(text: str) -> str:
    """Hex SHA-256 of a text in UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()


def _sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut (needed on ext4 and XFS)."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _default_mode() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_bytes(path: Path | str, data: bytes) -> None:
    """Write `data` to `path` atomically: temporary name in the same folder, fsync, rename."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        os.chmod(temporary, 0o666 & ~_default_mode())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_text(path: Path | str, text: str) -> None:
    """Write text atomically, in UTF-8 with the newlines it has."""
    write_bytes(path, text.encode())


def encode_json(value: Any) -> str:
    """JSON with sorted keys, so that equal values give equal bytes.

    Raises:
        ValueError: for NaN or infinity, which JSON cannot hold.
    """
    return json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def write_json(path: Path | str, value: Any) -> None:
    """Write the text of `encode_json` atomically."""
    write_text(path, encode_json(value))


def _json_line(row: dict) -> str:
    return json.dumps(row, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def write_jsonl(path: Path | str, rows: Iterable[dict]) -> None:
    """Write one JSON object per line, atomically and with sorted keys."""
    write_text(path, "".join(_json_line(row) for row in rows))


def _read_text(path: Path) -> str:
    try:
        if path.suffix == ".gz":
            return gzip.decompress(path.read_bytes()).decode()
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DataError(
            str(path), expected="a file", found="none", fix="make it again, or check the path"
        ) from None
    except UnicodeDecodeError as problem:
        raise DataError(
            str(path),
            expected="UTF-8 text",
            found=f"byte {problem.object[problem.start]:#04x} at offset {problem.start}",
            fix="save the file as UTF-8",
        ) from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as problem:
        raise DataError(
            str(path), expected="a gzipped file", found=str(problem), fix="fetch it again"
        ) from None


def read_json(path: Path | str) -> Any:
    """Read a JSON file strictly (see `parse_json`).

    Raises:
        DataError: if it is missing, not UTF-8, or not JSON.
    """
    path = Path(path)
    text = _read_text(path)
    try:
        return parse_json(text)
    except ValueError as problem:
        raise DataError(str(path), expected="JSON", found=str(problem), fix="make the file again") from None


def read_jsonl(path: Path | str, required: Sequence[str] = ()) -> list[dict]:
    """Read one JSON object per line, of a .gz file too; blank lines are an error: a cut file often ends in one.

    Args:
        path: the file.
        required: fields that every row must have.

    Raises:
        DataError: naming file and line, if the file is missing or a line is not such an object.
    """
    path = Path(path)
    rows = []
    # Not splitlines(): it also splits at U+2028 and other characters that may stand inside a JSON string.
    lines = _read_text(path).split("\n")
    if lines[-1] == "":
        lines.pop()
    for number, line in enumerate(lines, start=1):
        try:
            row = parse_json(line)
        except ValueError as problem:
            raise DataError(
                f"{path}:{number}",
                expected="a JSON object",
                found=str(problem),
                fix="mend or remove the line",
            ) from None
        if not isinstance(row, dict):
            raise DataError(
                f"{path}:{number}",
                expected="a JSON object",
                found=type(row).__name__,
                fix="mend or remove the line",
            )
        missing = [field for field in required if field not in row]
        if missing:
            raise DataError(
                f"{path}:{number}",
                expected=f"the fields {', '.join(required)}",
                found=f"no {', '.join(missing)}",
                fix="add them, or check that this is the right file",
            )
        rows.append(row)
    return rows


@contextmanager
def system_errors(path: Path | str) -> Iterator[None]:
    """Let a library of compiled code fail as Python does where the disk is full or not to be written.

    safetensors and tokenizers put the system's error number into a text of their own.

    Raises:
        OSError: with that number and the path.
    """
    try:
        yield
    except OSError:
        raise
    except Exception as problem:
        number = re.search(r"\(os error (\d+)\)", str(problem))
        if number is None:
            raise
        code = int(number[1])
        raise OSError(code, os.strerror(code), os.fspath(path)) from None


@contextmanager
def atomic_directory(path: Path | str, *, durable: bool = True) -> Iterator[Path]:
    """Give a temporary folder that takes the place of `path` when the block ends without an error.

    Args:
        path: the folder.
        durable: wait until a power cut could not undo it, which thousands of small files take long for.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        yield temporary
        os.chmod(temporary, 0o777 & ~_default_mode())
        for file in temporary.rglob("*"):
            if file.is_file():
                # Some writers (safetensors through PEFT) leave 0600, which a shared results tree cannot use.
                os.chmod(file, 0o666 & ~_default_mode())
                if durable:
                    with open(file, "rb") as handle:
                        os.fsync(handle.fileno())
        if path.exists():
            shutil.rmtree(path)
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
