"""The walk over a results tree: hashes, missing and surplus files, stale inputs, code and settings."""

from collections import Counter
from collections.abc import Callable, Iterable
from functools import cache, partial
from pathlib import Path

from harc.audit.content import check_content
from harc.audit.report import AuditReport, Finding
from harc.audit.sidecars import SUFFIX, Sidecar, hash_tree, read_sidecar
from harc.audit.sources import find_unlinked_inputs
from harc.audit.steps import StepState, describe_step, recompute_step
from harc.config.profile import load_profile
from harc.errors import DataError, HarcError
from harc.files import read_json, sha256_file

# Records of the running, not results: nothing is derived from them.
UNTRACKED = ("audit", "benchmarks", "checkpoints", "logs")
ROOT_HASH_FILE = "root_hash.json"

DescribeStep = Callable[[Sidecar, Path], StepState]


class _Hasher:
    """SHA-256 of files, each read once."""

    def __init__(self) -> None:
        self.known: dict[Path, str | None] = {}

    def __call__(self, path: Path) -> str | None:
        """The digest; None for a missing file."""
        if path not in self.known:
            self.known[path] = sha256_file(path) if path.is_file() else None
        return self.known[path]


def _walk(root: Path) -> tuple[list[Path], list[Path]]:
    """Sidecars and other files of the tree, without the records of the running."""
    files = sorted(
        path
        for path in root.rglob("*")
        if path.is_file() and path.relative_to(root).parts[0] not in UNTRACKED
    )
    sidecars = [path for path in files if path.name.endswith(SUFFIX)]
    return sidecars, [path for path in files if not path.name.endswith(SUFFIX)]


def _check_outputs(sidecar: Sidecar, hash_of: _Hasher) -> list[Finding]:
    repair = f"run `{sidecar.command}`"
    findings = []
    for name, path in sidecar.outputs.items():
        expected, found = sidecar.record["outputs"][name], hash_of(path)
        if found is None:
            findings.append(Finding(str(path), "missing", f"a file with sha256 {expected}", "none", repair))
        elif found != expected:
            findings.append(Finding(str(path), "changed", f"sha256 {expected}", f"sha256 {found}", repair))
    return findings


def _check_inputs(sidecar: Sidecar, hash_of: _Hasher, made: dict[Path, str]) -> list[Finding]:
    """Inputs that are not what they were; damage to another step's output is that step's finding alone."""
    repair = f"run `{sidecar.command}` again, and what follows from it"
    findings = []
    for name, path in sidecar.inputs.items():
        expected, found = sidecar.record["inputs"][name], hash_of(path)
        if found == expected or (path in made and made[path] == expected):
            continue
        findings.append(
            Finding(
                str(sidecar.artifact),
                "input changed",
                f"made from {name} with sha256 {expected}",
                "no such file" if found is None else f"{name} with sha256 {found}",
                repair,
            )
        )
    return findings


def _check_state(sidecar: Sidecar, state: StepState) -> list[Finding]:
    repair = f"run `{sidecar.command}` again, and what follows from it"
    findings = []
    for kind, field, expected in (
        ("stale code", "code", state.code),
        ("stale settings", "settings_hash", state.settings_hash),
    ):
        if sidecar.record[field] != expected:
            findings.append(
                Finding(
                    str(sidecar.artifact),
                    kind,
                    f"{field} {expected} as now in the project",
                    sidecar.record[field],
                    repair,
                )
            )
    return findings


def _check_owners(sidecars: list[Sidecar], files: list[Path]) -> list[Finding]:
    owners = Counter(path for sidecar in sidecars for path in sidecar.outputs.values())
    findings = [
        Finding(
            str(path),
            "claimed twice",
            "one sidecar that names it as output",
            str(count),
            "remove the sidecar that is not its own",
        )
        for path, count in owners.items()
        if count > 1
    ]
    findings += [
        Finding(str(path), "orphan", "a sidecar that names it as output", "none", f"rm '{path}'")
        for path in files
        if path not in owners
    ]
    return findings


