"""Fetching public datasets from their homes or a mirror folder; any but the registered bytes are refused."""

import logging
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from harc.data.registry import RegisteredFile, Registry, load_registry
from harc.errors import DataError, EnvironmentProblem
from harc.files import sha256_file


def _check_bytes(path: Path, file: RegisteredFile, source: str, fix: str) -> None:
    """Refuse a downloaded or copied file that is not the registered one."""
    size, digest = path.stat().st_size, sha256_file(path)
    if (size, digest) != (file.bytes, file.sha256):
        raise DataError(
            source,
            expected=f"{file.bytes} bytes with sha256 {file.sha256}",
            found=f"{size} bytes with sha256 {digest}",
            fix=fix,
        )


def _make_downloader(file: RegisteredFile, timeout: float) -> Callable[..., None]:
    """A pooch downloader that turns network trouble into one clear line."""

    def download(url: str, output_file: str, pooch: object) -> None:
        import requests
        from pooch import HTTPDownloader

        try:
            HTTPDownloader(timeout=timeout)(url, output_file, pooch)
        except requests.exceptions.RequestException as problem:
            status = getattr(problem.response, "status_code", None)
            raise EnvironmentProblem(
                url,
                expected=f"the file {file.path}",
                found=f"HTTP status {status}" if status else f"no connection ({type(problem).__name__})",
                fix="check the network, or set HARC_DATA_MIRROR to a folder that holds the file",
            ) from None
        _check_bytes(
            Path(output_file), file, url, "the home has changed or the transfer was damaged: try again"
        )

    return download


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
        shutil.copyfile(source, output_file)
        _check_bytes(Path(output_file), file, str(source), "copy the file to the mirror again")

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
