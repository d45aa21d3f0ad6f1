"""Grading programs that a model wrote: its function, asked by the problem's tests from a process of their own."""

from collections.abc import Mapping
from typing import Any

from harc.judges.sandbox.run import run_tests
from harc.settings.judges import SandboxSettings

FENCE = "```"


def build_program(doc: Mapping[str, str], response: str) -> str:
    """The problem's opening, and what the model went on with up to the end of its code block."""
    written = response.split(FENCE, 1)[0]
    return f"{doc['prompt']}{written}\n"


def complete_opening(doc: Mapping[str, str]) -> str:
    """The opening as a program of its own, for helpers that tests call: its last function does nothing."""
    return f"{doc['prompt'].rstrip()}\n    pass\n"


def grade_program(doc: Mapping[str, str], response: str, sandbox: SandboxSettings) -> dict[str, Any]:
    """pass_at_1 of one response: 1 if its function passes the problem's tests.

    Raises:
        EnvironmentProblem: if there is no sandbox and settings do not allow going without one.
    """
    program = build_program(doc, response)
    result = run_tests(program, doc["test"], doc["entry_point"], sandbox, opening=complete_opening(doc))
    return {"pass_at_1": float(result.status == "passed")}
