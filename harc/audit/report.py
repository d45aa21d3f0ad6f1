"""What an audit found, as data, as lines, as a summary on the terminal, and as one self-contained HTML page.

Everything that an artifact could hold is escaped.
"""

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from harc.core.errors import ArtifactError
from harc.core.fingerprint import ROOT
from harc.core.terminal import make_console
from harc.core.untrusted import escape_control, replace_surrogates


@dataclass(frozen=True, order=True)
class Finding:
    """One thing that does not fit.

    Attributes:
        file: the file at fault.
        kind: what was checked (`changed`, `missing`, `orphan`, `stale code`, ...).
        expected: what would have been right.
        found: what is there.
        repair: the command that mends it.
    """

    file: str
    kind: str
    expected: str
    found: str
    repair: str

    def __post_init__(self) -> None:
        """Keep what can be written: a file's name may hold bytes that are no text."""
        for name in ("file", "kind", "expected", "found", "repair"):
            object.__setattr__(self, name, replace_surrogates(getattr(self, name)))

    def __str__(self) -> str:
        """One line, in the form of every error of this project."""
        return str(ArtifactError(self.file, expected=self.expected, found=self.found, fix=self.repair))


@dataclass(frozen=True)
class AuditReport:
    """The result of an audit.

    Attributes:
        root: the results tree, as it was named.
        root_hash: hash over every sidecar's command, code, settings, inputs and outputs; published, it seals
            the tree.
        counts: how much was checked, by kind of check.
        findings: everything that does not fit, sorted; empty for a sound tree.
        form: `without weights` for a committed study; empty for a whole one.
        state: hash of the tree's files as they were, so that a later look can tell whether the verdict still holds.
        remarks: what a reader should know and is no fault: what was left out, newer code, other versions of libraries.
    """

    root: str
    root_hash: str
    counts: dict[str, int] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    form: str = ""
    state: str = ""
    remarks: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    @property
    def verdict(self) -> str:
        """`sound`, or how many findings; with the form that was audited."""
        words = "sound" if self.ok else f"{len(self.findings)} findings"
        return f"{words} ({self.form})" if self.form else words

    def as_json(self) -> dict[str, Any]:
        """Plain values for audit.json; no time and no machine, so that equal trees give equal bytes."""
        return {
            "root": self.root,
            "root_hash": self.root_hash,
            "counts": self.counts,
            "ok": self.ok,
            "form": self.form,
            "state": self.state,
            "remarks": list(self.remarks),
            "findings": [asdict(finding) for finding in self.findings],
        }


def print_report(report: AuditReport, stream: Any = None) -> None:
    """Print counts, findings and the root hash to a text stream (standard output), escaped."""
    from rich.table import Table
    from rich.text import Text

    console = make_console(stream)
    title = Text(
        f"Audit of {escape_control(report.root)}", style="italic"
    )  # a text: a path may look like markup
    table = Table(title=title, title_justify="left", box=None)
    table.add_column("checked")
    table.add_column("number", justify="right")
    for name, count in report.counts.items():
        table.add_row(name, str(count))
    console.print(table)
    for finding in report.findings:
        console.print(Text(f"{finding.kind}: ", style="bold red") + Text(escape_control(str(finding))))
    for remark in report.remarks:
        console.print(Text(f"remark: {escape_control(remark)}"))
    verdict = Text(report.verdict, style="green" if report.ok else "red")
    console.print(verdict + Text(f"; root hash {report.root_hash}"))


TEMPLATE = ROOT / "audit" / "templates" / "audit.html"


def render_page(report: AuditReport) -> str:
    """HTML of a report: verdict, root hash, what was checked, and every finding with its repair.

    Equal reports give equal bytes; the page asks for nothing from outside and runs no script.
    """
    from jinja2 import Environment

    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["visible"] = escape_control
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    kinds = sorted(Counter(finding.kind for finding in report.findings).items())
    return template.render(report=report, kinds=kinds)
