"""Progress of long work: a bar with rate and time left, or a line now and then where bars cannot be drawn."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from harc.core.terminal import is_terminal, redraw, show

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
