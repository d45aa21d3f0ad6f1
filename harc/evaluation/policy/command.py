"""A program of the user's own: one line of JSON in, one line of JSON out; no shell, no sandbox."""

import json
import os
import selectors
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from signal import SIGKILL
from typing import Any, Literal

from pydantic import Field

from harc.core.errors import ConfigError
from harc.core.files import sha256_file
from harc.core.untrusted import parse_json
from harc.evaluation.policy.base import Decision, Item, LayerKind, LayerSettings, read_word, shorten

MOST_BYTES = 1 << 20
"""Of a line that the program writes."""
KEPT_BYTES = 4096  # of what it writes on standard error


class CommandSettings(LayerSettings):
    """A layer of kind `command`."""

    kind: Literal["command"] = Field(description="A program of your own.")
    command: tuple[str, ...] = Field(
        min_length=1,
        description="Program and arguments; it runs in the folder of this file, without a shell.",
    )
    restart: bool = Field(
        False,
        description="Whether it is started anew for every prompt, its input closed behind the line; else one process "
        "answers line by line, and must flush each.",
    )
    start_s: float = Field(
        30.0, gt=0, le=3600, description="Longest wait for a process's first line, seconds; own choice."
    )
    timeout_s: float = Field(
        10.0, gt=0, le=3600, description="Longest wait for each later line, seconds; own choice."
    )


class ProgramTrouble(Exception):
    """Why a program gave no decision; `ended` if it had ended before it read the line."""

    def __init__(self, text: str, *, ended: bool = False) -> None:
        super().__init__(text)
        self.ended = ended


