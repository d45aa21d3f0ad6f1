"""The files of a results tree: one walk, so that audit, push and pull see the same.

A tree holds folders and regular files alone. A symbolic link in it is refused, wherever it leads: its target can
change, or be missing elsewhere, without a word. The root itself may be a link, so a whole tree may lie on another disk.
"""

import difflib
import hashlib
import os
import stat
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from harc.core.artifacts import KINDS, PACK_FILE, SIDECAR_SUFFIX, SINGLE_FILES
from harc.core.errors import ArtifactError
from harc.core.files import sha256_file
from harc.core.untrusted import is_encodable

# Records of the running, not results: nothing is derived from them.
UNTRACKED = ("audit", "checkpoints", "logs")
REPAIR = "put the files themselves in its place"
SPECIAL_FILES = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


@dataclass(frozen=True, order=True)
class TreeProblem:
    """Something in a tree that is neither a folder nor a regular file, or cannot be listed.

    Attributes:
        path: where.
        found: what is there, such as `a symbolic link to ../elsewhere`.
        fix: the next step.
    """

    path: Path
    found: str
    fix: str = REPAIR


@dataclass(frozen=True)
class TreeScan:
    """What a tree holds: its regular files, sorted, and whatever else lies in it."""

    files: tuple[Path, ...]
    problems: tuple[TreeProblem, ...]


def _classify(entry: os.DirEntry) -> str | TreeProblem:
    """`folder`, `file`, or the problem that an entry is; nothing is opened or followed."""
    path = Path(entry.path)
    if not is_encodable(entry.name):
        return TreeProblem(path, "a name that is not UTF-8", "rename it")
    try:
        if entry.is_symlink():
            return TreeProblem(path, f"a symbolic link to {os.readlink(path)}")
        mode = entry.stat(follow_symlinks=False).st_mode
    except OSError as problem:
        return TreeProblem(
            path, f"something that cannot be read ({os.strerror(problem.errno or 0)})", "mend it"
        )
    if stat.S_ISDIR(mode):
        return "folder"
    if stat.S_ISREG(mode):
        return "file"
    return TreeProblem(path, SPECIAL_FILES.get(stat.S_IFMT(mode), "a special file"), "remove it")


def scan_tree(root: Path, left_out: Collection[str] = ()) -> TreeScan:
    """List a tree without following a link or opening a file; links, pipes and unreadable folders are problems.

    Args:
        root: the tree; may itself be a link to a folder.
        left_out: names directly under the root that are skipped, whatever they are.
    """
    files: list[Path] = []
    problems: list[TreeProblem] = []
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(folder) as listing:
                entries = list(listing)
        except OSError as problem:
            reason = os.strerror(problem.errno or 0)
            problems.append(TreeProblem(folder, f"a folder that cannot be read ({reason})", "mend it"))
            continue
        for entry in entries:
            if folder == root and entry.name in left_out:
                continue
            kind = _classify(entry)
            if isinstance(kind, TreeProblem):
                problems.append(kind)
            else:
                (waiting if kind == "folder" else files).append(Path(entry.path))
    return TreeScan(tuple(sorted(files)), tuple(sorted(problems)))


def walk_files(root: Path, left_out: Collection[str] = ()) -> list[Path]:
    """The regular files of a tree, sorted.

    Args:
        root: the tree.
        left_out: names directly under the root that are skipped.

    Raises:
        ArtifactError: at the first link, pipe, device or unreadable folder.
    """
    scan = scan_tree(root, left_out)
    for problem in scan.problems:
        raise ArtifactError(
            str(problem.path),
            expected="folders and regular files in a results tree",
            found=problem.found,
            fix=problem.fix,
        )
    return list(scan.files)


def is_in_place(path: Path, root: Path) -> bool:
    """Whether a path lies where a results tree keeps artifacts and their sidecars."""
    if not path.is_relative_to(root) or path == root:
        return False
    return path.relative_to(root).parts[0].removesuffix(SIDECAR_SUFFIX) in (*KINDS, *SINGLE_FILES)


def holds_tree(root: Path, *, sidecars: bool = True) -> bool:
    """Whether a folder is a results tree: artifacts lie in their places, or packed.

    Args:
        root: the folder.
        sidecars: ask for a sidecar; else any file in place will do.
    """
    suffix = SIDECAR_SUFFIX if sidecars else ""
    here = [root / PACK_FILE, *(root / f"{name}{SIDECAR_SUFFIX}" for name in (*KINDS, *SINGLE_FILES))]
    if any(path.is_file() for path in here):
        return True
    # Not the whole folder, which may be anything.
    return any(path.name.endswith(suffix) for kind in KINDS for path in scan_tree(root / kind).files)


def require_tree(root: Path, *, sidecars: bool = True) -> None:
    """Refuse what is no results tree, which would be sound, equal or empty for want of anything to look at.

    Raises:
        ArtifactError: for a missing path, a file, an empty folder, or a folder of other things.
    """
    if holds_tree(root, sidecars=sidecars):
        return
    if root.is_dir():
        found = "a folder without sidecars of artifacts" if any(root.iterdir()) else "an empty folder"
        near = sorted(path for path in root.iterdir() if holds_tree(path))[:3]
    else:
        found = "a file" if root.exists() else "nothing"
        beside = root.parent.iterdir() if root.parent.is_dir() else []
        trees = {path.name: path for path in beside if holds_tree(path)}
        near = [trees[name] for name in difflib.get_close_matches(root.name, trees, n=1)]
        committed = root.parent / "reference" / root.name
        near += [committed] if holds_tree(committed) else []
    near += [parent for parent in root.parents if holds_tree(parent)][:1]
    fix = f"did you mean {' or '.join(map(str, near))}?" if near else "check the path, or run the workflow"
    raise ArtifactError(str(root), expected="a results tree", found=found, fix=fix)


def digest_state(digests: Mapping[str, str]) -> str:
    """SHA-256 over one line, `<sha256>  <path in the tree>`, for each file: equal for equal trees alone."""
    lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items()))
    return hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()


def hash_state(root: Path) -> str:
    """The state of a tree as it lies there: `digest_state` of every file but the records of the running."""
    scan = scan_tree(root, UNTRACKED)
    digests = {problem.path.relative_to(root).as_posix(): problem.found for problem in scan.problems}
    return digest_state(
        digests | {path.relative_to(root).as_posix(): sha256_file(path) for path in scan.files}
    )
