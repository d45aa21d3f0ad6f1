"""What `harc adapter check` prints and writes: findings, facts, and what the licences ask for."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from harc.core.terminal import align_columns
from harc.core.untrusted import escape_control, replace_surrogates
from harc.evaluation.adapters.base import open_base
from harc.evaluation.adapters.checks import FAIL, SKIP, WARN, Subject, describe_adapter, is_sound, run_checks
from harc.evaluation.adapters.folder import open_adapter
from harc.evaluation.adapters.licences import describe_terms, find_licence

TERMS = {"licence": "licence", "use": "use", "passing on": "redistribution"}
FORMAT = 1
"""Of the JSON file."""


def check_adapter(name: str, base: str | None = None, licence: str | None = None) -> dict[str, Any]:
    """Check an adapter by its name.

    Returns:
        adapter, base, ok, checks (name, status, reason), facts (kind, rank, ...), licences: JSON values.

    Raises:
        ModelError, EnvironmentProblem, ConfigError: for a folder, base or licence that there is not.
    """
    return report_subject(make_subject(name, base, licence))


def make_subject(name: str, base: str | None = None, licence: str | None = None) -> Subject:
    """What is checked, by names. Raises as check_adapter."""
    subject = Subject(open_adapter(name), None if base is None else open_base(base), licence)
    _ = subject.base_licence  # an unknown one is an error of usage
    return subject


def report_subject(subject: Subject) -> dict[str, Any]:
    """See check_adapter."""
    findings = run_checks(subject)
    return {
        "format": FORMAT,
        "adapter": replace_surrogates(subject.adapter.name),
        "revision": subject.adapter.revision,
        "base": None if subject.base is None else replace_surrogates(subject.base.name),
        "ok": is_sound(findings),
        "checks": [asdict(finding) for finding in findings],
        "facts": describe_adapter(subject.adapter),
        "licences": {
            "base": describe_terms(subject.base_licence),
            "adapter": describe_terms(find_licence(subject.adapter)),
        },
    }


def format_report(report: Mapping[str, Any]) -> str:
    """A line per check, what follows from the licences, and the sum."""
    lines = [[entry["status"], entry["name"], entry["reason"]] for entry in report["checks"]]
    rows = [
        f"{whose}: {head}: {escape_control(said[name])}"
        for whose, said in report["licences"].items()
        for head, name in TERMS.items()
    ]
    counts = {status: sum(line[0] == status for line in lines) for status in (FAIL, WARN, SKIP)}
    said = (
        ", ".join(f"{count} {status}" for status, count in counts.items() if count)
        or "nothing to complain of"
    )
    return "\n".join([align_columns(lines), "", *rows, "", f"{len(lines)} checks: {said}"])
