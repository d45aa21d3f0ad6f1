"""What libraries raise while they load, as one line."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harc.core.errors import HarcError, ModelError
from harc.core.files import read_json

LONGEST = 300  # characters of a library's message
TELLING = (
    OSError,
    ValueError,
    RuntimeError,
)  # kinds whose message says what is wrong without the kind's name


@contextmanager
def explain_problems(where: str, *, expected: str, fix: str) -> Iterator[None]:
    """Turn whatever other people's code raises in the block into a ModelError with the first line of its message.

    For calls that load, and no others: transformers, peft, safetensors, tokenizers and gguf raise many kinds for
    faulty files, which no list would cover. A full disk stays what it is.
    """
    try:
        yield
    except HarcError:
        raise
    except Exception as problem:
        if isinstance(problem, OSError) and problem.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise ModelError(where, expected=expected, found=summarize_problem(problem), fix=fix) from problem


def summarize_problem(problem: BaseException) -> str:
    """The first line of an exception's message, with its kind where the message alone says little."""
    lines = [line.strip() for line in str(problem).splitlines() if line.strip()]
    if not lines:
        return type(problem).__name__
    line = " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
    if "ignore_mismatched_sizes" in line:
        return "weights of other shapes than the configuration says"  # named in a table that nobody sees
    line = line if isinstance(problem, TELLING) else f"{type(problem).__name__}: {line}"
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}..."


def read_object(path: Path) -> dict[str, Any]:
    """A JSON object of a model's or an adapter's folder, read strictly.

    Raises:
        ModelError: if it is missing or anything else.
    """
    with explain_problems(
        str(path), expected="a JSON object", fix="get the file again from where it was published"
    ):
        if not path.is_file():
            raise ModelError(
                str(path),
                expected="a JSON object",
                found="no file",
                fix="check the folder: is it the right one, and whole?",
            )
        try:
            value = read_json(path)
        except HarcError as problem:
            raise ValueError(problem.found) from None
        if not isinstance(value, dict):
            raise ValueError(f"a {type(value).__name__}")
        return value
