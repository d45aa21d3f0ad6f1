"""Two results trees side by side: which artifacts differ, in which numbers, and whether intervals cover it."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harc.audit.comparison_values import READERS, Value, agree, overlap, read_values
from harc.core.artifacts import SIDECAR_SUFFIX
from harc.core.errors import ArtifactError
from harc.core.files import sha256_file
from harc.core.terminal import make_console
from harc.core.tree_files import UNTRACKED, is_in_place, require_tree, walk_files
from harc.core.untrusted import escape_control
from harc.steps.reference_pack import open_tree


@dataclass(frozen=True)
class Difference:
    """One value that differs.

    Attributes:
        name: its row and column, path, or macro.
        a, b: what either tree holds; None where it has no such value.
        overlaps: whether the intervals overlap; None without intervals.
    """

    name: str
    a: Value | None
    b: Value | None
    overlaps: bool | None


@dataclass(frozen=True)
class FileComparison:
    """One file that both trees hold, with other bytes.

    Attributes:
        name: path in the tree.
        values: number of values compared; 0 for a file that is compared by its bytes.
        differences: those that differ; empty if the bytes differ and no value does.
        unreadable: whether its values cannot be read in one of the trees, though such a file has values.
    """

    name: str
    values: int
    differences: tuple[Difference, ...]
    unreadable: bool = False

    @property
    def agrees(self) -> bool:
        """Whether every value agrees (within the tolerance), so that only the writing differs."""
        return bool(self.values) and not self.differences

    @property
    def covered(self) -> bool:
        """Whether no two intervals are apart; what states no uncertainty has no say."""
        return not self.unreadable and all(
            difference.overlaps is not False for difference in self.differences
        )


@dataclass(frozen=True)
class Comparison:
    """What two trees have in common and where they differ."""

    a: str
    b: str
    only_a: tuple[str, ...] = ()
    only_b: tuple[str, ...] = ()
    same: tuple[str, ...] = ()
    different: tuple[FileComparison, ...] = field(default=())

    def ok(self, *, common: bool = False, intervals: bool = False) -> bool:
        """Whether nothing differs.

        Args:
            common: leave out files that one tree lacks.
            intervals: let only numbers with intervals decide: they differ if these are apart.
        """
        if not common and (self.only_a or self.only_b):
            return False
        return all(file.agrees or (intervals and file.covered) for file in self.different)

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        files = [
            {
                "name": file.name,
                "values": file.values,
                "differences": [
                    {
                        "name": difference.name,
                        "a": None if difference.a is None else str(difference.a),
                        "b": None if difference.b is None else str(difference.b),
                        "intervals_overlap": difference.overlaps,
                    }
                    for difference in file.differences
                ],
            }
            for file in self.different
        ]
        lists = {"only_a": list(self.only_a), "only_b": list(self.only_b), "same": list(self.same)}
        return {"a": self.a, "b": self.b, **lists, "different": files}


def list_artifacts(root: Path) -> dict[str, Path]:
    """Every file of a tree that is a result, by its path in it; what holds times (sidecars, compute) is left out.

    Raises:
        ArtifactError: if it is no results tree, or has a link in it.
    """
    require_tree(root, sidecars=False)
    return {
        path.relative_to(root).as_posix(): path
        for path in walk_files(root, (*UNTRACKED, "compute"))
        if not path.name.endswith(SIDECAR_SUFFIX) and is_in_place(path, root)
    }


def compare_files(name: str, a: Path, b: Path, tolerance: float) -> FileComparison:
    """Compare two files of other bytes by their values."""
    ours, theirs = read_values(a), read_values(b)
    if ours is None or theirs is None:
        return FileComparison(name, 0, (), unreadable=a.suffix in READERS)
    names = list(dict.fromkeys([*ours, *theirs]))
    differences = []
    for key in names:
        left, right = ours.get(key), theirs.get(key)
        if left is None or right is None:
            differences.append(Difference(key, left, right, None))
        elif not agree(left, right, tolerance):
            differences.append(Difference(key, left, right, overlap(left, right)))
    return FileComparison(name, len(names), tuple(differences))


def compare_trees(a: Path, b: Path, *, tolerance: float = 0.0) -> Comparison:
    """Compare two results trees.

    Args:
        a, b: their roots.
        tolerance: relative difference up to which two numbers are the same.

    Raises:
        ArtifactError: if one is no tree, or they have no file in common.
    """
    with open_tree(a) as own, open_tree(b) as other:
        return _compare(a, b, list_artifacts(own), list_artifacts(other), tolerance)


def _compare(
    a: Path, b: Path, ours: dict[str, Path], theirs: dict[str, Path], tolerance: float
) -> Comparison:
    """The comparison of two trees, known as `a` and `b`, by the places of their files."""
    if not ours.keys() & theirs.keys():
        raise ArtifactError(
            str(b), expected=f"files that {a} has too", found="none in common", fix="check both paths"
        )
    same, different = [], []
    for name in sorted(ours.keys() & theirs.keys()):
        if sha256_file(ours[name]) == sha256_file(theirs[name]):
            same.append(name)
        else:
            different.append(compare_files(name, ours[name], theirs[name], tolerance))
    return Comparison(
        str(a),
        str(b),
        tuple(sorted(ours.keys() - theirs.keys())),
        tuple(sorted(theirs.keys() - ours.keys())),
        tuple(same),
        tuple(different),
    )


SHOWN = 5  # differences listed of one file; all are in the JSON


def _word(difference: Difference) -> str:
    if difference.overlaps is None:
        return ""
    return "; intervals overlap" if difference.overlaps else "; intervals apart"


def _describe(file: FileComparison) -> str:
    if file.unreadable:
        return "values that cannot be read"
    if not file.values:
        return "other bytes"
    if file.agrees:
        return f"other bytes, the same {file.values} values"
    covered = sum(bool(difference.overlaps) for difference in file.differences)
    apart = sum(difference.overlaps is False for difference in file.differences)
    words = f"{len(file.differences)} of {file.values} values differ"
    return words + (
        f", {covered} with overlapping intervals, {apart} with intervals apart" if covered + apart else ""
    )


def print_comparison(comparison: Comparison, *, shown: int = SHOWN, stream: Any = None) -> None:
    """Print what differs, file by file, with the first few values, and a summary by kind of artifact."""
    from rich.table import Table

    console = make_console(stream)
    for file in comparison.different:
        console.print(escape_control(f"{file.name}: {_describe(file)}"))
        for difference in file.differences[:shown]:
            a, b = ("none" if side is None else str(side) for side in (difference.a, difference.b))
            console.print(escape_control(f"    {difference.name}: {a} | {b}{_word(difference)}"))
    columns = {
        "same": comparison.same,
        "same values": [file.name for file in comparison.different if file.agrees],
        "differ": [file.name for file in comparison.different if not file.agrees],
        "only in A": comparison.only_a,
        "only in B": comparison.only_b,
    }
    counts = {name: Counter(path.split("/")[0] for path in paths) for name, paths in columns.items()}
    table = Table(
        title=escape_control(f"A: {comparison.a}   B: {comparison.b}"), title_justify="left", box=None
    )
    table.add_column("files")
    for name in columns:
        table.add_column(name, justify="right")
    for kind in sorted(set().union(*counts.values())):
        table.add_row(kind, *(str(counts[name][kind]) for name in columns))
    console.print(table)
