"""One process that has the libraries loaded, and forks for each step: a job does not import them again.

Importing torch, transformers, peft and scipy takes seconds of a processor, more than many a job's own work. A run on
this machine starts a worker (`start_worker`); `harc step` finds it by an environment variable, hands the command over
(`hand_over`) with its standard streams, folder and environment, and ends with the fork's status. Without a worker, or
with one that cannot be reached, the step runs in the command's own process.

A fork is as good as a new process: nothing is computed before it, so that no thread and no GPU is in use. Whoever goes
first takes the others along: a fork is ended with its command, and all forks with the worker, and the worker with the
run, whatever ends them.
"""

import atexit
import json
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from harc.core.processes import die_with_parent
from harc.core.terminal import flush, show

SOCKET = "HARC_WORKER"
"""Environment variable with the path of a worker's socket; empty: none is to be started."""
THREADS = dict.fromkeys(
    ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1"
)
"""How many threads the libraries are loaded for; a job that is given others runs by itself."""
LIBRARIES = (
    "numpy", "pandas", "pyarrow.parquet", "scipy.stats", "safetensors.torch", "torch", "transformers",
    "transformers.models.llama.modeling_llama", "transformers.models.qwen2.modeling_qwen2", "peft",
    "harc.steps.registry", "harc.evaluation.run", "harc.evaluation.score", "harc.training.run",
    "harc.steps.reference", "harc.core.provenance",
)  # fmt: skip
WORTHWHILE = 12  # jobs of a run from which loading once is quicker than loading each time
DESCRIPTORS = 3
LENGTH = 8  # bytes of the number before a message


def can_fork() -> bool:
    """Whether this system has what a worker needs: Linux, which lets a process wait for others by descriptors."""
    if not hasattr(os, "pidfd_open") or sys.platform != "linux":
        return False
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError:  # an old kernel, or a sandbox that forbids it
        return False
    return True


def start_worker() -> subprocess.Popen | None:
    """Start a worker for the jobs of this process, which inherit its address; None where there can be none.

    The worker ends with this process, or with `stop_worker`.
    """
    if not can_fork() or SOCKET in os.environ:
        return None
    folder = tempfile.mkdtemp(prefix="harc-worker-")  # readable by this account alone
    path = str(Path(folder) / "socket")
    process = subprocess.Popen(
        [sys.executable, "-m", __name__, path, str(os.getpid())],
        env=os.environ | THREADS,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for the commands, which take their forks along
    )
    os.environ[SOCKET] = path
    return process


def stop_worker(process: subprocess.Popen | None) -> None:
    """End a worker and wait for it, so that its time counts as this process's."""
    if process is not None:
        os.environ.pop(SOCKET, None)
        process.terminate()
        process.wait()


def hand_over(words: Sequence[str]) -> int | None:
    """Have a worker run a command line; its exit status, or None where there is no worker for it.

    Raises:
        KeyboardInterrupt: at Ctrl-C, after the fork was told.
    """
    path = os.environ.get(SOCKET)
    if not path or any(os.environ.get(name, "1") != number for name, number in THREADS.items()):
        return None
    with socket.socket(socket.AF_UNIX) as channel:
        try:
            channel.connect(path)
            request = json.dumps(
                {"words": list(words), "folder": os.getcwd(), "environment": dict(os.environ)}
            )
            body = request.encode("utf-8", "surrogateescape")
            socket.send_fds(channel, [len(body).to_bytes(LENGTH, "big")], [0, 1, 2])
            channel.sendall(body)
        except OSError:  # not there yet, or gone
            return None
        answer = channel.recv(LENGTH)
    if not answer:
        show("error: the run's worker ended, and this step with it; start the run again", err=True)
        return 1
    return int.from_bytes(answer, "big")


class Worker:
    """The process that forks.

    Attributes:
        run: what a fork does with a command line; its exit status.
        forks: for each running fork its process id and the channel of the command that waits for it.
    """

    def __init__(self, path: str, run: Callable[[Sequence[str]], int]) -> None:
        self.run = run
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(64)
        self.waiting = selectors.DefaultSelector()
        self.waiting.register(self.listener, selectors.EVENT_READ, self.accept)
        self.forks: dict[int, tuple[int, socket.socket]] = {}

    def serve(self) -> None:
        """Take commands until the process is ended."""
        while True:
            for key, _ in self.waiting.select():
                key.data(key.fileobj)

    def accept(self, listener: Any) -> None:
        """Take one command, and fork for it."""
        channel, _ = listener.accept()
        try:
            request, descriptors = read_request(channel)
        except (OSError, ValueError):
            channel.close()
            return
        process = os.fork()
        if process == 0:
            self._become(request, descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        handle = os.pidfd_open(process)
        self.forks[handle] = (process, channel)
        self.waiting.register(handle, selectors.EVENT_READ, self.report)
        self.waiting.register(channel, selectors.EVENT_READ, lambda _: self.end(handle))

    def report(self, handle: int) -> None:
        """Tell the command how its fork ended."""
        process, channel = self.forks.pop(handle)
        _, status = os.waitpid(process, 0)
        self.waiting.unregister(handle)
        with suppress(KeyError):
            self.waiting.unregister(channel)
        os.close(handle)
        code = os.waitstatus_to_exitcode(status)
        with suppress(OSError):
            channel.sendall((code if code >= 0 else 128 - code).to_bytes(LENGTH, "big"))
        channel.close()

    def end(self, handle: int) -> None:
        """Interrupt a fork whose command is gone, with whatever it started, as Ctrl-C would."""
        process, channel = self.forks[handle]
        self.waiting.unregister(channel)
        with suppress(ProcessLookupError):
            os.killpg(process, signal.SIGINT)

    def _become(self, request: Mapping[str, Any], descriptors: Sequence[int]) -> None:
        """In the fork: take on the command's streams, folder and environment, run it, and end."""
        status = 1
        try:
            os.setsid()
            die_with_parent()
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            for target, descriptor in enumerate(descriptors):
                os.dup2(descriptor, target)
                os.close(descriptor)
            self.waiting.close()
            self.listener.close()
            for _, channel in self.forks.values():
                channel.close()
            os.environ.clear()
            os.environ.update(request["environment"])
            os.environ.pop(SOCKET, None)
            os.chdir(request["folder"])
            status = self.run(request["words"])
            atexit._run_exitfuncs()
            flush()
        finally:
            os._exit(status)


def read_request(channel: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """What a command wants done, and its standard streams.

    Raises:
        ValueError: for anything else.
    """
    head, descriptors, _, _ = socket.recv_fds(channel, LENGTH, DESCRIPTORS)
    if len(descriptors) != DESCRIPTORS or len(head) != LENGTH:
        for descriptor in descriptors:
            os.close(descriptor)
        raise ValueError("a length and three descriptors")
    left, parts = int.from_bytes(head, "big"), []
    while left > 0:
        part = channel.recv(min(left, 1 << 16))
        if not part:
            raise ValueError("the whole message")
        parts.append(part)
        left -= len(part)
    return json.loads(b"".join(parts).decode("utf-8", "surrogateescape")), descriptors


def main(path: str, parent: int) -> None:
    """Take commands from the start, load the libraries, then serve."""
    die_with_parent(signal.SIGTERM)
    if os.getppid() != parent:  # it ended before the kernel was told
        return

    def leave(*_: object) -> None:
        shutil.rmtree(Path(path).parent, ignore_errors=True)
        os._exit(0)

    signal.signal(signal.SIGTERM, leave)
    from harc.cli import run_words

    worker = Worker(path, run_words)
    for name in LIBRARIES:
        import_module(name)
    worker.serve()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
