"""A worker runs a command as its own process would: streams, folder, environment, status; nothing outlives anything."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harc.cli import worker

pytestmark = pytest.mark.skipif(not worker.can_fork(), reason="a worker needs Linux")

SERVING = """
import sys
from harc.cli.worker import Worker
from harc.core.processes import die_with_parent
die_with_parent()
def run(words):
    try:
        exec(words[1])
    except KeyboardInterrupt:
        open(words[2], "w").write("interrupted")
    return int(words[0])
Worker(sys.argv[1], run).serve()
"""
ASKING = "import sys; from harc.cli.worker import hand_over; sys.exit(hand_over(sys.argv[1:]))"
PATIENCE = 60  # seconds on a busy machine


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def is_running(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


@pytest.fixture
def serving(tmp_path) -> Iterator[subprocess.Popen]:
    """A worker that runs the Python text that it is given."""
    path = tmp_path / "socket"
    process = subprocess.Popen([sys.executable, "-c", SERVING, str(path)], start_new_session=True)
    wait_for(path.exists)
    yield process
    process.kill()
    process.wait()


def ask(folder: Path, *words: str, **options) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", ASKING, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {worker.SOCKET: str(folder / "socket"), "HARC_SEEN": "yes"}, **options,
    )  # fmt: skip


def test_streams_folder_environment_and_status_are_the_commands(serving, tmp_path):
    code = (
        "import os, sys; print(os.getcwd(), os.environ['HARC_SEEN'], os.environ.get('HARC_WORKER')); "
        "print('and here', file=sys.stderr); print(sys.stdin.read())"
    )
    (tmp_path / "elsewhere").mkdir()
    asked = ask(tmp_path, "3", code, cwd=tmp_path / "elsewhere", stdin=subprocess.PIPE)
    out, err = asked.communicate("from the pipe", timeout=PATIENCE)
    assert (asked.returncode, err) == (3, "and here\n")
    assert out == f"{tmp_path / 'elsewhere'} yes None\nfrom the pipe\n"


def test_commands_run_beside_each_other(serving, tmp_path):
    """The first waits for a file that the second writes."""
    wait = f"import os, time\nwhile not os.path.exists({str(tmp_path / 'now')!r}): time.sleep(.02)"
    first = ask(tmp_path, "0", wait)
    second = ask(tmp_path, "0", f"open({str(tmp_path / 'now')!r}, 'w')")
    assert (second.wait(PATIENCE), first.wait(PATIENCE)) == (0, 0)


@pytest.mark.parametrize("ended", [signal.SIGTERM, signal.SIGKILL])
def test_a_fork_is_interrupted_when_its_command_is_gone(serving, tmp_path, ended):
    begun, told = tmp_path / "begun", tmp_path / "told"
    asked = ask(tmp_path, "0", f"import time; open({str(begun)!r}, 'w'); time.sleep({PATIENCE})", str(told))
    wait_for(begun.exists)
    asked.send_signal(ended)
    wait_for(lambda: told.exists() and told.read_text() == "interrupted")


def test_forks_end_with_their_worker_and_the_command_says_so(serving, tmp_path):
    begun = tmp_path / "begun"
    code = f"import os, time; open({str(begun)!r}, 'w').write(str(os.getpid())); time.sleep({PATIENCE})"
    asked = ask(tmp_path, "0", code)
    wait_for(lambda: begun.exists() and begun.read_text() != "")
    serving.kill()
    _, err = asked.communicate(timeout=PATIENCE)
    assert (asked.returncode, err) == (
        1,
        "error: the run's worker ended, and this step with it; start the run again\n",
    )
    wait_for(lambda: not is_running(int(begun.read_text())))


def test_a_fork_that_is_killed_gives_the_status_that_a_shell_would(serving, tmp_path):
    assert ask(tmp_path, "0", "import os; os.kill(os.getpid(), 9)").wait(PATIENCE) == 128 + 9


def test_without_a_worker_a_command_runs_by_itself(tmp_path, monkeypatch):
    monkeypatch.delenv(worker.SOCKET, raising=False)
    assert worker.hand_over(["step"]) is None
    monkeypatch.setenv(worker.SOCKET, "")
    assert worker.hand_over(["step"]) is None and worker.start_worker() is None
    monkeypatch.setenv(worker.SOCKET, str(tmp_path / "none"))
    assert worker.hand_over(["step"]) is None


def test_a_job_with_other_threads_runs_by_itself(serving, tmp_path, monkeypatch):
    monkeypatch.setenv(worker.SOCKET, str(tmp_path / "socket"))
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert worker.hand_over(["0", "pass"]) is None
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert worker.hand_over(["5", "pass"]) == 5


def test_harc_step_says_the_same_in_a_worker_and_alone(monkeypatch):
    command = [str(Path(sys.executable).with_name("harc")), "step", "none_such", "--profile", "ci"]
    alone = subprocess.run(command, capture_output=True, text=True, check=False)
    process = worker.start_worker()
    try:
        handed = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (handed.returncode, handed.stderr) == (alone.returncode, alone.stderr)
        assert alone.returncode == 1 and "none_such" in alone.stderr
        folder = Path(os.environ[worker.SOCKET]).parent
    finally:
        worker.stop_worker(process)
    assert not folder.exists() and worker.SOCKET not in os.environ


def test_a_worker_ends_with_the_run_that_started_it(tmp_path):
    code = "import time; from harc.cli import worker; print(worker.start_worker().pid, flush=True); time.sleep(60)"
    run = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    process = int(run.stdout.readline())
    run.kill()
    run.wait()
    wait_for(lambda: not is_running(process))
