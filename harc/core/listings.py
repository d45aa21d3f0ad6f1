"""Listings of folders in a DVC store, checked before DVC reads them: it writes wherever a listing says.

A listing is a JSON file `<md5>.dir` with one entry, {"md5", "relpath"}, for each file of a folder. DVC joins `relpath`
to the folder and `md5` to its cache, whatever they are, so `../../code.py` would lie outside both.
"""

import hashlib
import re
import unicodedata
from collections.abc import Collection, Iterable
from pathlib import Path

from harc.core.errors import DataError, EnvironmentProblem
from harc.core.files import write_bytes
from harc.core.untrusted import escape_control, is_encodable, parse_json

MOST_BYTES = 64 << 20
"""Of a listing; 100 bytes a file, so some 600,000 files."""
LONGEST_PART, LONGEST_NAME = 255, 4000  # characters
NO_SCM = {"core": {"no_scm": True}}
"""What tells DVC that a tree without `.git` (a source archive) is no mistake."""
FIX = "do not use this pin or remote; ask for results pushed again"


def find_name_fault(name: object) -> str | None:
    """Why a relative path may not be written below a folder on any system; None if it may.

    Refused are absolute paths, drives, `..`, backslashes, control characters, hidden files (.git and .snakemake among
    them), and parts that end in a dot or a space, which some systems drop.
    """
    if not isinstance(name, str) or not name:
        return "no name"
    parts = name.split("/")
    faults = {
        "a control character, or one that no file name can hold": not is_encodable(name)
        or not name.isprintable(),
        "a backslash or a colon": "\\" in name or ":" in name,
        "an absolute path": not parts[0],
        "a path that leads out of its folder": ".." in parts,
        "an empty part, or a hidden file or folder": any(not part or part.startswith(".") for part in parts),
        "a part that ends in a dot or a space": any(part.endswith((".", " ")) for part in parts),
        "a path that is too long": len(name) > LONGEST_NAME
        or any(len(part) > LONGEST_PART for part in parts),
    }
    return next((fault for fault, holds in faults.items() if holds), None)


def fold_name(name: str) -> str:
    """What names have in common that are one file where case, or the form of accents, does not count."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFKD", name).casefold())


def find_clash(names: Iterable[str]) -> tuple[str, str] | None:
    """Two names that cannot both be files: the same one twice, up to case and Unicode form, or one below the other."""
    files: dict[str, str] = {}
    folders: dict[str, str] = {}
    for name in names:
        folded = fold_name(name)
        if folded in files or folded in folders:
            return files.get(folded) or folders[folded], name
        files[folded] = name
        parts = name.split("/")
        for depth in range(1, len(parts)):
            folder = "/".join(parts[:depth])
            known = folders.setdefault(fold_name(folder), folder)
            if known != folder:
                return known, folder
            if fold_name(folder) in files:
                return files[fold_name(folder)], name
    return None


def check_names(names: Collection[object], where: str) -> None:
    """Refuse names of files that may not be written below one folder.

    Raises:
        DataError: naming the first at fault.
    """
    for name in names:
        fault = find_name_fault(name)
        if fault is not None:
            raise DataError(
                where,
                expected="relative paths of files in their folder",
                found=f"{fault}: {escape_control(str(name)[:200])!r}",
                fix=FIX,
            )
    clash = find_clash(map(str, names))
    if clash is not None:
        raise DataError(
            where,
            expected="each file once, also where case and the form of accents do not count",
            found=f"{clash[0]!r} and {clash[1]!r}",
            fix=FIX,
        )


def parse_listing(data: bytes, md5: str) -> dict[str, str]:
    """MD5 by relative path of a listing's files, every one of them fit to be written.

    Args:
        data: the listing's bytes.
        md5: its name, `<md5>.dir`.

    Raises:
        DataError: if the bytes are not those of the name, or no listing, or a path or a digest is unfit.
    """
    where = f"listing {md5}"
    digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
    if f"{digest}.dir" != md5:
        raise DataError(where, expected=f"bytes with MD5 {md5[:32]}", found=f"MD5 {digest}", fix=FIX)
    try:
        entries = parse_json(data.decode())
    except ValueError as problem:
        raise DataError(where, expected="JSON", found=str(problem), fix=FIX) from None
    if not isinstance(entries, list) or not all(
        isinstance(entry, dict)
        and entry.keys() == {"md5", "relpath"}
        and isinstance(entry["md5"], str)
        and re.fullmatch("[0-9a-f]{32}", entry["md5"])
        for entry in entries
    ):
        raise DataError(
            where,
            expected="a list of files, each with its MD5 and path alone",
            found="something else",
            fix=FIX,
        )
    check_names([entry["relpath"] for entry in entries], where)
    return {entry["relpath"]: entry["md5"] for entry in entries}


def place_listing(repository: Path, md5: str) -> dict[str, str]:
    """Bring a listing, checked, into a DVC repository's cache, where DVC takes it from; nothing else is written.

    Args:
        repository: folder with `.dvc`; its default remote holds the listing.
        md5: the listing's name, `<md5>.dir`.

    Returns:
        See `parse_listing`.

    Raises:
        DataError: see `parse_listing`.
        EnvironmentProblem: if the remote does not give it.
    """
    if not re.fullmatch(r"[0-9a-f]{32}\.dir", md5):
        raise DataError("pin", expected="the MD5 of a folder's listing", found=repr(md5)[:80], fix=FIX)
    cached = repository / ".dvc" / "cache" / "files" / "md5" / md5[:2] / md5[2:]
    data = _read_remote(repository, md5)
    found = parse_listing(data, md5)
    if not cached.is_file() or cached.read_bytes() != data:
        cached.unlink(missing_ok=True)
        write_bytes(cached, data)
        cached.chmod(0o444)
    return found


def _has_git(repository: Path) -> bool:
    return any((folder / ".git").exists() for folder in (repository, *repository.absolute().parents))


def _read_remote(repository: Path, md5: str) -> bytes:
    """The bytes of an object of the default remote, none of them trusted."""
    from dvc.repo import Repo

    where = f"listing {md5}"
    try:
        with Repo(str(repository), config=None if _has_git(repository) else NO_SCM) as repo:
            store = repo.cloud.get_remote_odb()
            with store.fs.open(store.oid_to_path(md5), "rb") as handle:
                data = handle.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise DataError(
            where, expected="an object of the remote", found="none", fix="push it again"
        ) from None
    except Exception as problem:  # each kind of store has its own
        raise EnvironmentProblem(
            where,
            expected="the remote to give it",
            found=str(problem) or type(problem).__name__,
            fix="check the remote's address, its options (--option) and your credentials",
        ) from None
    if len(data) > MOST_BYTES:
        raise DataError(where, expected=f"at most {MOST_BYTES} bytes", found="more", fix=FIX)
    return data
