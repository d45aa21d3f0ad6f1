"""One conversation under a monitor, on a terminal: its text, and under each token how far it lies out on two axes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harc.core.terminal import make_console
from harc.core.untrusted import escape_control
from harc.evaluation.monitor_file import COMBINED, LABELS, Axis, MonitorFile
from harc.evaluation.monitor_scoring import SIDES, Reading

REACH = 2.5  # at which colours and bars are full; 1 is the edge of what nine benign tokens of ten have
BARS = " ▁▂▃▄▅▆▇█"
PLAIN_BARS = " 12345678"  # where the stream has no others
COLOURS = {"harm": (213, 94, 0), "ref": (0, 114, 178)}  # Okabe and Ito's vermilion and blue
NEUTRAL = (150, 150, 150)
HEADS = {"harm": "harm", "ref": "refusal"}
MARGIN = 9  # columns of the heads
BREAK = "↵"


@dataclass(frozen=True)
class Cell:
    """A token as it is shown.

    Attributes:
        text: one line, without control characters.
        values: by axis (harm, ref), how far out it lies; None where it was not read.
        cosines: the same as cosines.
        breaks: whether a new line begins after it.
    """

    text: str
    values: dict[str, float | None]
    cosines: dict[str, float | None]
    breaks: bool


def place_token(axis: Axis, cosine: float) -> float:
    """How far out a cosine lies: 0 is the middle of benign tokens, 1 and -1 the edges of what nine of ten have."""
    low, middle, high = axis.tokens
    return (cosine - middle) / max((high - low) / 2, 1e-6)


def list_cells(monitor: MonitorFile, reading: Reading, side: str) -> list[Cell]:
    """The tokens of a side, in order."""
    first, last = (
        (0, reading.prompt_tokens) if side == "prompt" else (reading.prompt_tokens, len(reading.pieces))
    )
    cells = []
    for place, piece in enumerate(reading.pieces[first:last]):
        cosines = {
            name.rpartition("_")[2]: float(reading.tokens[name][place]) if name in reading.tokens else None
            for name in SIDES[side]
        }
        values = {
            name: None if cosine is None else place_token(monitor.axes[f"{side}_{name}"], cosine)
            for name, cosine in cosines.items()
        }
        shown = escape_control(piece.replace("\r\n", "\n").replace("\n", BREAK).replace("\t", "    "))
        cells.append(Cell(shown, values, cosines, piece.endswith("\n")))
    return cells


def mix_colour(value: float, axis: str) -> tuple[int, int, int]:
    """Grey for what is ordinary, the axis' own colour for what lies far out."""
    share = min(1.0, max(0.0, (value - 0.5) / (REACH - 0.5)))
    red, green, blue = (round(a + share * (b - a)) for a, b in zip(NEUTRAL, COLOURS[axis], strict=True))
    return red, green, blue


def choose_bar(value: float, bars: str = BARS) -> str:
    """The bar of a token: half high in the middle, full at REACH and beyond."""
    share = (min(REACH, max(-REACH, value)) + REACH) / (2 * REACH)
    return bars[max(1, round(share * (len(bars) - 1)))]


def list_verdicts(monitor: MonitorFile, reading: Reading) -> list[dict[str, Any]]:
    """Of each axis, and of all together: label, score (None where there is none), threshold, whether it is flagged."""
    return [
        {
            "name": name,
            "label": LABELS[name],
            "score": None if reading.scores[name] != reading.scores[name] else reading.scores[name],
            "threshold": monitor.threshold_of(name),
            "flagged": reading.flags[name],
        }
        for name in monitor.names
    ]


def wrap_cells(cells: Sequence[Cell], width: int) -> list[list[Cell]]:
    """Cells by line: a new one after a line break and where the next token has no room; a long token has its own."""
    from rich.cells import cell_len

    lines: list[list[Cell]] = [[]]
    used = 0
    for cell in cells:
        size = cell_len(cell.text)
        if lines[-1] and used + size > width:
            lines.append([])
            used = 0
        lines[-1].append(cell)
        used += size
        if cell.breaks:
            lines.append([])
            used = 0
    return [line for line in lines if line]


def print_reading(
    monitor: MonitorFile, reading: Reading, stream: Any = None, width: int | None = None
) -> None:
    """Print prompt and response with two rows of heat under each line, and what the scores say.

    Args:
        monitor: calibrated.
        reading: one conversation.
        stream: standard output by default.
        width: columns; those of the terminal by default.
    """
    from rich.cells import cell_len
    from rich.text import Text

    console = make_console(stream)
    room = max(20, (width or console.width) - MARGIN)
    try:
        BARS.encode(getattr(console.file, "encoding", None) or "utf-8")
        bars = BARS
    except UnicodeEncodeError:
        bars = PLAIN_BARS
    for side in SIDES:
        cells = list_cells(monitor, reading, side)
        axes = [axis for axis in HEADS if f"{side}_{axis}" in monitor.axes]
        console.print(Text(f"{side}, {len(cells)} tokens", style="bold"))
        for line in wrap_cells(cells, room):
            console.print(Text(f"{'':{MARGIN}}") + Text("".join(cell.text for cell in line)))
            for axis in axes:
                row = Text(f"{HEADS[axis]:{MARGIN}}", style="dim")
                for cell in line:
                    value = cell.values[axis]
                    if value is None:
                        continue
                    red, green, blue = mix_colour(value, axis)
                    row.append(
                        choose_bar(value, bars) * cell_len(cell.text), style=f"rgb({red},{green},{blue})"
                    )
                console.print(row)
        console.print(Text(""))
    for verdict in list_verdicts(monitor, reading):
        console.print(_format_verdict(verdict))
    console.print(
        Text(
            f"{bars[-1]}: as far out as {REACH:g} times what nine benign tokens of ten have; thresholds flag about "
            f"{monitor.target:.3g} of benign prompts",
            style="dim",
        )
    )


def _format_verdict(verdict: dict[str, Any]) -> Any:
    from rich.text import Text

    unit = "log-odds" if verdict["name"] == COMBINED else "cosine"
    line = Text(f"{verdict['label']:<30} ")
    if verdict["score"] is None:
        return line + Text("no score: the model said nothing", style="yellow")
    word, style = ("FLAGGED", "bold red") if verdict["flagged"] else ("not flagged", "green")
    return (
        line
        + Text(f"{word:<12}", style=style)
        + Text(f"{unit} {verdict['score']:+.3f}, threshold {verdict['threshold']:+.3f}")
    )
