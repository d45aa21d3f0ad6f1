"""A sidecar's step as the project has it now: its code, its settings, and a second run beside the tree."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from harc.audit.report import Finding
from harc.audit.sidecars import Sidecar
from harc.core.artifacts import Layout
from harc.core.errors import ArtifactError, HarcError
from harc.core.provenance import name_path
from harc.settings.profile import Profile, load_profile
from harc.steps.commands import parse_command, recreate_job
from harc.steps.files import drop_folders, list_read
from harc.steps.job import Job
from harc.steps.registry import STEPS
from harc.steps.running import hash_settings, list_code

STUDY = "study"  # in a shadow tree: what is read of a committed study
LARGEST_PROFILE = 2**20


@dataclass(frozen=True)
class StepState:
    """What a step depends on at present.

    Attributes:
        code: fingerprint of its code.
        settings_hash: hash of its settings.
        rerun: runs it with another results root; None for a step that is not repeated here.
        job: the step for its unit, where the project has it.
    """

    code: str
    settings_hash: str
    rerun: Callable[[Path], None] | None = None
    job: Job | None = None


def describe_step(sidecar: Sidecar, root: Path, load: Callable[[str], Profile] = load_profile) -> StepState:
    """The present state of the step that a sidecar names.

    Args:
        sidecar: whose step.
        root: results tree.
        load: reads a profile.

    Raises:
        HarcError: if the project has no such step, profile, backbone, method or figure any more, or the step makes
            another artifact.
    """
    stop_at_odd_profile(parse_command(sidecar.command)[1].get("profile", ""))
    job = recreate_job(sidecar.command, load)
    step = STEPS[job.step]
    place = step.list_outputs(replace(job, layout=replace(job.layout, root=root)))[0]
    if place != sidecar.artifact:
        raise ArtifactError(
            str(sidecar.path),
            expected=f"the command that makes {sidecar.artifact}",
            found=f"that of {place}",
            fix=f"remove it, then run the step that makes {sidecar.artifact.name}",
        )

    def rerun(other: Path) -> None:
        kept = job.layout.reference
        step.run(replace(job, layout=Layout(other, None if kept is None else other / STUDY / kept.name)))

    return StepState(
        _fingerprint(tuple(list_code(job))),
        hash_settings(step.select_settings(job)),
        rerun if step.pure else None,
        job,
    )


def find_undeclared(sidecar: Sidecar, job: Job) -> tuple[str, str] | None:
    """(expected, found) of the first thing that a sidecar says more, or less, than its step has: seed, outputs, inputs.

    Args:
        sidecar: with the names of files.
        job: its step, as the project has it; the tree may lie elsewhere by now.
    """
    if sidecar.record["seed"] != job.seed:
        return f"seed {job.seed}, as the command says", str(sidecar.record["seed"])
    for side, declared in (("outputs", STEPS[job.step].list_outputs(job)), ("inputs", list_read(job))):
        names = {name_path(path, job.layout.root) for path in declared}
        needed = {name_path(path, job.layout.root) for path in drop_folders(declared)}
        places = {name: {name, *_list_parents(name)} for name in sidecar.record[side]}
        surplus = sorted(name for name, above in places.items() if not above & names)
        lacking = sorted(needed - set().union(*places.values()))
        if surplus or lacking:
            return f"the {side} of its step", f"{surplus[0]} besides" if surplus else f"no {lacking[0]}"
    return None


def _list_parents(name: str) -> list[str]:
    """Names of the folders that a file lies in."""
    return [name[:place] for place, char in enumerate(name) if char == "/"]


@cache
def _fingerprint(modules: tuple[str, ...]) -> str:
    """Once for each kind of step: a tree holds hundreds of a kind."""
    from harc.core.fingerprint import fingerprint_code

    return fingerprint_code(modules)


def stop_at_odd_profile(profile: str) -> None:
    """Refuse to open what a sidecar names as a profile where that is a pipe, a device, or no small file.

    Raises:
        ArtifactError: for such a name.
    """
    path = Path(profile)
    if path.suffix not in (".yaml", ".yml") or not path.exists():
        return  # a shipped profile's name, or one that is reported as unknown
    if not path.is_file() or path.stat().st_size > LARGEST_PROFILE:
        raise ArtifactError("sidecar", expected="a profile", found=profile, fix="remove the artifact")


def _describe_difference(expected: bytes, found: bytes) -> tuple[str, str]:
    """The first line that differs, as recomputed and as stored."""
    ours, theirs = expected.splitlines(), found.splitlines()
    for number, (a, b) in enumerate(zip(ours, theirs, strict=False), start=1):
        if a != b:
            return (
                f"line {number} as recomputed: {a[:120].decode(errors='replace')}",
                b[:120].decode(errors="replace"),
            )
    return f"{len(ours)} lines as recomputed", f"{len(theirs)} lines"


def _link_inputs(sidecar: Sidecar, state: StepState, root: Path, shadow: Path) -> None:
    """Links to a step's declared inputs where a run in the shadow tree looks for them."""
    kept = state.job.layout.reference if state.job is not None else None
    places = {root: shadow} | ({} if kept is None else {kept: shadow / STUDY / kept.name})
    for path in sidecar.inputs.values():
        for base, place in places.items():
            if path.is_relative_to(base):
                link = place / path.relative_to(base)
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(path.absolute())
                break


def recompute_step(sidecar: Sidecar, state: StepState, root: Path) -> list[Finding]:
    """Run a step again in a shadow tree with links to its declared inputs alone, and compare its outputs.

    Args:
        sidecar: the sidecar, whose inputs and outputs are sound.
        state: the step's state, with `rerun`.
        root: the results tree.
    """
    assert state.rerun is not None  # the caller asks for such steps alone
    repair = sidecar.repair
    findings = []
    with TemporaryDirectory() as folder:
        shadow = Path(folder)
        _link_inputs(sidecar, state, root, shadow)
        try:
            state.rerun(shadow)
        except Exception as problem:  # whatever stops a step on files that anyone may have made is a finding
            found = str(problem) if isinstance(problem, HarcError) else f"{type(problem).__name__}: {problem}"
            return [
                Finding(str(sidecar.artifact), "recomputed", "the step to run on its inputs", found, repair)
            ]
        for path in sidecar.outputs.values():
            if not path.is_relative_to(root):
                continue
            again = shadow / path.relative_to(root)
            if not again.is_file():
                findings.append(Finding(str(path), "recomputed", "no such output", "one", repair))
            elif again.read_bytes() != path.read_bytes():
                difference = _describe_difference(again.read_bytes(), path.read_bytes())
                findings.append(Finding(str(path), "recomputed", *difference, repair))
    return findings
