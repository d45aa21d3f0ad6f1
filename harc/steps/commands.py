"""Jobs by the command that runs them: created from options, and from the line that a sidecar holds."""

import re
import shlex
from collections.abc import Callable
from typing import Any

from harc.core.artifacts import BASE, Layout
from harc.core.errors import ArtifactError, ConfigError
from harc.settings.profile import Profile, load_profile
from harc.steps.job import PARTS, Job
from harc.steps.registry import STEPS

OPTIONS = frozenset({"profile", "reference", *PARTS})


def create_job(step: str, profile: Profile, reference: str | None = None, **unit: Any) -> Job:
    """A job of a profile.

    Args:
        step: name of a step.
        profile: its settings.
        reference: name of a committed study to read in place of a run of the profile's own.
        unit: backbone, method, seed, figure: what the step is for.

    Raises:
        ConfigError: if the step, backbone, method or figure is not one of the profile's, or there is no such reference.
    """
    from harc.steps.reference import locate_reference

    known = {
        "backbone": profile.all_backbones,
        "method": [BASE, *profile.methods, *profile.list_arms()],
        "figure": profile.figures,
    }
    if step not in STEPS:
        raise ConfigError(
            "harc step", expected=f"one of {', '.join(STEPS)}", found=step, fix="check the spelling"
        )
    for name, values in known.items():
        value = unit.get(name)
        if value is not None and value not in values:
            raise ConfigError(
                f"{name} of {step}",
                expected=f"one of {', '.join(values)} (profile {profile.name})",
                found=str(value),
                fix=f"check the spelling, or add it to {profile.source}",
            )
    layout = Layout(profile.results_root) if reference is None else locate_reference(reference)
    return Job(step, profile, layout, **unit)


def parse_command(command: str) -> tuple[str, dict[str, str]]:
    """Step and options of `harc step NAME --option value ...`, as a sidecar holds it.

    A sidecar may come from anyone, and its command is shown as advice: accepted is only what `Job.command` writes,
    quoted as a shell needs it.

    Raises:
        ArtifactError: if it is no such line.
    """
    try:
        words = shlex.split(command)
    except ValueError:  # a quotation without an end
        words = []
    names, values = words[3::2], words[4::2]
    options = {name.removeprefix("--"): value for name, value in zip(names, values, strict=False)}
    well_formed = (
        shlex.join(words) == command
        and command.isprintable()
        and words[:2] == ["harc", "step"]
        and words[2:3] != []
        and words[2] in STEPS
        and len(options) == len(names) == len(values)
        and options.keys() <= OPTIONS
        and all(name.startswith("--") for name in names)
        and not any(value.startswith("-") for value in values)
        and re.fullmatch(r"[0-9]{1,18}", options.get("seed", "0"), re.ASCII)
    )
    if not well_formed:
        raise ArtifactError(
            "sidecar", expected="the command of a workflow step", found=command, fix="remove the artifact"
        )
    return words[2], options


def recreate_job(command: str, load: Callable[[str], Profile] = load_profile) -> Job:
    """The job behind a sidecar's command.

    Args:
        command: the line in the sidecar.
        load: reads a profile; a caller with many commands may remember them.

    Raises:
        HarcError: if the project has no such step, profile, backbone, method or figure any more.
    """
    step, options = parse_command(command)
    profile = load(options.pop("profile", "organism"))
    seed = options.pop("seed", None)
    return create_job(step, profile, seed=None if seed is None else int(seed), **options)
