"""Tensors from disk and the faults of models in one line: what libraries raise, what a header claims, NaN and infinity.

A model with one NaN in it answers every prompt with the same garbage, which refusal rules read as a safe model.
"""

import errno
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from harc.core.errors import ArtifactError, DataError, HarcError, ModelError
from harc.core.files import read_json
from harc.core.untrusted import parse_json

LONGEST = 300  # characters of a library's message
TELLING = (OSError, ValueError, RuntimeError)
"""Kinds whose message says what is wrong without the kind's name."""
SHOWN = 3  # names in a message
MOST_HEADER_BYTES = 100_000_000
"""Length of a safetensors header; the library's own limit."""


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


def find_non_finite(tensors: Iterable[tuple[str, Any]]) -> list[str]:
    """Names of the torch tensors that hold NaN or infinity.

    The smallest and the largest value tell: both are NaN if any value is. Measured on one core: 30 GB/s in float32,
    18 GB/s in 16 bits, where isfinite gives under 1 GB/s. The results are moved from each device at once.
    """
    import torch

    names, ends = [], []
    for name, value in tensors:
        if value.is_floating_point() and value.numel():
            wide = (
                value if value.dtype.itemsize > 1 else value.to(torch.float32)
            )  # 8-bit floats have no aminmax
            names.append(name)
            ends.append(torch.stack(wide.detach().aminmax()).float())
    by_device: dict[Any, list[int]] = {}
    for index, pair in enumerate(ends):
        by_device.setdefault(pair.device, []).append(index)
    broken = []
    for places in by_device.values():
        finite = torch.isfinite(torch.stack([ends[place] for place in places])).all(-1).tolist()
        broken += [place for place, good in zip(places, finite, strict=True) if not good]
    return [names[place] for place in sorted(broken)]


def name_some(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def check_tensors(
    tensors: Iterable[tuple[str, Any]], where: str, fix: str, kind: type[HarcError] = ModelError
) -> None:
    """Refuse tensors that are not finite.

    Raises:
        HarcError: of the given kind, naming the first few.
    """
    broken = find_non_finite(tensors)
    if broken:
        raise kind(where, expected="finite values", found=f"NaN or infinity in {name_some(broken)}", fix=fix)


def check_logits(logits: Any, names: Sequence[str], source: str) -> None:
    """Refuse logits from which no token can be chosen: NaN, plus infinity, or nothing but minus infinity.

    Args:
        logits: torch tensor of shape (rows, vocabulary).
        names: of the rows' prompts.
        source: of the model, for the error.

    Raises:
        ModelError: naming the first such prompt.
    """
    import torch

    good = torch.isfinite(logits.amax(-1))
    if not bool(good.all()):
        rows = (~good).nonzero()[:, 0].tolist()
        others = f", and of {len(rows) - 1} more prompts of its batch" if len(rows) > 1 else ""
        raise ModelError(
            names[rows[0]],
            expected="finite logits",
            found=f"NaN or infinity in the output of {source or 'the model'}{others}",
            fix="load the model in float32 or bfloat16; if that does not help, its weights are broken",
        )


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
