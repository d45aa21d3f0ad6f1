"""Do the tests notice faults? Breaks losses, extraction, statistics and audit, one place at a time.

    python benchmarks/mutate.py                    # 30 faults, seed 0; exit 1 if fewer than 28 are noticed
    python benchmarks/mutate.py --only audit --count 6 --seed 3
    python benchmarks/mutate.py --at cb.py:140     # of the faults drawn, those whose place is this
    python benchmarks/mutate.py --list             # which faults, without running anything

Each fault is one edit of the syntax tree (a comparison turned round, an operator or a number exchanged, a condition
negated) in a copy of the tracked files, tested there until one test fails: first the test files that name the broken
module, then the others of the group. The test that fails must pass on the sound code, or the fault is not counted as
noticed. One that takes too long counts as failed: loops without an end are a common kind of fault. What survives is
printed with its line, since some edits change nothing that anybody could notice.
"""

import argparse
import ast
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harc.core.terminal import show

PROJECT = Path(__file__).parents[1]
GROUPS = {
    "losses": (
        ("harc/methods/*.py", "harc/training/objective.py", "harc/training/forward.py"),
        ("tests/methods", "tests/golden/test_training.py", "tests/training/test_training_run.py"),
    ),
    "extraction": (
        ("harc/geometry/*.py",),
        (
            "tests/geometry",
            "tests/golden/test_directions.py",
            "tests/model/test_packing.py",
            "tests/training/test_training_run.py",
        ),
    ),
    "statistics": (("harc/stats/*.py",), ("tests/stats", "tests/results", "tests/evaluation/test_score.py")),
    "audit": (("harc/audit/*.py",), ("tests/audit", "tests/faults")),
}
"""Which files are broken, and which tests are asked, by group; what is not there is passed over."""
TESTED = "not slow and not gpu"
COMPARED = {
    ast.Lt: ast.GtE, ast.LtE: ast.Gt, ast.Gt: ast.LtE, ast.GtE: ast.Lt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
COMPUTED = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult}


@dataclass(frozen=True)
class Fault:
    """One edit: the file, where its text begins and ends (offsets in bytes), and what stands there instead."""

    path: str
    line: int
    start: int
    end: int
    old: str
    new: str

    def apply(self, root: Path) -> None:
        """Make the edit in a copy."""
        source = (root / self.path).read_bytes()
        (root / self.path).write_bytes(source[: self.start] + self.new.encode() + source[self.end :])

    def __str__(self) -> str:
        """Place and edit in one line."""
        old, new = (" ".join(text.split())[:70] for text in (self.old, self.new))
        return f"{self.path}:{self.line}: {old}  ->  {new}"


def change(node: ast.AST) -> ast.expr | None:
    """The node with a fault in it; None for nodes that get none, such as texts put together."""
    changed: ast.expr | None = None
    match node:
        case ast.Compare(left, [first, *others], rights) if type(first) in COMPARED:
            changed = ast.Compare(left, [COMPARED[type(first)](), *others], rights)
        case ast.BinOp(left, operator, right) if type(operator) in COMPUTED and not _is_text(left, right):
            changed = ast.BinOp(left, COMPUTED[type(operator)](), right)
        case ast.UnaryOp(ast.Not() | ast.USub(), operand):
            changed = operand
        case ast.BoolOp(operator, values):
            changed = ast.BoolOp(ast.Or() if isinstance(operator, ast.And) else ast.And(), values)
        case ast.Constant(bool() as value):
            changed = ast.Constant(not value)
        case ast.Constant(int() | float() as value):
            changed = ast.Constant(value + 1)
        case ast.IfExp(test, body, orelse):
            changed = ast.IfExp(test, orelse, body)
    return changed


def _is_text(*nodes: ast.expr) -> bool:
    return any(
        isinstance(node, ast.JoinedStr) or isinstance(getattr(node, "value", None), str) for node in nodes
    )


def walk_computed(node: ast.AST) -> Iterator[ast.expr]:
    """Every expression that runs, without annotations, defaults, decorators and formatted texts."""
    skipped = {"annotation", "returns", "decorator_list", "type_params", "defaults", "kw_defaults"}
    for name, value in ast.iter_fields(node):
        if name in skipped or isinstance(value, ast.JoinedStr):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                if isinstance(child, ast.expr):
                    yield child
                yield from walk_computed(child)


def list_faults(root: Path, patterns: tuple[str, ...]) -> list[Fault]:
    """Every fault that the files of a group can be given, in the order of the files."""
    found = []
    for path in sorted({path for pattern in patterns for path in root.glob(pattern)}):
        source = path.read_bytes()
        starts = [0]
        for line in source.splitlines(keepends=True):
            starts.append(starts[-1] + len(line))
        tree = ast.parse(source)
        for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
            for node in walk_computed(function):
                if (
                    (changed := change(node)) is None
                    or node.end_lineno is None
                    or node.end_col_offset is None
                ):
                    continue
                start = starts[node.lineno - 1] + node.col_offset
                end = starts[node.end_lineno - 1] + node.end_col_offset
                text = f"({ast.unparse(ast.fix_missing_locations(changed))})"
                name = path.relative_to(root).as_posix()
                found.append(Fault(name, node.lineno, start, end, source[start:end].decode(), text))
    return list(dict.fromkeys(found))


