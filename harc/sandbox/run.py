"""Running generated code: in the sandbox, or not at all unless a setting says so."""

import contextlib
import json
import os
import secrets
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harc.config.sandbox import SandboxSettings
from harc.errors import EnvironmentProblem
from harc.sandbox.bubblewrap import MB, find_interpreter, find_obstacle, is_root, make_command

GUEST = Path(__file__).with_name("guest.py")
FIRST_ACCOUNT = (
    59_000  # accounts that no system hands out, for limits of processes when root runs the sandbox
)


@dataclass(frozen=True)
class RunResult:
    """How a run of generated code ended.

    Attributes:
        status: `passed` if its last line was reached; `failed` by an error, an early exit, or a limit; `timeout`.
        detail: the error in one line, as the code's own process gives it (untrusted text).
    """

    status: Literal["passed", "failed", "timeout"]
    detail: str = ""


def check_sandbox(settings: SandboxSettings) -> None:
    """Refuse to run generated code where it cannot be kept apart.

    Raises:
        EnvironmentProblem: if there is no sandbox and settings do not allow going without one.
    """
    obstacle = find_obstacle()
    if obstacle is not None and not settings.allow_unsandboxed:
        raise EnvironmentProblem(
            "sandbox for generated code",
            expected="a working bubblewrap",
            found=obstacle,
            fix="install it (`sudo apt-get install bubblewrap`) and allow user namespaces, leave out suite humaneval, "
            "or set sandbox.allow_unsandboxed on a machine that may be lost",
        )


def list_limits(settings: SandboxSettings) -> dict[str, int]:
    """Limits of the kernel for each process of the run, by their names in Python's module `resource`."""
    return {
        "RLIMIT_AS": settings.memory_mb * MB,
        "RLIMIT_CPU": int(settings.seconds) + 1,
        "RLIMIT_FSIZE": settings.file_mb * MB,
        "RLIMIT_NPROC": settings.processes,
        "RLIMIT_NOFILE": 64,
        "RLIMIT_CORE": 0,
    }


def run_code(code: str, settings: SandboxSettings) -> RunResult:
    """Run Python code in a process of its own and say how it ended.

    Args:
        code: a program; it passes if it reaches its end.
        settings: limits.

    Raises:
        EnvironmentProblem: see `check_sandbox`.
    """
    check_sandbox(settings)
    sandboxed = find_obstacle() is None
    executable, _ = find_interpreter()
    words = [str(executable), "-I", "-S", "-B", "-c", GUEST.read_text(encoding="utf-8")]
    word = secrets.token_hex(16)
    limits = list_limits(settings)
    if not sandboxed:
        del limits["RLIMIT_NPROC"]  # counts all processes of the account there
    account = FIRST_ACCOUNT + os.getpid() % 900 if sandboxed and is_root() else None
    job = {"code": code, "limits": limits, "word": word, "account": account}
    with tempfile.TemporaryDirectory(prefix="harc-run-") as folder:
        return _run_guest(
            [*(make_command(settings) if sandboxed else []), *words], job, settings.seconds, folder
        )


def _run_guest(words: list[str], job: dict, seconds: float, folder: str) -> RunResult:
    # A file, not a pipe: what the guest may write to it is limited, and nobody has to read it while it runs.
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.DEVNULL, cwd=folder,
            env={"PATH": os.defpath}, start_new_session=True,
        )  # fmt: skip
        try:
            process.communicate(json.dumps(job).encode(), timeout=seconds)
        except subprocess.TimeoutExpired:
            _kill_group(process)
            return RunResult("timeout", f"killed after {seconds:g} s")
        finally:
            _kill_group(process)
        output.seek(0)
        said = output.read(1000).decode(errors="replace")
    if said == job["word"]:
        return RunResult("passed")
    return RunResult("failed", " ".join(said.split()) or f"ended early with exit status {process.returncode}")


def _kill_group(process: subprocess.Popen) -> None:
    """End a run with every process that it left behind."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, 9)
    process.wait()
