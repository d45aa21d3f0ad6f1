"""An estimate as text for people, in one line, and as JSON."""

from collections.abc import Sequence
from typing import Any

from harc.core.terminal import align_columns
from harc.rehearsal.estimate import Estimate, Line
from harc.rehearsal.space import Peak
from harc.settings.profile import Profile


def format_hours(hours: float) -> str:
    """Hours with two digits that count."""
    return f"{hours:,.0f}" if hours >= 10 else f"{hours:.1f}" if hours >= 0.95 else f"{hours:.2f}"


def format_range(line: Line) -> str:
    """Least and most hours."""
    return f"{format_hours(line.least)} to {format_hours(line.most)}"


def format_size(gb: float) -> str:
    """GB: a decimal below ten."""
    return f"{gb:.0f}" if gb >= 10 else f"{gb:.1f}"


def format_peak(peak: Peak) -> str:
    """Usual and most GB, where they differ."""
    usual, most = format_size(peak.usual), format_size(peak.most)
    return usual if usual == most else f"{usual} to {most}"


def list_shortages(profile: Profile, peaks: Sequence[Peak]) -> list[str]:
    """What does not fit into the memory that a backbone's settings ask for, or may not with the longest rows."""
    lines = []
    for name, backbone in profile.all_backbones.items():
        declared = getattr(backbone, "memory_gb", 0.0)
        own = [peak for peak in peaks if peak.backbone == name]
        for word, found in (
            ("", [peak for peak in own if peak.usual > declared]),
            (", with the longest rows", [peak for peak in own if peak.usual <= declared < peak.most]),
        ):
            if found:
                named = ", ".join(f"{peak.work} ({format_peak(peak)})" for peak in found)
                lines.append(
                    f"{name}: more than the {declared:g} GB that its settings ask for{word}: {named}"
                )
    return lines


def format_estimate(profile: Profile, estimate: Estimate) -> str:
    """Hours by step, memory, disk, and what is not measured."""
    steps = [["step", "jobs", "hours"]]
    steps += [[line.step, str(line.jobs), format_range(line)] for line in [*estimate.lines, estimate.total]]
    peaks = [["backbone", "work", "GB", ""]]
    peaks += [[peak.backbone, peak.work, format_peak(peak), peak.note] for peak in estimate.peaks]
    disk = sum(place.gb for place in estimate.places)
    places = [[format_size(place.gb), place.what] for place in estimate.places]
    places.append([format_size(disk), "total"])
    lines = [
        f"estimate of {estimate.profile}: {estimate.unit}",
        align_columns(steps),
        "",
        "memory of one device (usual, to the most that the settings let through)",
        align_columns(peaks),
        *list_shortages(profile, estimate.peaks),
        "",
        "disk, GB",
        align_columns(places),
        "",
        "not measured",
        *(f"- {line}" for line in estimate.unmeasured),
    ]
    return "\n".join(lines)


def summarize_estimate(profile: Profile, estimate: Estimate) -> str:
    """One line: hours, memory, disk."""
    gb = max(peak.usual for peak in estimate.peaks)
    disk = sum(place.gb for place in estimate.places)
    return (
        f"{format_range(estimate.total)} {estimate.unit}, {format_size(gb)} GB of memory and "
        f"{format_size(disk)} GB of disk, by `harc estimate {profile.source}`"
    )


def export_estimate(estimate: Estimate) -> dict[str, Any]:
    """The estimate as JSON values: hours and GB as numbers."""
    return {
        "profile": estimate.profile,
        "unit": estimate.unit,
        "steps": [line._asdict() for line in estimate.lines],
        "total": estimate.total._asdict(),
        "memory": [peak._asdict() for peak in estimate.peaks],
        "disk": [place._asdict() for place in estimate.places],
        "unmeasured": estimate.unmeasured,
    }
