"""The audit of a results tree: hashes, completeness, surplus files, stale inputs, code and settings."""

import shlex
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from random import Random
from typing import Any

from harc.audit.content import check_content
from harc.audit.drift import Drift, compare_versions, describe_drift
from harc.audit.hashes import (
    ROOT_HASH_FILE,
    Hasher,
    check_inputs,
    check_outputs,
    check_root_hash,
    find_unlinked_inputs,
    hash_results,
)
from harc.audit.report import AuditReport, Finding
from harc.audit.sidecars import Sidecar, read_sidecar
from harc.audit.step_state import StepState, describe_step, find_undeclared, recompute_step
from harc.audit.study import WITHOUT_WEIGHTS, Study, find_incomplete, read_study, read_versions, rename_report
from harc.core.artifacts import KEPT_FILE, MACHINES_FILE
from harc.core.artifacts import SIDECAR_SUFFIX as SUFFIX
from harc.core.errors import ArtifactError, ConfigError, HarcError
from harc.core.tree_files import UNTRACKED, TreeScan, digest_state, is_in_place, require_tree, scan_tree
from harc.settings.profile import load_profile
from harc.steps.reference_pack import find_damage, is_packed, open_tree

RERUN_OF_KEPT = (
    8  # scores of a committed study that are computed again; all of them take longer than a look may
)

DescribeStep = Callable[[Sidecar, Path], StepState]


def _split(scan: TreeScan) -> tuple[list[Path], list[Path]]:
    """Sidecars and other files."""
    sidecars = [path for path in scan.files if path.name.endswith(SUFFIX)]
    return sidecars, [path for path in scan.files if not path.name.endswith(SUFFIX)]


def _report_odd_entries(scan: TreeScan) -> list[Finding]:
    return [
        Finding(
            str(problem.path),
            "link" if "symbolic link" in problem.found else "no file",
            "folders and regular files in a results tree",
            problem.found,
            problem.fix,
        )
        for problem in scan.problems
    ]


def _describe(
    sidecar: Sidecar, describe: DescribeStep, root: Path, study: Study, drift: Drift
) -> tuple[StepState | None, list[Finding]]:
    """The present state of a sidecar's step; whatever a foreign command sets off is a finding."""
    try:
        return describe(sidecar, root), []
    except HarcError as problem:
        if study.kept and isinstance(problem, ConfigError):
            drift.gone.append(sidecar)
            return None, []
        words = problem.expected, problem.found, problem.fix
    except Exception as problem:
        words = "the command of a step", f"{type(problem).__name__}: {problem}", "remove the artifact"
    return None, [Finding(str(sidecar.path), "unknown step", *words)]


def _check_state(sidecar: Sidecar, state: StepState, study: Study, drift: Drift) -> list[Finding]:
    """Code and settings that are others now: a finding, but for a committed study, which names its commit."""
    findings = []
    for kind, field, expected, moved in (
        ("stale code", "code", state.code, drift.code),
        ("stale settings", "settings_hash", state.settings_hash, drift.settings),
    ):
        found = sidecar.record[field]
        if found != expected and study.kept:
            moved.append(sidecar)
        elif found != expected:
            words = f"{field} {expected} as now in the project", found
            repair = f"{sidecar.repair} again, and what follows from it"
            findings.append(Finding(str(sidecar.artifact), kind, *words, repair))
    # A step of other code may have other files.
    job = None if findings or study.kept else state.job
    difference = None if job is None else find_undeclared(sidecar, job)
    if difference is not None:
        findings.append(Finding(str(sidecar.path), "sidecar", *difference, f"{sidecar.repair} again"))
    return findings


def _advise_removal(path: Path, root: Path, whole: bool) -> str:
    """A command only for a file in its place in the tree, and only if a shell takes the name as it is shown."""
    if not whole:  # a good result may have lost its sidecar
        return "mend what the other findings name, sidecars first; then audit again"
    if is_in_place(path, root) and str(path).isprintable():
        return f"rm -- {shlex.quote(str(path))}"
    return "move it out of the tree"


def _check_owners(sidecars: list[Sidecar], files: list[Path], root: Path, whole: bool) -> list[Finding]:
    """Files that two sidecars name, or none does; `whole`: every sidecar is there and sound."""
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
        Finding(
            str(path),
            "orphan",
            "a sidecar that names it as output",
            "none",
            _advise_removal(path, root, whole),
        )
        for path in files
        if path not in owners and path not in (root / KEPT_FILE, root / MACHINES_FILE)
    ]
    return findings


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
    """Every readable sidecar of a tree and of `expected`, and what is wrong with the others and with the tree."""
    scan = scan_tree(root, UNTRACKED)
    sidecars, findings = _read_all(sorted({*_split(scan)[0], *map(Path, expected)}), root, project)
    return sidecars, [*_report_odd_entries(scan), *findings]


def _check_complete(
    study: Study, paths: list[Path], expected: set[Path], root: Path, partial: bool
) -> list[Finding]:
    """Missing and surplus artifacts by the study's own record, but for what is asked for besides."""
    return [
        finding
        for finding in find_incomplete(study, paths, root)
        if not (finding.kind == "missing" and (partial or Path(finding.file) in expected))
    ]


def _list_made(sidecars: list[Sidecar]) -> dict[Path, str]:
    """The hash that a sidecar gives to each output."""
    return {
        path: sidecar.record["outputs"][name]
        for sidecar in sidecars
        for name, path in sidecar.outputs.items()
    }


