"""The audit: does every artifact of a results tree follow from its inputs, and was any touched since?

Not promised: a forger who rewrites artifacts, sidecars and everything downstream is found by the root
hash alone, and only if that was published.
"""

from harc.audit.report import AuditReport, Finding, print_report
from harc.audit.tree import audit_results

__all__ = ["AuditReport", "Finding", "audit_results", "print_report"]
