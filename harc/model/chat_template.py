"""Rendering chat templates, which come with models and are not trusted: bounded in time and memory, the same every day.

A template is a program. It is rendered in a process of its own (template_worker.py), since nothing else stops a
loop in any thread: a timer's signal reaches the main thread alone, and interrupts neither a single long operation nor
one that takes all memory. Starting that process costs about 0.2 s, once; a rendering then takes 0.1 ms more.
"""

import atexit
import contextlib
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

from harc.core.errors import ModelError
from harc.core.untrusted import parse_json
from harc.settings.backbones import DEFAULT_DATE

LIMIT_S = (
    20.0  # of one rendering, the start of the process included; a sane template takes under a millisecond
)
LONGEST_TEMPLATE = 1 << 20  # characters; the longest published ones have some 30,000


class _Died(Exception):
    """The process ended without an answer."""


class _Renderer:
    """The process, started at the first request; requests of several threads wait for each other."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._process: subprocess.Popen | None = None
        self._owner = 0

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to a request.

        Raises:
            ModelError: if there is none within LIMIT_S.
        """
        line = json.dumps(request).encode() + b"\n"
        with self._lock:
            for _ in range(2):  # a process that something else ended is started again, once
                try:
                    return parse_json(self._exchange(line).decode())
                except _Died:
                    self.close()
                except ValueError as problem:
                    raise refuse_template(f"a text that no file can hold: {problem}") from problem
        raise refuse_template("a rendering process that died (memory, or endless recursion)")

    def _exchange(self, line: bytes) -> bytes:
        process, deadline = self._open(), time.monotonic() + LIMIT_S
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(line)
            process.stdin.flush()
        except BrokenPipeError as problem:
            raise _Died from problem
        ready = select.poll()  # unlike select.select, it takes file descriptors above 1,023
        ready.register(process.stdout, select.POLLIN | select.POLLHUP)
        parts: list[bytes] = []
        while not (parts and parts[-1].endswith(b"\n")):
            left = deadline - time.monotonic()
            if left <= 0 or not ready.poll(1000 * left):
                self.close()
                raise refuse_template(f"none after {LIMIT_S:g} s")
            part = os.read(process.stdout.fileno(), 1 << 16)
            if not part:
                raise _Died
            parts.append(part)
        return b"".join(parts)

    def _open(self) -> subprocess.Popen:
        if self._process is None or self._owner != os.getpid():  # a forked child does not share its parent's
            kept = ("PATH", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH")  # no keys
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(Path(__file__).with_name("template_worker.py"))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={"LC_ALL": "C.UTF-8"} | {name: os.environ[name] for name in kept if name in os.environ},
                bufsize=1 << 20,
            )
            self._owner = os.getpid()
        return self._process

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is None or self._owner != os.getpid():
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


_renderer = _Renderer()
atexit.register(_renderer.close)


def render_template(
    template: Any,
    messages: Sequence[Mapping[str, str]],
    variables: Mapping[str, Any],
    date: str = DEFAULT_DATE,
    *,
    add_generation_prompt: bool = True,
) -> str:
    """A conversation as a chat template writes it.

    Args:
        template: Jinja text.
        messages: turns with role and content.
        variables: further names that the template may read: special tokens and options.
        date: what the template takes for today, as YYYY-MM-DD.
        add_generation_prompt: whether the assistant's turn is opened at the end.

    Raises:
        ModelError: for a template that is no text, is too long, raises, draws at random, or takes too much.
    """
    _check_text(template)
    request = {
        "template": template, "messages": [dict(message) for message in messages], "variables": dict(variables),
        "date": date, "add_generation_prompt": add_generation_prompt,
    }  # fmt: skip
    return _render(json.dumps(request))


@lru_cache(maxsize=2048)
def _render(request: str) -> str:
    return _read(_renderer.ask(json.loads(request)), "text")


@lru_cache(maxsize=8)
def list_variables(template: str) -> frozenset[str]:
    """Names that a template reads without setting them.

    Raises:
        ModelError: for a template that cannot be parsed.
    """
    _check_text(template)
    return frozenset(_read(_renderer.ask({"template": template}), "names"))


def _check_text(template: Any) -> None:
    if not isinstance(template, str):
        raise refuse_template(f"{type(template).__name__} in place of a text")
    if len(template) > LONGEST_TEMPLATE:
        raise refuse_template(f"{len(template)} characters of template, more than {LONGEST_TEMPLATE}")


def _read(reply: Mapping[str, Any], name: str) -> Any:
    if name not in reply:
        raise refuse_template(str(reply.get("problem")))
    return reply[name]


def refuse_template(found: str, expected: str = "a rendered conversation") -> ModelError:
    """The error for a template that cannot be used."""
    return ModelError(
        "chat template",
        expected=expected,
        found=found,
        fix="check the roles of the conversation, or give the tokenizer another chat template",
    )


@dataclass(frozen=True)
class Turns:
    """What a template puts between the user's words and the assistant's (opening), and the other way round."""

    opening: str
    closing: str

    def check_roles(self) -> None:
        """Raise a ModelError if the two are the same: the model could not tell who says what."""
        if self.opening == self.closing:
            raise refuse_template(
                f"{self.opening!r} before either's turn", "a template that tells roles apart"
            )

    def check_prompt(self, written: str) -> None:
        """Raise a ModelError if a prompt leaves it to the model to open its turn with the words of the template.

        Args:
            written: what stands after the user's last words, asked for a generation prompt or not.
        """
        opening, written = self.opening.strip(), written.strip()
        if opening != written and opening.startswith(written):
            raise refuse_template(
                f"{written!r} alone, where an assistant's turn begins with {opening!r}", "a generation prompt"
            )


def check_texts(messages: Sequence[Mapping[str, str]], text: str) -> None:
    """Refuse a rendering that lost a turn; what an assistant thought may be left out of its earlier turns."""
    for message in messages:
        content = message["content"]
        if message["role"] == "assistant":
            content = content.split("</think>")[-1]
        if content.strip() not in text:
            raise refuse_template(
                f"a rendering without the {message['role']}'s {content.strip()[:60]!r}", "every turn's text"
            )