def choose_faults(root: Path, count: int, seed: int, only: str | None) -> list[tuple[str, Fault]]:
    """As many faults from each group as from the others, at most one a line, by the seed."""
    chosen: list[tuple[str, Fault]] = []
    groups = [only] if only else list(GROUPS)
    for number, group in enumerate(groups):
        share = count // len(groups) + (number < count % len(groups))
        pool = list(
            {(fault.path, fault.line): fault for fault in list_faults(root, GROUPS[group][0])}.values()
        )
        drawn = random.Random(f"{seed} {group}").sample(pool, min(share, len(pool)))
        chosen += [(group, fault) for fault in drawn]
    return chosen


def copy_project(target: Path) -> None:
    """Copy the tracked files; the committed studies are linked, since no test writes there."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        if not name.startswith("results/") and (PROJECT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, target / name)
    (target / "results").mkdir()
    (target / "results" / "reference").symlink_to(PROJECT / "results" / "reference")


def list_tests(root: Path, group: str, path: str, *, near_alone: bool) -> list[str]:
    """Test files for a fault in a file: those that name its module, its namesakes first, then the group's others."""
    module, stem = path.removesuffix(".py").replace("/", "."), Path(path).stem
    names = re.compile(
        rf"{re.escape(module)}\b|from {re.escape(module.rpartition('.')[0])} import .*\b{stem}\b"
    )
    near = [test for test in sorted(root.glob("tests/**/test_*.py")) if names.search(test.read_text())]
    near.sort(key=lambda test: (stem not in test.stem, test.stat().st_size))
    if near_alone and near:
        return [test.relative_to(root).as_posix() for test in near]
    places = [root / place for place in GROUPS[group][1] if (root / place).exists()]
    far = [
        test for place in places for test in (sorted(place.rglob("test_*.py")) if place.is_dir() else [place])
    ]
    return [test.relative_to(root).as_posix() for test in dict.fromkeys([*near, *far])]


def find_failure(root: Path, tests: list[str], limit: float) -> str | None:
    """The first test that fails in a copy, or does not end in time; None if all pass."""
    options = ["-x", "-v", "-p", "no:cacheprovider", "-m", TESTED]
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *options, *tests],
            cwd=root, env=environment, capture_output=True, timeout=limit, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as late:
        started = re.findall(
            r"^(tests/.+?\.py::.+?)(?: [A-Z]+ .*)?$", (late.output or b"").decode(), re.MULTILINE
        )
        return started[-1].strip() if started else tests[0]
    if done.returncode in (0, 5):  # 5: files of slow tests alone
        return None
    failed = re.search(r"^(?:FAILED|ERROR) (tests/.+?)(?: - .*)?$", done.stdout.decode(), re.MULTILINE)
    if failed is None:
        raise SystemExit(
            f"error: expected tests to run; found exit status {done.returncode}; {done.stderr.decode()}"
        )
    return failed[1]


def try_fault(root: Path, group: str, fault: Fault, limit: float, *, near_alone: bool) -> str | None:
    """The test that notices a fault: it fails on it, and passes on the sound code; None if there is none.

    Raises:
        SystemExit: for a test that fails on the sound code.
    """
    whole = (root / fault.path).read_bytes()
    fault.apply(root)
    try:
        failed = find_failure(root, list_tests(root, group, fault.path, near_alone=near_alone), limit)
    finally:
        (root / fault.path).write_bytes(whole)
    if failed is not None and find_failure(root, [failed], limit) is not None:
        raise SystemExit(f"error: {failed}: expected to pass on sound code; found a failure; mend that first")
    return failed


def main() -> int:
    """Break, test, report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=GROUPS)
    parser.add_argument(
        "--at", default="", metavar="FILE:LINE", help="faults drawn whose place holds this alone"
    )
    parser.add_argument("--limit", type=float, default=900, help="longest run of tests (seconds)")
    parser.add_argument("--wanted", type=int, default=28, help="faults of 30 that must be noticed")
    parser.add_argument("--near", action="store_true", help="ask only the test files that name the module")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    drawn = choose_faults(PROJECT, options.count, options.seed, options.only)
    chosen = [(group, fault) for group, fault in drawn if options.at in f"{fault.path}:{fault.line}"]
    if options.list:
        for group, fault in chosen:
            show(f"{group:10} {fault}")
        return 0
    noticed = 0
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "project"
        copy_project(root)
        for group, fault in chosen:
            started = time.monotonic()
            test = try_fault(root, group, fault, options.limit, near_alone=options.near)
            noticed += test is not None
            verdict = "survived" if test is None else "noticed"
            show(
                f"{verdict:8} {time.monotonic() - started:4.0f} s  {group:10} {fault}  [{test or 'no test'}]"
            )
    show(f"{noticed} of {len(chosen)} noticed")
    return int(noticed < options.wanted * len(chosen) / 30)


if __name__ == "__main__":
    sys.exit(main())
