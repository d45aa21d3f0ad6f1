"""Generated code run apart, or not at all: no network, nothing to write to, limits on time, memory and processes.

Code and tests run in a sandbox each. Inside there is the interpreter with its standard library, the system's libraries,
a private /tmp, and nothing else: no network, no other process, no file of this account; all but /tmp is read-only. The
verdict comes from the tests' process, which runs none of the generated code; the sandboxes share no process list, no
files, no network and no account, only two pipes of values. So `passed` means that every assertion held for the values
that came through the pipe. What it does not mean: that the code computes them as a person would, that the tests are
good, or, with `allow_unsandboxed`, anything about code that attacks its tester: both then run under one account.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any, Literal

from harc.core.errors import EnvironmentProblem
from harc.core.untrusted import parse_json
from harc.settings.suites import SandboxSettings

GUEST = Path(__file__).with_name("guest.py")
FIRST_ACCOUNT = 59_000
"""Accounts that no system hands out, for limits of processes when root runs the sandbox: 900 for code, then tests'."""
ENDED = "Ended: the tested code's process ended early"
SYSTEM_FOLDERS = ("/usr", "/bin", "/lib", "/lib64", "/sbin")
NAMESPACES = ("--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try")
ROOT_OPTIONS = ("--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID")
MB = 1 << 20


@dataclass(frozen=True)
class RunResult:
    """How a run of generated code ended.

    Attributes:
        status: `passed` if every test held; `failed` by a test, an error, an early exit, or a limit; `timeout`.
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


def run_tests(
    code: str, tests: str, entry_point: str, settings: SandboxSettings, *, opening: str = ""
) -> RunResult:
    """Test a function of generated code, the code in one process and the tests in another.

    Args:
        code: the untrusted program, which defines the function.
        tests: trusted code that defines `check(candidate)`, as HumanEval's. Arguments and results are copied; results
            of other kinds than plain data (generators, objects) fail.
        entry_point: the function's name.
        settings: limits.
        opening: trusted code that the tests may need, such as helpers that the problem itself defines.

    Raises:
        EnvironmentProblem: see `check_sandbox`.
    """
    check_sandbox(settings)
    sandboxed = find_obstacle() is None
    limits = list_limits(settings)
    if not sandboxed:
        del limits["RLIMIT_NPROC"]  # counts all processes of the account there
    account = FIRST_ACCOUNT + os.getpid() % 900 if sandboxed and is_root() else None
    shared = {"limits": limits, "entry_point": entry_point}
    job = {
        **shared,
        "account": None if account is None else account + 900,
        "tests": tests,
        "opening": opening,
        "candidate": {**shared, "account": account, "code": code},
    }
    executable, _ = find_interpreter()
    words = [str(executable), "-I", "-S", "-B", "-c", GUEST.read_text(encoding="utf-8")]
    return _run_pair([*(make_command(settings) if sandboxed else []), *words], job, settings.seconds)


def _run_pair(words: list[str], job: dict, seconds: float) -> RunResult:
    with contextlib.ExitStack() as stack:
        folders = [stack.enter_context(tempfile.TemporaryDirectory(prefix="harc-run-")) for _ in range(2)]
        output = stack.enter_context(tempfile.TemporaryFile())
        (calls, to), (replies, back) = os.pipe(), os.pipe()
        ends = (calls, to, replies, back)
        try:
            candidate = _start(words, folders[0], stdin=calls, stdout=back)
            stack.callback(_kill_group, candidate)
            tester = _start(words, folders[1], stdin=subprocess.PIPE, stdout=output, pass_fds=(to, replies))
            stack.callback(_kill_group, tester)
        finally:
            for end in ends:
                os.close(end)
        line = json.dumps({**job, "to": to, "from": replies}).encode() + b"\n"
        try:
            tester.communicate(line, timeout=seconds)
        except subprocess.TimeoutExpired:
            return RunResult("timeout", f"killed after {seconds:g} s")
        return _read_verdict(output, candidate)


def _start(words: list[str], folder: str, **streams: Any) -> subprocess.Popen:
    return subprocess.Popen(
        words, stderr=subprocess.DEVNULL, cwd=folder, env={"PATH": os.defpath}, start_new_session=True, **streams
    )  # fmt: skip


def _read_verdict(output: IO[bytes], candidate: subprocess.Popen) -> RunResult:
    """What the tests' process said; nothing is a failure."""
    output.seek(0)
    try:
        verdict = parse_json(output.read(10_000).decode())
    except ValueError:
        return RunResult("failed", "the tests' process ended early")
    if verdict["passed"] is True:
        return RunResult("passed")
    detail = " ".join(verdict["detail"].split())
    if detail == ENDED:
        with contextlib.suppress(subprocess.TimeoutExpired):
            candidate.wait(1)
        detail = f"ended early with exit status {candidate.returncode}"
    return RunResult("failed", detail)


