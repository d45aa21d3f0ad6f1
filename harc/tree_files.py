"""The files of a results tree: one walk, so that audit, push and pull see the same.

A tree holds folders and regular files alone. A symbolic link in it is refused, wherever it leads: its target can
change, or be missing elsewhere, without a word. The root itself may be a link, so a whole tree may lie on another disk.
"""

import os
import stat
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from harc.errors import ArtifactError
from harc.untrusted import is_encodable

# Records of the running, not results: nothing is derived from them.
UNTRACKED = ("audit", "benchmarks", "checkpoints", "logs")
REPAIR = "put the files themselves in its place"
KINDS = {
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
        return TreeProblem(path, f"something that cannot be read ({os.strerror(problem.errno)})", "mend it")
    if stat.S_ISDIR(mode):
        return "folder"
    if stat.S_ISREG(mode):
        return "file"
    return TreeProblem(path, KINDS.get(stat.S_IFMT(mode), "a special file"), "remove it")


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
            reason = os.strerror(problem.errno)
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
