"""The one place that prints: what others wrote (names of files and models, answers, errors) cannot steer a terminal."""

import sys
from collections.abc import Iterable
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


def redraw(line: str) -> None:
    """Put a line in place of the present one, on a terminal as standard error; an empty one leaves nothing."""
    sys.stderr.write(f"\r\x1b[2K{make_printable(line, sys.stderr)}")
    sys.stderr.flush()


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
