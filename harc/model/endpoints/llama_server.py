"""A chat model in a GGUF file behind llama.cpp's server, which this process starts, watches and ends.

The server is a process of its own (`python -m harc.model.endpoints.llama_server`), through the package xllamacpp, whose
wheels need no compiler. It listens on loopback at a port that the system chooses, and ends with the pipe that it reads:
also where the process that started it is killed.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from harc.core.errors import EnvironmentProblem
from harc.core.terminal import show
from harc.model.endpoints.base import Conversation, Reply, Usage
from harc.settings.backbones import GgufFile
from harc.settings.endpoints import EndpointSettings

PACKAGE, TESTED = "xllamacpp", "2026.10.11549"
READY = "listening "
PATIENCE = 600.0  # seconds that the server has to load the model, on a disk that may be busy
GRACE = 10.0  # seconds that it has to end
SHOWN = 200  # characters of its last line in an error


def describe_missing_server() -> EnvironmentProblem:
    """The error where the server's package is not installed."""
    return EnvironmentProblem(
        "endpoint of kind llama_cpp",
        expected=f"the package {PACKAGE}, which holds llama.cpp's server",
        found="none",
        fix=f"run `pip install {PACKAGE}=={TESTED}`, or name a server of your own (kind: openai)",
    )


def is_installed() -> bool:
    """Whether the server's package is there."""
    return find_spec(PACKAGE) is not None


class LlamaServer:
    """The server's process.

    Attributes:
        address: of its API, as http://127.0.0.1:41234.
        log: file with what it says, which is kept.
    """

    def __init__(self, command: Sequence[str], log: Path, patience: float = PATIENCE) -> None:
        """Start it and wait until it answers.

        Args:
            command: that starts it; it prints `listening` and its address once it is ready.
            log: file for what it says else.
            patience: longest wait, seconds.

        Raises:
            EnvironmentProblem: with its last line, if it ends or does not answer in time.
        """
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as handle:
            self._process = subprocess.Popen(
                list(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=handle
            )
        try:
            self.address = self._wait(time.monotonic() + patience)
        except BaseException:
            self.close()
            raise

    def _wait(self, deadline: float) -> str:
        """Its address, once it says and keeps that it is healthy."""
        import requests

        address = self._read_address(deadline)
        with requests.Session() as session:
            session.trust_env = False  # no proxy stands before loopback
            while time.monotonic() < deadline and self._process.poll() is None:
                with suppress(requests.RequestException):
                    if session.get(f"{address}/health", timeout=5).ok:
                        return address
                time.sleep(0.2)
        raise self.explain_end()

    def _read_address(self, deadline: float) -> str:
        import selectors

        assert self._process.stdout is not None, "piped"
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            read = b""
            while selector.select(max(deadline - time.monotonic(), 0)):
                part = os.read(self._process.stdout.fileno(), 4096)
                read += part
                for line in read.decode(errors="replace").splitlines(keepends=True):
                    if line.startswith(READY) and line.endswith("\n"):
                        return line.removeprefix(READY).strip()
                if not part:
                    break
        raise self.explain_end()

    def explain_end(self) -> EnvironmentProblem:
        """What became of it, with the last line that it said."""
        try:
            status: int | None = self._process.wait(1)
        except subprocess.TimeoutExpired:
            status = None
        lines = self.log.read_text(errors="replace").strip().splitlines() or ["nothing"]
        said = f"; its last line: {lines[-1][:SHOWN]}"
        return EnvironmentProblem(
            "llama.cpp's server",
            expected="an answer",
            found=("none in time" if status is None else f"its end (status {status})") + said,
            fix=f"read {self.log}; the model takes as much memory as its file, and the context more",
        )

    def has_ended(self, patience: float = 0.0) -> bool:
        """Whether the process is no more, or not after so many seconds."""
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            return False
        return True

    def close(self) -> None:
        """End it: by the end of its input, or else by force."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            self._process.wait(GRACE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __del__(self) -> None:
        if hasattr(self, "_process"):
            self.close()


class LlamaEndpoint:
    """A chat model in a GGUF file; its server is started when first something is asked, and ends with this object."""

    def __init__(self, settings: EndpointSettings) -> None:
        """Name the model; nothing is started yet.

        Raises:
            EnvironmentProblem: if the server's package is not installed.
        """
        if not is_installed():
            raise describe_missing_server()
        assert settings.gguf is not None, "as EndpointSettings checks"
        self.settings, self.gguf, self.usage = settings, settings.gguf, Usage()
        self.name = (
            f"{settings.model} (GGUF {settings.gguf.sha256[:16]}, {PACKAGE} {metadata.version(PACKAGE)})"
        )
        self._server: LlamaServer | None = None
        self._client: Any = None

    def complete(
        self,
        conversations: Sequence[Conversation],
        *,
        temperature: float | None = None,
        max_new_tokens: int | None = None,
        seed: int | None = None,
        on_reply: Callable[[int, Reply], None] | None = None,
    ) -> list[Reply]:
        """See `ChatEndpoint.complete`.

        Raises:
            EnvironmentProblem: if the server does not start, or ended meanwhile.
        """
        if self._server is None:
            self._server = LlamaServer(make_command(self.gguf, self.settings), name_log(self.gguf))
            self._client = self._make_client(self._server.address)
        replies = self._client.complete(
            conversations,
            temperature=temperature,
            max_new_tokens=max_new_tokens,
            seed=seed,
            on_reply=on_reply,
        )
        if any(reply.finish_reason == "error" for reply in replies) and self._server.has_ended(1.0):
            raise self._server.explain_end()
        return replies

    def _make_client(self, address: str) -> Any:
        from harc.model.endpoints.server import ServerEndpoint

        there = {"kind": "openai", "base_url": f"{address}/v1", "gguf": None}
        client = ServerEndpoint(self.settings.model_copy(update=there))
        client.name, client.usage = self.name, self.usage
        return client


def name_log(gguf: GgufFile) -> Path:
    """Where a model's server writes, in the cache."""
    from harc.model.gguf_files import find_cache

    return find_cache() / "logs" / f"llama_cpp-{gguf.sha256[:16]}.log"


def make_command(gguf: GgufFile, settings: EndpointSettings) -> list[str]:
    """What starts the server of a file, which is fetched where need be."""
    from harc.model.gguf_files import fetch_gguf

    numbers = (settings.context, settings.threads, settings.concurrency)
    return [sys.executable, "-m", __name__, str(fetch_gguf(gguf)), settings.model, *map(str, numbers)]


def serve(path: str, name: str, context: int, threads: int, parallel: int) -> None:
    """Serve a GGUF file until standard input ends.

    Args:
        path: of the file.
        name: that the server answers under.
        context: tokens of prompt and answer together, of each conversation.
        threads: that compute.
        parallel: conversations at a time.
    """
    import xllamacpp  # type: ignore[import-not-found,import-untyped,unused-ignore]

    params = xllamacpp.CommonParams()
    params.model.path = path
    params.model_alias = {name}
    params.n_ctx, params.n_parallel = context * parallel, parallel
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.cache_prompt = (
        False  # sums over a prompt in other parts round otherwise, which turns greedy replies too
    )
    server = xllamacpp.Server(params)
    show(f"{READY}{server.listening_address}")
    sys.stdin.buffer.read()
    os._exit(0)  # its threads may be at work


if __name__ == "__main__":
    path, name, *numbers = sys.argv[1:]
    context, threads, parallel = map(int, numbers)
    serve(path, name, context, threads, parallel)
