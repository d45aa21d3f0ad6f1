"""Grading programs that a model wrote: its function, then the problem's tests, in the sandbox."""

from collections.abc import Mapping
from typing import Any

from harc.config.sandbox import SandboxSettings
from harc.sandbox.run import run_code

FENCE = "```"


def build_program(doc: Mapping[str, str], response: str) -> str:
    """The problem's opening, what the model went on with up to the end of its code block, and the problem's tests."""
    written = response.split(FENCE, 1)[0]
    return f"{doc['prompt']}{written}\n{doc['test']}\ncheck({doc['entry_point']})\n"


def grade_program(doc: Mapping[str, str], response: str, sandbox: SandboxSettings) -> dict[str, Any]:
    """pass_at_1 of one response: 1 if its program reaches its end.

    Raises:
        EnvironmentProblem: if there is no sandbox and settings do not allow going without one.
    """
    return {"pass_at_1": float(run_code(build_program(doc, response), sandbox).status == "passed")}
