"""Generated code run apart: no network, nothing to write to, limits on time, memory and processes."""

from harc.judges.sandbox.run import RunResult, check_sandbox, run_tests

__all__ = ["RunResult", "check_sandbox", "run_tests"]