def _check_root_hash(path: Path, root_hash: str) -> list[Finding]:
    """The root hash that the paper was set with, against the one of the sidecars as they are."""
    try:
        stored = read_json(path)["root_hash"] if path.is_file() else root_hash
    except (DataError, KeyError, TypeError):
        stored = "none that can be read"
    if stored == root_hash:
        return []
    repair = (
        "run `harc step seal_results` with the tree's profile, and the steps that the other findings name"
    )
    return [
        Finding(str(path), "root hash", f"root hash {root_hash}, as the sidecars give", str(stored), repair)
    ]


def _check_step(
    sidecar: Sidecar, describe: DescribeStep, root: Path, recompute: bool
) -> tuple[list[Finding], bool]:
    """Findings about a sidecar's step, and whether it was recomputed."""
    try:
        state = describe(sidecar, root)
    except HarcError as problem:
        return [
            Finding(str(sidecar.path), "unknown step", problem.expected, problem.found, problem.fix)
        ], False
    findings = _check_state(sidecar, state)
    if findings or not recompute or state.rerun is None:
        return findings, False
    return recompute_step(sidecar, state, root), True


def _read_all(paths: list[Path], root: Path, project: Path) -> tuple[list[Sidecar], list[Finding]]:
    sidecars, findings = [], []
    for path in paths:
        if not path.is_file():
            name = path.name.removesuffix(SUFFIX)
            findings.append(
                Finding(str(path), "missing", f"the sidecar of {name}", "none", "run `snakemake --cores all`")
            )
            continue
        sidecar, own = read_sidecar(path, root, project)
        findings += own
        if sidecar is not None:
            sidecars.append(sidecar)
    return sidecars, findings


def read_tree(
    root: Path, expected: Iterable[Path] = (), project: Path = Path()
) -> tuple[list[Sidecar], list[Finding]]:
    """Every readable sidecar of a tree and of `expected`, and what is wrong with the others."""
    return _read_all(sorted({*_walk(root)[0], *map(Path, expected)}), root, project)


def audit_results(
    root: Path,
    *,
    project: Path = Path(),
    expected: Iterable[Path] = (),
    describe: DescribeStep | None = None,
    recompute: bool = True,
) -> AuditReport:
    """Check a results tree against its sidecars, its inputs, the project's code and settings, and itself.

    Args:
        root: the results tree, results/<profile>.
        project: the repository's root, for inputs outside the tree; by default the working directory.
        expected: sidecars that must be there, also outside the tree (the paper's).
        describe: how the present code and settings of a sidecar's step are found; by default describe_step, reading
            each profile once.
        recompute: whether to repeat, beside the tree, the steps that give the same bytes every time.

    Returns:
        The report; whatever is wrong is a finding in it, not an exception.
    """
    describe = describe or partial(describe_step, load=cache(load_profile))
    paths, files = _walk(root)
    sidecars, findings = _read_all(sorted({*paths, *map(Path, expected)}), root, project)
    hash_of = _Hasher()
    made = {
        path: sidecar.record["outputs"][name]
        for sidecar in sidecars
        for name, path in sidecar.outputs.items()
    }
    recomputed = 0
    for sidecar in sidecars:
        own = _check_outputs(sidecar, hash_of)
        own += _check_inputs(sidecar, hash_of, made)
        of_step, done = _check_step(sidecar, describe, root, recompute and not own)
        recomputed += done
        findings += own + of_step
    findings += _check_owners(sidecars, files)
    findings += find_unlinked_inputs(sidecars, set(made), project)
    sound = [path for path in made if hash_of(path) == made[path]]
    content_findings, content_counts = check_content(sound, sidecars, root)
    root_hash = hash_tree(sidecars, root)
    findings += _check_root_hash(root / ROOT_HASH_FILE, root_hash)
    counts = {
        "sidecars": len(sidecars),
        "files hashed": len(hash_of.known),
        **content_counts,
        "steps recomputed": recomputed,
    }
    return AuditReport(str(root), root_hash, counts, tuple(sorted({*findings, *content_findings})))
