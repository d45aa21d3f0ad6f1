"""The one place that prints: what others wrote (names of files and models, answers, errors) cannot steer a terminal.

Progress of long work is shown there too.
"""

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from harc.core.untrusted import escape_lines, replace_surrogates

if TYPE_CHECKING:
    from rich.console import Console


def make_printable(text: str, stream: Any) -> str:
    """Text without control characters but line breaks, in characters that the stream can hold; tabs become spaces."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    shown = escape_lines(replace_surrogates(text).expandtabs(4))
    return shown.encode(encoding, "backslashreplace").decode(encoding)


def show(text: object = "", *, err: bool = False, end: str = "\n") -> None:
    """Print text on standard output, or on standard error."""
    write_to(sys.stderr if err else sys.stdout, f"{text}{end}")


def write_to(stream: Any, text: str) -> None:
    """Write text to a stream that a person reads."""
    stream.write(make_printable(text, stream))
    stream.flush()


def flush() -> None:
    """Write out whatever was said, before a process that ends without Python's own end."""
    sys.stdout.flush()
    sys.stderr.flush()


def redraw(line: str) -> None:
    """Put a line in place of the present one, on a terminal as standard error; an empty one leaves nothing."""
    sys.stderr.write(f"\r\x1b[2K{make_printable(line, sys.stderr)}")
    sys.stderr.flush()


def align_columns(lines: Sequence[Sequence[str]]) -> str:
    """Lines of cells as text with aligned columns."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    text = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
    return "\n".join(text)


def is_terminal(*, err: bool = False) -> bool:
    """Whether a person watches."""
    return (sys.stderr if err else sys.stdout).isatty()


def make_console(stream: Any = None) -> "Console":
    """A console of rich for tables and styles, whose every piece of text is escaped, whatever was given to it."""
    from rich.console import Console
    from rich.segment import Segment

    class PlainConsole(Console):
        """Escapes the text of each segment; styles are added after that."""

        def render(self, renderable: Any, options: Any = None) -> Iterable[Segment]:
            """The segments of anything that can be shown."""
            for text, style, control in super().render(renderable, options):
                shown = text if control else make_printable(text, self.file)
                yield Segment(shown, style, control)

    return PlainConsole(file=stream or sys.stdout, highlight=False, soft_wrap=True, markup=False)


LINE_INTERVAL = 10.0  # seconds between lines when the output is not a terminal
WIDTH = 24  # characters of the bar


class Bar:
    """A running count towards `total`, drawn on standard error."""

    def __init__(self, total: int, description: str) -> None:
        self.total, self.description = total, description
        self.done = 0
        self._facts: dict[str, float | str] = {}
        self._start = self._last = time.monotonic()
        self._live = is_terminal(err=True)

    def advance(self, steps: int = 1, **facts: float | str) -> None:
        """Count `steps` more as done; `facts` (loss=0.3) are shown behind the bar."""
        self.done += steps
        self._facts = facts or self._facts
        now = time.monotonic()
        if now - self._last >= (0.1 if self._live else LINE_INTERVAL):
            self._last = now
            self._draw(now)

    def render(self, now: float) -> str:
        """One line: description, bar, count, rate, time left, facts."""
        elapsed = max(now - self._start, 1e-9)
        rate = self.done / elapsed
        share = min(self.done / self.total, 1.0) if self.total else 1.0
        bar = "#" * round(share * WIDTH) + "." * (WIDTH - round(share * WIDTH))
        left = f"{(self.total - self.done) / rate:.0f} s left" if rate > 0 else "time left unknown"
        facts = " ".join(
            f"{name}={value:.3g}" if isinstance(value, float) else f"{name}={value}"
            for name, value in self._facts.items()
        )
        return f"{self.description} [{bar}] {self.done}/{self.total} {rate:.1f}/s {left} {facts}".rstrip()

    def _draw(self, now: float) -> None:
        line = self.render(now)
        if self._live:
            redraw(line)
        else:
            show(line, err=True)

    def close(self) -> None:
        """Remove the live bar; where lines were printed, nothing is left to remove."""
        if self._live:
            redraw("")


@contextmanager
def track(total: int, description: str) -> Iterator[Bar]:
    """Show progress over `total` steps while the block runs."""
    bar = Bar(total, description)
    try:
        yield bar
    finally:
        bar.close()
