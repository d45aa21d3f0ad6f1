"""The last screen of a run: where everything is, and how long it took."""

import time

from harc.core.artifacts import Layout
from harc.core.errors import ArtifactError, DataError
from harc.core.files import read_json
from harc.core.tree_files import hash_state, holds_tree
from harc.core.untrusted import escape_lines
from harc.settings.profile import Profile
from harc.steps.paper import find_latex, locate_pdf
from harc.steps.reference import locate_reference, stands_in


def format_duration(seconds: float) -> str:
    """Minutes and seconds, or seconds alone."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def format_audit(layout: Layout, profile: str) -> str:
    """Two lines: what audit.json says was checked and found, and the root hash; or that the tree is another by now.

    Args:
        layout: of the tree.
        profile: how the audit is asked for again.
    """
    again = f"run `harc audit --profile {profile}`"
    try:
        found = read_json(layout.audit)
        if found["ok"] is not (found["findings"] == []):
            raise TypeError("a verdict against its own findings")
        verdict = "sound" if found["ok"] else f"{len(found['findings'])} findings"
        counts = ", ".join(f"{number} {name}" for name, number in found["counts"].items() if number)
        root_hash, state = str(found["root_hash"]), found["state"]
    except (DataError, KeyError, TypeError, AttributeError):
        return f"  audit: none that can be read; {again}"
    if state != hash_state(layout.root):
        words = f"stale: the tree changed since it was found {verdict}; {again}\n  root hash then {root_hash}"
    else:
        words = f"{verdict} ({counts})\n  root hash {root_hash}"
    return escape_lines(f"  audit: {words}")


def format_summary(profile: Profile, *, started: int, failed: bool) -> str:
    """A few lines: results by kind, duration, and the next step where something is missing.

    Args:
        profile: the profile.
        started: start of the run that has just ended, seconds since 1970; 0 for no run: what lies there is listed.
        failed: whether that run did not end well.

    Raises:
        ArtifactError: if there was no run, and nothing lies there.
    """
    layout = Layout(profile.results_root)
    if stands_in(profile.name, layout.root):
        layout = locate_reference(profile.name)
    took = format_duration(time.time() - started) if started else "an unknown time"
    if failed:
        return f"\nprofile {profile.name} stopped after {took}; finished jobs are kept: run the command again"
    if not holds_tree(layout.root):
        raise ArtifactError(
            str(layout.root),
            expected=f"results of profile {profile.name}",
            found="none",
            fix=f"run `snakemake --cores all --config profile={profile.source}`",
        )
    places = {
        "paper": locate_pdf(profile),
        "report": layout.report,
        "tables": layout.tables,
        "figures": layout.figures,
        "audit": layout.audit_page,
    }
    lines = [f"\nprofile {profile.name} " + (f"finished in {took}" if started else "as it lies there")]
    lines += [f"  {name:8} {path}" for name, path in places.items() if path.exists()]
    if layout.audit.exists():
        lines.append(format_audit(layout, profile.source))
    if find_latex() is None:
        lines.append("  no PDF without LaTeX: `make latex` installs it where it may; then run again")
    return "\n".join(lines)
