"""What a rehearsal ends with: what passed, what was left out, and what it cannot show."""

from harc.core.artifacts import Layout
from harc.rehearsal.derive import list_left_out
from harc.rehearsal.estimate import estimate_profile
from harc.rehearsal.estimate_text import summarize_estimate
from harc.results.marks import MARK
from harc.settings.backbones import HubBackbone
from harc.settings.profile import Profile, load_profile
from harc.steps.files import find_sidecar
from harc.steps.paper import locate_pdf
from harc.steps.registry import list_jobs
from harc.steps.summary import format_duration

SHOWN = 8  # jobs that a message lists


def list_unshown(real: Profile) -> list[str]:
    """What the real run will meet for the first time."""
    unshown = ["what anything is worth: the models are random", "time, and memory at full size"]
    hub = [backbone for backbone in real.all_backbones.values() if isinstance(backbone, HubBackbone)]
    if any(backbone.gpu for backbone in hub):
        unshown.append(
            "any GPU" + (", and models spread over several" if any(b.gpus > 1 for b in hub) else "")
        )
    if any(backbone.gated for backbone in hub):
        unshown.append("whether your account has access to the gated models")
    unshown.append("what the real servers, datasets and tokenizers hold")
    return unshown


def format_rehearsal(rehearsal: Profile, real: str, *, seconds: float | None) -> str:
    """The last screen: a line for each of these.

    Args:
        rehearsal: the profile that was run.
        real: name of the one that it rehearses.
        seconds: how long it took; None: unknown.
    """
    layout = Layout(rehearsal.results_root)
    jobs = list_jobs(rehearsal, layout) + list_jobs(rehearsal, layout, "end")
    missing = [job for job in jobs if not find_sidecar(job).is_file()]
    took = "" if seconds is None else f" after {format_duration(seconds)}"
    passed = f"{len(jobs) - len(missing)} of {len(jobs)} jobs passed{took}"
    lines = [f"\n{MARK}", f"rehearsal of {rehearsal.name}: {passed}; results in {layout.root}"]
    if missing:
        names = ", ".join(job.label for job in missing[:SHOWN])
        lines.append(
            f"  not passed: {names}" + (f" and {len(missing) - SHOWN} more" if missing[SHOWN:] else "")
        )
    profile = load_profile(real)
    if left_out := list_left_out(profile):
        lines.append(
            f"  left out: {', '.join(left_out)}: their packages are not here, and the real run needs them"
        )
    if not missing and locate_pdf(rehearsal).is_file():
        lines.append(f"  its paper, every page marked: {locate_pdf(rehearsal)}")
    lines.append("  a rehearsal cannot show: " + "; ".join(list_unshown(profile)))
    lines.append(f"  the real run needs about {summarize_estimate(profile, estimate_profile(profile))}")
    next_step = (
        "mend that, then give the same command again" if missing else f"`harc preflight --profile {real}`"
    )
    lines.append(f"  next: {next_step}")
    return "\n".join(lines)
