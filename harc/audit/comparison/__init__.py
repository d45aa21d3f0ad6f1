"""Two results trees side by side: which artifacts differ, in which numbers, and whether intervals cover it."""

from harc.audit.comparison.report import print_comparison
from harc.audit.comparison.trees import Comparison, compare_trees

__all__ = ["Comparison", "compare_trees", "print_comparison"]
