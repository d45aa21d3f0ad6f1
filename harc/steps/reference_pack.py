"""A committed study in a few files: writing it, reading it, and finding what is wrong with it.

A pack is a folder. `pack.json` names its members with their SHA-256; each member holds many files of the tree, in the
form that `ROUTES` gives it (see harc.steps.pack_forms); every other file of the folder (tables, figures, the records of
the study) stands for itself. Nothing is trusted when it is read: no member is opened unless it has its hash, and names
are checked before they are written.
"""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from harc.core.artifacts import KEPT_FILE, PACK_FILE, SIDECAR_SUFFIX
from harc.core.errors import ArtifactError, DataError, HarcError
from harc.core.files import encode_json, read_json, write_bytes, write_json
from harc.core.listings import check_names
from harc.core.tree_files import walk_files
from harc.steps.pack_forms import FILES, ROWS, TENSOR_TABLE, TENSORS, Files, Form

FORMAT = 1
UNFINISHED = "unfinished.json"  # says of a pack that it holds a part of a study
# Read on the web, so they stand for themselves.
PLAIN = ("tables/*.csv", "compute/*.csv", "figures/*", "audit/*", KEPT_FILE, UNFINISHED, "root_hash.json")
AGAIN = "restore the study from where it is published, or make it again (`harc reference`)"
SIDECARS, ANYTHING = "sidecars.parquet", "documents.parquet"
# member: form, and the files that it takes (`*` crosses folders), the first that fits
ROUTES: dict[str, tuple[Form, str]] = {
    SIDECARS: (FILES, f"*{SIDECAR_SUFFIX}"),
    "generations.parquet": (ROWS, "generations/*.jsonl"),
    "outcomes.parquet": (ROWS, "scores/*/outcomes.csv"),
    "scores.parquet": (ROWS, "scores/*/scores.csv"),
    "finetuning.parquet": (ROWS, "finetuning/*/answers.csv"),
    "erosion.parquet": (ROWS, "erosion/*/answers.csv"),
    "suppression.parquet": (ROWS, "suppression/*/outcomes.csv"),
    "trajectories.parquet": (TENSOR_TABLE, "trajectories/*.safetensors"),
    "warm_starts.safetensors": (TENSORS, "warm_starts/*.safetensors"),
    "directions.safetensors": (TENSORS, "directions/*/directions.safetensors"),
    "projections.safetensors": (TENSORS, "directions/*/projections.safetensors"),
    "projections.parquet": (ROWS, "directions/*/projections.jsonl"),
    ANYTHING: (FILES, "*"),
}


def _is_plain(name: str) -> bool:
    """Whether a file of the tree stands for itself in a pack."""
    return not name.endswith(SIDECAR_SUFFIX) and any(fnmatchcase(name, pattern) for pattern in PLAIN)


def is_packed(folder: Path) -> bool:
    """Whether a folder is a pack."""
    return (folder / PACK_FILE).is_file()


def _encode_member(form: Form, files: Files) -> tuple[bytes, Files]:
    """A member, and the files that it does not give back as they are."""
    data = form.encode(files)
    back = form.decode(data)
    good = {name: content for name, content in files.items() if back.get(name) == content}
    rest = {name: content for name, content in files.items() if name not in good}
    return (form.encode(good) if rest else data), rest


def write_pack(files: Files, folder: Path) -> None:
    """Pack a tree, and read the pack again.

    Args:
        files: content of each file of the tree, by its path in it.
        folder: where the pack is written; an empty folder.

    Raises:
        ArtifactError: if it does not give back every file as it is.
    """
    packed: dict[str, dict[str, bytes]] = {member: {} for member in ROUTES}
    for name, content in sorted(files.items()):
        if _is_plain(name):
            write_bytes(folder / name, content)
        else:
            member = next(m for m, (_, pattern) in ROUTES.items() if fnmatchcase(name, pattern))
            packed[member][name] = content
    members = {}
    for member, (form, _) in ROUTES.items():
        if packed[member]:
            data, rest = _encode_member(form, packed[member])
            packed[ANYTHING] |= rest
            write_bytes(folder / member, data)
            members[member] = hashlib.sha256(data).hexdigest()
    write_json(folder / PACK_FILE, {"format": FORMAT, "members": members})
    back = dict(read_pack(folder))
    for name in sorted(files.keys() | back.keys()):
        if back.get(name) != files.get(name):
            raise ArtifactError(
                str(folder), expected=f"{name} as it is", found="other bytes", fix="report it"
            )