def _kill_group(process: subprocess.Popen) -> None:
    """End a run with every process that it left behind."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, 9)
    process.wait()


def find_interpreter() -> tuple[Path, Path]:
    """(executable, folder that holds it and its library) of the Python that this environment is made from."""
    executable = Path(os.path.realpath(sys.executable))
    return executable, Path(os.path.realpath(sys.base_prefix))


def make_command(settings: SandboxSettings) -> list[str]:
    """The words before the program that is to run inside."""
    _, prefix = find_interpreter()
    bubblewrap = shutil.which("bwrap") or "bwrap"
    words = [bubblewrap, "--die-with-parent", "--new-session", *NAMESPACES, "--clearenv"]
    # Root needs no user namespace, and without one the guest can take another account, which limits of processes need:
    # the kernel does not count root's.
    words += list(ROOT_OPTIONS) if is_root() else ["--unshare-user"]
    scratch = ["--size", str(settings.scratch_mb * MB)] if has_size_option() else []
    words += ["--dev", "/dev", "--remount-ro", "/dev", "--perms", "1777", *scratch, "--tmpfs", "/tmp"]
    for folder in SYSTEM_FOLDERS:
        if os.path.islink(folder):
            words += ["--symlink", os.readlink(folder), folder]
        elif os.path.isdir(folder):
            words += ["--ro-bind", folder, folder]
    if not prefix.is_relative_to("/usr"):
        for parent in reversed(prefix.parents[:-1]):  # which the account inside must be able to pass
            words += ["--perms", "0755", "--dir", str(parent)]
        words += ["--ro-bind", str(prefix), str(prefix)]
    words += ["--remount-ro", "/", "--chdir", "/tmp"]
    return [*words, "--setenv", "PATH", "/usr/bin:/bin", "--setenv", "HOME", "/tmp"]


def is_root() -> bool:
    """Whether this process may do everything."""
    return os.geteuid() == 0


@cache
def has_size_option() -> bool:
    """Whether this bubblewrap can limit a tmpfs (0.7 on); without it files are limited one by one."""
    found = subprocess.run(["bwrap", "--help"], capture_output=True, text=True, check=False)
    return "--size" in found.stdout + found.stderr


@cache
def find_obstacle() -> str | None:
    """Why no sandbox can be made here; None if one can."""
    if sys.platform != "linux":
        return f"the system is {sys.platform}"
    if shutil.which("bwrap") is None:
        return "bubblewrap is not installed"
    executable, _ = find_interpreter()
    words = [*make_command(SandboxSettings()), str(executable), "-I", "-S", "-c", "import json, resource"]
    tried = subprocess.run(words, capture_output=True, text=True, errors="replace", check=False, timeout=60)
    if tried.returncode == 0:
        return None
    said = tried.stderr.strip().splitlines() or [f"exit status {tried.returncode}"]
    return f"bubblewrap cannot start ({said[-1]})"
