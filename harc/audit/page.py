"""The audit as one self-contained HTML page; everything that an artifact could hold is escaped."""

from collections import Counter

from harc.audit.report import AuditReport
from harc.core.fingerprint import ROOT
from harc.core.untrusted import escape_control

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