def _read_index(folder: Path) -> dict[str, str]:
    """SHA-256 of each member.

    Raises:
        ArtifactError: if there is no such record.
    """
    path = folder / PACK_FILE
    try:
        index = read_json(path)
        members = index["members"]
        if (
            index != {"format": FORMAT, "members": members}
            or encode_json(index).encode() != path.read_bytes()
        ):
            raise ValueError(f"something else than a record of format {FORMAT}")
        if not members.keys() <= ROUTES.keys() or not all(isinstance(h, str) for h in members.values()):
            raise ValueError("members of other names")
    except (HarcError, OSError, ValueError, TypeError, KeyError, AttributeError) as problem:
        found = getattr(problem, "found", f"{type(problem).__name__}: {problem}")
        raise ArtifactError(
            str(path), expected="the record of a packed study", found=found, fix=AGAIN
        ) from None
    return members


def find_damage(folder: Path) -> list[ArtifactError]:
    """What is wrong with the files of a pack as such: one problem a member, none of which is opened."""
    try:
        members = _read_index(folder)
        walk_files(folder)
    except ArtifactError as problem:
        return [problem]
    problems = []
    for member, expected in members.items():
        path = folder / member
        found = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
        if found != expected:
            words = "none" if found is None else f"sha256 {found}"
            problems.append(
                ArtifactError(str(path), expected=f"a member with sha256 {expected}", found=words, fix=AGAIN)
            )
    return problems


def read_pack(folder: Path, members: Sequence[str] | None = None) -> Iterator[tuple[str, bytes]]:
    """Every file of a packed tree, by its path in it.

    Args:
        folder: the pack.
        members: to read these alone, and no plain file.

    Raises:
        ArtifactError: if the pack is damaged, or holds a file twice, or one that may not be written.
    """
    for problem in find_damage(folder):
        raise problem
    index, seen = _read_index(folder), []
    for member in index if members is None else members:
        try:
            found = ROUTES[member][0].decode((folder / member).read_bytes())
            names = sorted(found)
        except Exception as problem:  # a right hash of a wrong content: whatever its reader says of it
            words = f"{type(problem).__name__}: {problem}"[:300]
            raise ArtifactError(
                str(folder / member), expected="a member that can be read", found=words, fix=AGAIN
            ) from None
        seen += names
        _check(seen, folder / member)
        yield from found.items()
    if members is None:
        places = {path.relative_to(folder).as_posix(): path for path in walk_files(folder)}
        plain = {name: path for name, path in places.items() if name not in (*index, PACK_FILE)}
        _check([*seen, *plain], folder)
        for name, path in plain.items():
            yield name, path.read_bytes()


def _check(names: Sequence[Any], where: Path) -> None:
    try:
        check_names(names, str(where))
    except DataError as problem:
        raise ArtifactError(
            problem.where, expected=problem.expected, found=problem.found, fix=AGAIN
        ) from None


def unpack(folder: Path, target: Path, members: Sequence[str] | None = None) -> list[Path]:
    """Write the tree that a pack holds; the files written.

    Args:
        folder: the pack.
        target: root of the tree, an empty folder.
        members: to write the files of these alone.

    Raises:
        ArtifactError: see `read_pack`.
    """
    written = []
    for name, content in read_pack(folder, members):
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        written.append(path)
    return written


def is_whole(folder: Path) -> bool:
    """Whether a folder is the pack of a finished study."""
    return is_packed(folder) and not (folder / UNFINISHED).is_file()


@contextmanager
def open_tree(root: Path, members: Sequence[str] | None = None) -> Iterator[Path]:
    """Root of a tree to read: a temporary one with the files of a pack, or the folder itself where that is no pack.

    Args:
        root: a tree, packed or not.
        members: of a pack these alone.

    Raises:
        ArtifactError: see `read_pack`.
    """
    if not is_packed(root):
        yield root
        return
    with TemporaryDirectory() as folder:
        tree = Path(folder) / root.resolve().name
        unpack(root, tree, members)
        yield tree