def _check_steps(
    sidecars: list[Sidecar], hash_of: Hasher, describe: DescribeStep, root: Path, study: Study, drift: Drift
) -> tuple[list[Finding], list[tuple[Sidecar, StepState]]]:
    """Findings about files, code and settings of every step, and the sound ones that can be run again."""
    made = _list_made(sidecars)
    findings, repeatable = [], []
    for sidecar in sidecars:
        own = check_outputs(sidecar, hash_of, study, drift)
        own += check_inputs(sidecar, hash_of, made, study, drift)
        state, unknown = _describe(sidecar, describe, root, study, drift)
        own += unknown if state is None else _check_state(sidecar, state, study, drift)
        if state is not None and state.rerun is not None and not own:
            repeatable.append((sidecar, state))
        findings += own
    return findings, repeatable


def _choose_reruns(
    repeatable: list[tuple[Sidecar, StepState]], root: Path, study: Study, drift: Drift, root_hash: str
) -> list[tuple[Sidecar, StepState]]:
    """Steps to run again: all that are sound; of a committed study a few scores whose code has not moved on."""
    if not study.kept:
        return repeatable
    moved = {sidecar.path for sidecar in (*drift.code, *drift.settings)}
    scores = [
        pair
        for pair in repeatable
        if pair[0].path not in moved
        and pair[0].path.is_relative_to(root / "scores")
        and not study.left_out & pair[0].inputs.keys()
    ]
    chosen = Random(root_hash).sample(scores, min(RERUN_OF_KEPT, len(scores)))
    drift.unrepeated = len(repeatable) - len(chosen)
    return chosen


def _name_files(scan: TreeScan, root: Path, hash_of: Hasher) -> dict[str, str]:
    """What lies at each path of the tree: its hash, or what is there in place of a file."""
    odd = {problem.path.relative_to(root).as_posix(): problem.found for problem in scan.problems}
    return odd | {path.relative_to(root).as_posix(): str(hash_of(path)) for path in scan.files}


def _audit_packed(root: Path, **options: Any) -> AuditReport:
    """Audit a packed study: its members and, if they are whole, the tree that they give, under the pack's name."""
    damage = find_damage(root)
    if not damage:
        try:
            with open_tree(root) as tree:
                return rename_report(audit_results(tree, **options), tree, root)
        except ArtifactError as problem:
            damage = [problem]
    findings = [Finding(found.where, "pack", found.expected, found.found, found.fix) for found in damage]
    return AuditReport(str(root), "unknown", findings=tuple(sorted(findings)), form=WITHOUT_WEIGHTS)


def audit_results(
    root: Path,
    *,
    project: Path = Path(),
    expected: Iterable[Path] = (),
    describe: DescribeStep | None = None,
    recompute: bool = True,
    partial_tree: bool = False,
) -> AuditReport:
    """Check a results tree against its sidecars, its inputs, the project's code and settings, and itself.

    Args:
        root: the results tree, results/<profile>.
        project: the repository's root, for inputs outside the tree; by default the working directory.
        expected: sidecars that must be there, also outside the tree (the paper's).
        describe: how the present code and settings of a sidecar's step are found; by default describe_step, reading
            each profile once.
        recompute: whether to repeat, beside the tree, the steps that give the same bytes every time.
        partial_tree: whether the tree may lack artifacts, as that of a run under way.

    Returns:
        The report; whatever is wrong is a finding in it, not an exception.

    Raises:
        ArtifactError: if there is no results tree at all.
    """
    require_tree(root)
    if is_packed(root):
        return _audit_packed(
            root,
            project=project,
            expected=expected,
            describe=describe,
            recompute=recompute,
            partial_tree=partial_tree,
        )
    describe = describe or partial(describe_step, load=cache(load_profile))
    wanted, drift, scan = {Path(path) for path in expected}, Drift(), scan_tree(root, UNTRACKED)
    paths, files = _split(scan)
    sidecars, findings = _read_all(sorted({*paths, *wanted}), root, project)
    study, of_record = read_study(root, sidecars)
    versions, of_machines = read_versions(root)
    study = replace(study, machines=versions)
    findings += _report_odd_entries(scan) + of_machines + ([] if partial_tree else of_record)
    findings += _check_complete(study, paths, wanted, root, partial_tree)
    whole = not findings and not partial_tree
    hash_of = Hasher(scan.files)
    of_steps, repeatable = _check_steps(sidecars, hash_of, describe, root, study, drift)
    findings += of_steps + _check_owners(sidecars, files, root, whole)
    made = _list_made(sidecars)
    findings += find_unlinked_inputs(sidecars, set(made), project)
    sound = [path for path in made if hash_of(path) == made[path]]
    of_content, content_counts = check_content(sound, sidecars, root)
    root_hash = hash_results(sidecars, root, project)
    findings += of_content + check_root_hash(root / ROOT_HASH_FILE, root_hash)
    reruns = _choose_reruns(repeatable, root, study, drift, root_hash) if recompute else []
    findings += [finding for pair in reruns for finding in recompute_step(*pair, root)]
    counts = {"sidecars": len(sidecars), "files hashed": len(hash_of.known), **content_counts}
    return AuditReport(
        str(root),
        root_hash,
        counts | {"files left out": len(drift.left_out), "steps recomputed": len(reruns)},
        tuple(sorted(set(findings))),
        form=study.form,
        state=digest_state(_name_files(scan, root, hash_of)),
        remarks=(*describe_drift(drift, study.machines), *compare_versions(sidecars)),
    )