class Program:
    """One running process, asked line by line for a bounded time."""

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
            start_new_session=True,
            bufsize=0,
        )
        streams = (self.process.stdin, self.process.stdout, self.process.stderr)
        self.input, self.output, self.errors = (stream for stream in streams if stream is not None)
        for stream in (self.input, self.output, self.errors):
            os.set_blocking(stream.fileno(), False)
        self.answered = 0
        self.read = self.complaints = b""

    def ask(self, line: bytes, seconds: float, *, last: bool) -> bytes:
        """The line that comes back.

        Args:
            line: what is sent, with its line break.
            seconds: longest wait.
            last: whether the program's input is closed behind it.

        Raises:
            ProgramTrouble: if none comes in time, or the program ends.
        """
        until, left = time.monotonic() + seconds, line
        with selectors.DefaultSelector() as selector:
            selector.register(self.output, selectors.EVENT_READ)
            selector.register(self.errors, selectors.EVENT_READ)
            selector.register(self.input, selectors.EVENT_WRITE)
            while True:
                ready = {key.fileobj for key, _ in selector.select(max(0.0, until - time.monotonic()))}
                if not ready or time.monotonic() > until:
                    raise ProgramTrouble(f"no line within {seconds:g} s{self._describe_complaints()}")
                if self.errors in ready and not self._read_errors():
                    selector.unregister(self.errors)
                if self.output in ready and (found := self._read_line()) is not None:
                    self.answered += 1
                    return found
                if self.input in ready:
                    left = self._write(left)
                    if not left:
                        selector.unregister(self.input)
                        if last:
                            self.input.close()

    def _write(self, left: bytes) -> bytes:
        try:
            return left[os.write(self.input.fileno(), left) :]
        except BlockingIOError:
            return left
        except BrokenPipeError:
            raise self._describe_end() from None

    def _read_line(self) -> bytes | None:
        with suppress(BlockingIOError):
            data = os.read(self.output.fileno(), 65_536)
            self.read += data
            if not data and self.read.strip():
                self.read += b"\n"  # a last line without a break
            elif not data:
                raise self._describe_end()
        if len(self.read) > MOST_BYTES:
            raise ProgramTrouble(f"a line of more than {MOST_BYTES} bytes")
        line, found, rest = self.read.partition(b"\n")
        if not found:
            return None
        self.read = rest
        return line

    def _read_errors(self) -> bool:
        """Take in what the program writes on standard error; whether it may write more."""
        try:
            data = os.read(self.errors.fileno(), 65_536)
        except BlockingIOError:
            return True
        self.complaints = (self.complaints + data)[-KEPT_BYTES:]
        return bool(data)

    def _describe_end(self) -> ProgramTrouble:
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(1)
        self._read_errors()
        said = f"the program ended with status {self.process.returncode}{self._describe_complaints()}"
        return ProgramTrouble(said, ended=True)

    def _describe_complaints(self) -> str:
        lines = self.complaints.decode(errors="replace").strip().splitlines()
        return f"; it says: {shorten(lines[-1])}" if lines else ""

    def end(self) -> None:
        """Kill it, and what it has started."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, SIGKILL)
        self.process.wait()
        for stream in (self.input, self.output, self.errors):
            with suppress(OSError):
                stream.close()


class CommandLayer:
    """Asks a program about each prompt."""

    at_once = 5

    def __init__(self, settings: CommandSettings, name: str, folder: Path) -> None:
        """Look for the program; it is not started yet.

        Raises:
            ConfigError: if there is none of that name.
        """
        self.settings, self.name, self.where, self.folder = settings, name, settings.where, folder.absolute()
        self.program: Program | None = None
        named = settings.command[0]
        place = str(self.folder / named) if "/" in named else named
        found = shutil.which(place)
        if found is None:
            raise ConfigError(
                f"layer {name}: command",
                expected="a program, in the folder of the layer's file or on PATH",
                found=repr(named),
                fix="correct the name, or make the file executable (`chmod +x`)",
            )
        self.command = [found, *settings.command[1:]]

    def describe(self) -> dict[str, Any]:
        """See `Layer.describe`; files among the arguments count by what they hold."""
        files = [self.folder / word for word in self.settings.command]
        hashes = [sha256_file(path) for path in files if path.is_file()]
        return self.settings.model_dump(mode="json", exclude={"start_s", "timeout_s"}) | {"files": hashes}

    def prepare(self, rows: Sequence[Mapping[str, Any]]) -> list[str]:
        """See `Layer.prepare`."""
        return []

    def decide(self, items: Sequence[Item]) -> list[Decision]:
        """See `Layer.decide`."""
        return [self._decide(item) for item in items]

    def _decide(self, item: Item) -> Decision:
        asked: dict[str, Any] = {"id": item.id, "suite": item.suite}
        if self.where != "answer":
            asked |= {"prompt": item.prompt, "messages": [dict(message) for message in item.messages]}
        if self.where != "prompt":
            asked["answer"] = item.answer
        line = json.dumps(asked, ensure_ascii=True).encode() + b"\n"
        try:
            answer = self._ask(line)
        except ProgramTrouble as problem:
            self.close()
            return Decision(None, reason=shorten(str(problem)))
        decision = read_answer(answer)
        if self.settings.restart or decision.block is None:
            self.close()  # what the program says next may be out of step
        return decision

    def _ask(self, line: bytes) -> bytes:
        for _ in range(2):
            if self.program is None:
                try:
                    self.program = Program(self.command, self.folder)
                except OSError as problem:
                    raise ProgramTrouble(f"the program does not start: {problem.strerror}") from None
            program = self.program
            wait = self.settings.timeout_s if program.answered else self.settings.start_s
            try:
                return program.ask(line, wait, last=self.settings.restart)
            except ProgramTrouble as problem:
                # One that ends after some lines is started again; one that never answers is not.
                if not (problem.ended and program.answered):
                    raise
                self.close()
        raise ProgramTrouble("the program ended, and again after it was started anew")

    def close(self) -> None:
        """End the process."""
        if self.program is not None:
            self.program.end()
            self.program = None


def read_answer(line: bytes) -> Decision:
    """The decision of a line: `decision` (block, allow, a synonym) or `block` (true, false); `score`, `reason`."""
    try:
        said = parse_json(line.decode())
    except ValueError as problem:  # UnicodeDecodeError among them
        return Decision(None, reason=shorten(f"no line of JSON: {problem}"))
    if not isinstance(said, dict):
        return Decision(None, reason=f"JSON that is no object ({type(said).__name__})")
    block = said["block"] if isinstance(said.get("block"), bool) else read_word(said.get("decision"))
    if block is None:
        return Decision(
            None, reason=shorten(f"neither decision (block, allow) nor block (true, false): {sorted(said)}")
        )
    score, reason = said.get("score"), said.get("reason")
    number = float(score) if isinstance(score, int | float) and not isinstance(score, bool) else None
    return Decision(block, number, shorten(reason) if isinstance(reason, str) else "")


LAYER = LayerKind("command", CommandSettings, CommandLayer)
