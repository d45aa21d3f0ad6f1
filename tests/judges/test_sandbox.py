"""Generated code: what the sandbox refuses and limits, and that nothing runs without it unless a setting says so."""

import pytest

from harc.core.errors import EnvironmentProblem
from harc.judges import sandbox
from harc.judges.sandbox import RunResult, run_tests
from harc.settings.suites import SandboxSettings

SETTINGS = SandboxSettings(seconds=20, memory_mb=256, processes=4, scratch_mb=4, file_mb=2)
needs_sandbox = pytest.mark.skipif(
    sandbox.find_obstacle() is not None, reason=f"no sandbox here: {sandbox.find_obstacle()}"
)
TESTS = "def check(candidate):\n    assert candidate(3) == 6\n    assert candidate(-7) == -14\n"


def run_code(code: str, settings: SandboxSettings = SETTINGS) -> RunResult:
    """Code whose function is right, so that it passes if it gets so far."""
    return run_tests(f"{code}\ndef double(x): return 2 * x\n", TESTS, "double", settings)


START_CHILDREN = """
import os, time
started = 0
try:
    for _ in range(50):
        if os.fork() == 0:
            time.sleep(15)
            os._exit(0)
        started += 1
except OSError:
    raise RuntimeError(f"{started} children") from None
"""
FILL_SCRATCH = "for n in range(9):\n    open(f'/tmp/{n}', 'w').write('a' * (1 << 20))"


@needs_sandbox
def test_code_that_reaches_its_end_has_passed():
    assert (
        run_code("import math\nassert math.gcd(4, 6) == 2\nopen('/tmp/a', 'w').write('b')", SETTINGS).status
        == "passed"
    )


@needs_sandbox
@pytest.mark.parametrize(
    ("code", "detail"),
    [
        ("assert 1 == 2, 'sums'", "AssertionError: sums"),
        ("def f(:", "SyntaxError"),
        ("import os; os._exit(0)", "ended early with exit status 0"),
        ("import sys; sys.exit(0)", "SystemExit"),
        ("import socket; socket.create_connection(('192.0.2.1', 80), timeout=3)", "Network is unreachable"),
        ("open('/etc/motd', 'w')", "No such file or directory: '/etc/motd'"),
        ("open('/usr/lib/x', 'w')", "Read-only file system"),
        ("open('/x', 'w')", "Read-only file system"),
        ("open('/dev/x', 'w')", "Read-only file system"),
        ("x = bytearray(1 << 30)", "MemoryError"),
        ("open('/tmp/x', 'w').write('a' * (3 << 20))", "File too large"),
        (START_CHILDREN, "RuntimeError: 3 children"),
        ("import os\nif 'HARC_SECRET' in os.environ: raise KeyError('seen')\nraise ValueError('clean')", "clean"),
        ("import resource; resource.setrlimit(resource.RLIMIT_NPROC, (99, 99))", "not allowed to raise"),
        ("import os; raise ValueError(sorted(set(os.listdir('/')) & {'home', 'etc', 'proc'}))", "ValueError: []"),
        ("x = 'a' * 5000\nraise ValueError(x)", "ValueError: aaa"),
    ],
)  # fmt: skip
def test_what_is_refused_or_limited_counts_as_failed(code, detail, monkeypatch):
    monkeypatch.setenv("HARC_SECRET", "key")
    found = run_code(code, SETTINGS)
    assert found.status == "failed" and detail in found.detail and len(found.detail) <= 1000


@needs_sandbox
@pytest.mark.skipif(
    not sandbox.find_obstacle() and not sandbox.has_size_option(), reason="bubblewrap before 0.7"
)
def test_scratch_space_is_limited():
    assert "No space left on device" in run_code(FILL_SCRATCH, SETTINGS).detail


@needs_sandbox
def test_a_loop_without_end_is_killed_and_counts_as_failed():
    found = run_code("while True: pass", SETTINGS.model_copy(update={"seconds": 1.0}))
    assert found.status == "timeout" and found.detail == "killed after 1 s"


@needs_sandbox
def test_a_fork_bomb_ends():
    found = run_code("import os\nwhile True: os.fork()", SETTINGS.model_copy(update={"seconds": 5.0}))
    assert found.status != "passed"


def test_without_a_sandbox_nothing_runs_unless_a_setting_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(sandbox, "find_obstacle", lambda: "bubblewrap is not installed")
    mark = tmp_path / "ran"
    code = f"open({str(mark)!r}, 'w').close()"
    with pytest.raises(
        EnvironmentProblem,
        match="sandbox for generated code: expected a working bubblewrap; found bubblewrap is not installed; ",
    ):
        run_code(code, SETTINGS)
    assert not mark.exists()
    allowed = SETTINGS.model_copy(update={"allow_unsandboxed": True})
    assert run_code(code, allowed).status == "passed" and mark.exists()
    assert run_code("x = bytearray(1 << 30)", allowed).detail == "MemoryError:"


def test_the_obstacle_is_named(monkeypatch):
    monkeypatch.setattr(sandbox.shutil, "which", lambda name: None)
    assert sandbox.find_obstacle.__wrapped__() == "bubblewrap is not installed"
    monkeypatch.setattr(sandbox.sys, "platform", "darwin")
    assert sandbox.find_obstacle.__wrapped__() == "the system is darwin"
