"""What has moved on since a study was made, which is no fault of the study: said, and not a finding."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from harc.audit.sidecars import Sidecar
from harc.core.provenance import read_versions
from harc.steps.machines import Versions, add_counts, describe_counts

MOST_NAMED = 5


@dataclass
class Drift:
    """Differences between a committed study and the project as it is now.

    Attributes:
        left_out: files that the committed form leaves out, by their names in sidecars.
        files: the project's own files that are no longer those that the study read.
        code, settings, gone: sidecars of steps whose code or settings are others now, or that there are no more.
        answers: artifacts that were made on another version of a file of answers than the one that this machine made;
            by the file and both versions.
        unrepeated: steps that were not run again because of that, or because a sample was.
    """

    left_out: set[str] = field(default_factory=set)
    files: set[str] = field(default_factory=set)
    code: list[Sidecar] = field(default_factory=list)
    settings: list[Sidecar] = field(default_factory=list)
    gone: list[Sidecar] = field(default_factory=list)
    answers: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    unrepeated: int = 0


def _list_first(names: Iterable[str]) -> str:
    names = sorted(names)
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


def describe_drift(drift: Drift, machines: Versions) -> list[str]:
    """One line for each kind of difference that there is.

    Args:
        drift: what moved.
        machines: versions of the study's answers.
    """
    lines = []
    if drift.left_out:
        lines.append(
            f"without weights: {len(drift.left_out)} files (weights, tokenizers, rows, planes that nothing draws, the "
            "report) are left out; their hashes stand in the sidecars"
        )
    if drift.code:
        commits = Counter(sidecar.record["git_commit"] or "an unknown commit" for sidecar in drift.code)
        made = ", ".join(f"{commit} ({number})" for commit, number in commits.most_common())
        lines.append(f"the code of {len(drift.code)} steps is newer than the study, which was made at {made}")
    if drift.settings:
        lines.append(
            f"steps with other settings in the project now: {len(drift.settings)} "
            f"({_list_first(sidecar.artifact.name for sidecar in drift.settings)})"
        )
    if drift.gone:
        lines.append(
            f"steps that the project no longer has: {len(drift.gone)} "
            f"({_list_first(sidecar.artifact.name for sidecar in drift.gone)})"
        )
    if drift.files:
        lines.append(f"files of the project are newer than the study: {_list_first(drift.files)}")
    for (name, theirs, here), number in sorted(drift.answers.items()):
        fewest = min((machines[name][version] for version in (theirs, here)), key=add_counts)
        lines.append(
            f"{number} artifacts were made on answers of another machine: of those in {name} "
            f"{describe_counts(fewest)}"
        )
    if drift.unrepeated:
        lines.append(
            f"{drift.unrepeated} scores and tables were not computed again: the test suite does, and so does "
            "an audit of a whole tree"
        )
    return lines


def compare_versions(sidecars: Iterable[Sidecar], running: Mapping[str, str] | None = None) -> list[str]:
    """One line for each package whose version here is not the one that sidecars record.

    Args:
        sidecars: of a tree.
        running: versions here; by default those of this environment.
    """
    running = read_versions() if running is None else running
    others: Counter[tuple[str, str]] = Counter()
    for sidecar in sidecars:
        for package, version in sidecar.record["versions"].items():
            if str(version) != running.get(package):
                others[package, str(version)] += 1
    return [
        f"{number} artifacts were made with {package} {version}; here is {running.get(package, 'none')}: "
        "last digits may differ"
        for (package, version), number in sorted(others.items())
    ]
