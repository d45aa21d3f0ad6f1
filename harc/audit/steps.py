"""A sidecar's step as the project has it now: its code, its settings, and a second run beside the tree."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from harc.artifacts import Layout, sidecar_path
from harc.audit.report import Finding
from harc.audit.sidecars import Sidecar
from harc.config.profile import Profile, load_profile
from harc.errors import HarcError
from harc.pipeline import hash_settings, list_code, list_jobs, load_step, recreate_job

# Steps whose outputs follow byte for byte from their inputs, in seconds.
PURE_STEPS = ("score", "make_tables")


@dataclass(frozen=True)
class StepState:
    """What a step depends on at present.

    Attributes:
        code: fingerprint of its code.
        settings_hash: hash of its settings.
        rerun: runs it with another results root; None for a step that is not repeated here.
    """

    code: str
    settings_hash: str
    rerun: Callable[[Path], None] | None = None


def describe_step(sidecar: Sidecar, root: Path, load: Callable[[str], Profile] = load_profile) -> StepState:
    """The present state of the step that a sidecar names.

    Args:
        sidecar: whose step.
        root: results tree.
        load: reads a profile.

    Raises:
        HarcError: if the project has no such step, profile, backbone, method or figure any more.
    """
    from harc.fingerprint import fingerprint_code

    job = recreate_job(sidecar.command, load)
    module = load_step(job.step)

    def rerun(other: Path) -> None:
        module.run(replace(job, layout=Layout(other)))

    return StepState(
        fingerprint_code(list_code(job)),
        hash_settings(module.select_settings(job)),
        rerun if job.step in PURE_STEPS else None,
    )


def list_expected_sidecars(profile: Profile, layout: Layout) -> list[Path]:
    """The sidecar of every artifact that a finished run of a profile leaves in its results tree."""
    return [sidecar_path(load_step(job.step).list_outputs(job)[0]) for job in list_jobs(profile, layout)]


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


def recompute_step(sidecar: Sidecar, state: StepState, root: Path) -> list[Finding]:
    """Run a step again in a shadow tree with links to its declared inputs alone, and compare its outputs.

    Args:
        sidecar: the sidecar, whose inputs and outputs are sound.
        state: the step's state, with `rerun`.
        root: the results tree.
    """
    repair = f"run `{sidecar.command}`"
    findings = []
    with TemporaryDirectory() as folder:
        shadow = Path(folder)
        for path in sidecar.inputs.values():
            if path.is_relative_to(root):
                link = shadow / path.relative_to(root)
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(path.absolute())
        try:
            state.rerun(shadow)
        except HarcError as problem:
            return [
                Finding(
                    str(sidecar.artifact), "recomputed", "the step to run on its inputs", str(problem), repair
                )
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
