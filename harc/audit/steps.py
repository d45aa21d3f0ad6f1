"""A sidecar's step as the project has it now: its code, its settings, and a second run beside the tree."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from harc.artifacts import BASE, Layout, sidecar_path
from harc.audit.report import Finding
from harc.audit.sidecars import Sidecar
from harc.config.profile import Profile
from harc.errors import ArtifactError, HarcError

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


def _parse_command(command: str) -> tuple[str, dict[str, str]]:
    """Step and options of `harc step NAME --option value ...`."""
    words = shlex.split(command)
    names, values = words[3::2], words[4::2]
    if words[:2] != ["harc", "step"] or len(words) < 3 or len(names) != len(values):
        raise ArtifactError(
            "sidecar", expected="the command of a workflow step", found=command, fix="remove the artifact"
        )
    return words[2], {name.removeprefix("--"): value for name, value in zip(names, values, strict=True)}


def describe_step(sidecar: Sidecar, root: Path) -> StepState:
    """The present state of the step that a sidecar names.

    Raises:
        HarcError: if the project has no such step, profile, backbone, method or figure any more.
    """
    from harc.config.profile import load_profile
    from harc.fingerprint import fingerprint_code
    from harc.pipeline import create_job, hash_settings, list_code, load_step

    step, options = _parse_command(sidecar.command)
    profile = load_profile(options.pop("profile", "organism"))
    seed = options.pop("seed", None)
    job = create_job(step, profile, seed=None if seed is None else int(seed), **options)
    module = load_step(step)

    def rerun(other: Path) -> None:
        module.run(replace(job, layout=Layout(other)))

    return StepState(
        fingerprint_code(list_code(job)),
        hash_settings(module.select_settings(job)),
        rerun if step in PURE_STEPS else None,
    )


def is_trained(profile: Profile, backbone: str) -> bool:
    """Whether a backbone is trained in the workflow, rather than fetched."""
    return profile.backbones[backbone].kind == "organism"


def list_expected_sidecars(profile: Profile, layout: Layout) -> list[Path]:
    """The sidecar of every artifact that a finished run of a profile leaves in its results tree."""
    from harc.pipeline import Job, load_step

    models = [{"backbone": name, "seed": seed} for name in profile.backbones for seed in profile.seeds]
    trained = [{**model, "method": method} for model in models for method in profile.methods]
    units = {
        "pull_data": [{}],
        "train_backbone": [unit for unit in models if is_trained(profile, unit["backbone"])],
        "fetch_backbone": [unit for unit in models if not is_trained(profile, unit["backbone"])],
        "extract_directions": models,
        "train_adapter": trained,
        "evaluate": [{**model, "method": BASE} for model in models] + trained,
        "score": [{**model, "method": BASE} for model in models] + trained,
        "make_tables": [{}],
        "make_figure": [{"figure": figure} for figure in profile.figures],
        "seal_results": [{}],
        "build_report": [{}],
    }
    jobs = [Job(step, profile, layout, **unit) for step, found in units.items() for unit in found]
    return [sidecar_path(load_step(job.step).list_outputs(job)[0]) for job in jobs]


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
