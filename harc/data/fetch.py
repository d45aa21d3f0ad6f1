"""Fetching public datasets from their homes or a mirror folder; any but the registered bytes are refused."""

import logging
import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from harc.core.errors import DataError, EnvironmentProblem
from harc.core.files import sha256_file
from harc.data.registry import RegisteredFile, Registry, choose_registry, load_registry
from harc.settings.data import DataSettings

SLOWEST = 20_000  # bytes a second, beside the wait for an answer
BLOCK = 1 << 16


def _check_bytes(path: Path, file: RegisteredFile, source: str, fix: str) -> None:
    """Refuse a downloaded or copied file that is not the registered one."""
    size = path.stat().st_size
    digest = sha256_file(path) if size == file.bytes else None
    if digest != file.sha256:
        raise DataError(
            source,
            expected=f"{file.bytes} bytes with sha256 {file.sha256}",
            found=f"{size} bytes" + (f" with sha256 {digest}" if digest else ""),
            fix=fix,
        )


def _make_downloader(file: RegisteredFile, timeout: float) -> Callable[..., None]:
    """A pooch downloader that turns network trouble into one clear line, and reads no more than the file's size."""

    def download(url: str, output_file: str, pooch: object) -> None:
        import requests

        try:
            found = _read_url(url, file.bytes, timeout)
        except requests.exceptions.RequestException as problem:
            status = getattr(problem.response, "status_code", None)
            raise EnvironmentProblem(
                url,
                expected=f"the file {file.path}",
                found=f"HTTP status {status}" if status else f"no connection ({type(problem).__name__})",
                fix="check the network, or set HARC_DATA_MIRROR to a folder that holds the file",
            ) from None
        Path(output_file).write_bytes(found)
        _check_bytes(
            Path(output_file), file, url, "the home has changed or the transfer was damaged: try again"
        )

    return download


def _read_url(url: str, size: int, timeout: float) -> bytes:
    """What a url holds, up to one byte more than it should; unpacked nowhere, since a few bytes can stand for many.

    Redirects are followed, since homes keep files elsewhere; what comes is compared with its registered digest.

    Raises:
        requests.exceptions.RequestException: for a status that is none of success, or no end within SLOWEST.
    """
    import requests

    until, blocks, left = time.monotonic() + timeout + size / SLOWEST, [], size + 1
    headers = {"Accept-Encoding": "identity"}
    with requests.get(url, stream=True, timeout=timeout, headers=headers) as response:
        response.raise_for_status()
        while left > 0 and (block := _read_block(response, min(left, BLOCK))):
            blocks.append(block)
            left -= len(block)
            if time.monotonic() > until:
                raise requests.exceptions.ReadTimeout("too slow", response=None)
    return b"".join(blocks)


def _read_block(response: Any, size: int) -> bytes:
    """The next bytes as they were sent, as soon as there are any."""
    import requests

    try:
        return response.raw.read1(size, decode_content=False)
    except Exception as problem:  # urllib3's own
        raise requests.exceptions.ConnectionError(str(problem)) from None


def _make_copier(file: RegisteredFile, mirror: Path) -> Callable[..., None]:
    """A pooch downloader that copies from a mirror folder."""

    def copy(url: str, output_file: str, pooch: object) -> None:
        source = mirror / file.path
        if not source.is_file():
            raise DataError(
                str(source),
                expected="a mirrored file",
                found="none",
                fix=f"put {url} there, or unset HARC_DATA_MIRROR",
            )
        _check_bytes(source, file, str(source), "copy the file to the mirror again")
        shutil.copyfile(source, output_file)

    return copy


def fetch_file(
    file: RegisteredFile, folder: Path, *, mirror: Path | None = None, timeout: float = 30.0
) -> Path:
    """Make sure that `folder` holds the registered file with the registered bytes.

    Args:
        file: the registry's entry.
        folder: folder of public data; the file's registered path is below it.
        mirror: folder that stands in for the network.
        timeout: longest wait for an answer (seconds).

    Returns:
        Path of the file.

    Raises:
        DataError: if the bytes offered are not the registered ones, or the mirror lacks the file.
        EnvironmentProblem: if the home cannot be reached.
    """
    import pooch

    pooch.get_logger().setLevel(logging.WARNING)
    target = folder / file.path
    downloader = _make_copier(file, mirror) if mirror else _make_downloader(file, timeout)
    # pooch keeps a right file, replaces a wrong one, and writes under a temporary name first.
    pooch.retrieve(
        file.url, f"sha256:{file.sha256}", fname=target.name, path=target.parent, downloader=downloader
    )
    return target


def fetch_for(data: DataSettings, names: Iterable[str], mirror: Path | None = None) -> list[Path]:
    """Fetch the named datasets of the settings' registry into their folder; see `fetch_datasets`.

    Args:
        data: folder, registry, mirror and patience.
        names: dataset names.
        mirror: folder that stands in for the network, before the settings' own.
    """
    registry = choose_registry(data)
    return fetch_datasets(
        names, data.public_dir, mirror=mirror or data.mirror, timeout=data.timeout, registry=registry
    )


def fetch_datasets(
    names: Iterable[str],
    folder: Path,
    *,
    mirror: Path | None = None,
    timeout: float = 30.0,
    registry: Registry | None = None,
) -> list[Path]:
    """Fetch every file of the named datasets; see `fetch_file`.

    Args:
        names: dataset names; none means all of them.
        folder: folder of public data.
        mirror: folder that stands in for the network.
        timeout: longest wait for an answer (seconds).
        registry: another registry than the project's.

    Returns:
        Paths of the files, in the registry's order.
    """
    registry = registry or load_registry()
    wanted = [registry.find(name) for name in list(names) or sorted(registry.datasets)]
    return [
        fetch_file(file, folder, mirror=mirror, timeout=timeout)
        for dataset in wanted
        for file in dataset.files
    ]
