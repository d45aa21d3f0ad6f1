"""What `harc evaluate` prints of one model."""

from collections.abc import Sequence
from pathlib import Path

from harc.core.untrusted import escape_control
from harc.evaluation.own.benchmarks import format_benchmarks
from harc.evaluation.own.groups import format_groups, format_weighted
from harc.evaluation.own.run import Findings
from harc.evaluation.own.scores import format_agreement, format_table
from harc.evaluation.policy.measuring import format_policy


def format_findings(findings: Findings, remarks: Sequence[str], out: Path) -> str:
    """What the command prints."""
    lines: list[str] = []
    if findings.scores:
        lines += [format_table(findings.scores), *format_groups(findings.groups)]
        lines += [*format_weighted(findings.weighted), "", *format_agreement(findings.agreement)]
    if findings.benchmarks:
        lines += [format_benchmarks(findings.benchmarks), "", f"every sample: {out / 'benchmarks'}"]
    lines += [*remarks, *describe_sources(findings, out)] if findings.scores else remarks
    if findings.policy is not None:
        lines += ["", *format_policy(findings.policy, out)]
    lines += map(escape_control, findings.warnings)
    return "\n".join([*lines, *(check.text for check in findings.checks)])


def describe_sources(findings: Findings, out: Path) -> list[str]:
    """Where the answers come from: asked now, taken over, out of a cache; and why some never came."""
    taken = sum(findings.taken_over.values())
    asked = sum(findings.answered.values()) - findings.cached
    counts = f"{asked} prompts answered, {taken} taken over from earlier runs, {findings.cached} from a cache"
    if findings.recorded:
        counts = f"{asked + taken} recorded answers judged, no model asked"
    lines = [f"wrote {out / 'scores.csv'} and {out / 'generations'}: {counts}"]
    if findings.missing:
        reason, count = max(findings.missing.items(), key=lambda item: item[1])
        total = sum(findings.missing.values())
        lines.append(
            f"{total} prompts got no answer; of {count} of them the server says: {escape_control(reason)}"
        )
    return lines
