"""What says on the face of a rehearsal's tables, figures and pages that no number there is a result."""

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING

from harc.core.files import write_text

if TYPE_CHECKING:
    from harc.results.figures.style import Canvas

MARK = "REHEARSAL ON STAND-INS: NO RESULT"
COLUMN = "rehearsal"


def mark_csv(text: str) -> str:
    """A CSV file with a last column that says so in every row."""
    rows = list(csv.reader(io.StringIO(text)))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerows([*row, COLUMN if number == 0 else MARK] for number, row in enumerate(rows))
    return out.getvalue()


def mark_tables(folder: Path) -> None:
    """Mark every table in a folder, as CSV and as LaTeX."""
    for path in sorted(folder.glob("*.csv")):
        text = path.read_text(encoding="utf-8")
        if not text.partition("\n")[0].endswith(f",{COLUMN}"):
            write_text(path, mark_csv(text))
        latex = path.with_suffix(".tex")
        if latex.is_file() and MARK not in latex.read_text(encoding="utf-8"):
            write_text(latex, f"{{\\centering\\bfseries {MARK}\\par}}\n{latex.read_text(encoding='utf-8')}")


def mark_figure(canvas: "Canvas") -> None:
    """Write it across a figure."""
    words = {
        "ha": "center",
        "va": "center",
        "rotation": 20,
        "fontsize": 18,
        "color": "#b00020",
        "alpha": 0.35,
    }
    canvas.figure.text(0.5, 0.5, MARK, **words)


def mark_paper(source: str) -> str:
    """The paper's main file with it at the head of every page.

    Raises:
        ValueError: if the file has no place for it.
    """
    begin = "\\begin{document}"
    if begin not in source:
        raise ValueError(f"a LaTeX file with {begin}")
    put = "\\put(1in,-0.5in){\\bfseries\\textcolor{red}{" + MARK + "}}"
    return source.replace(begin, f"\\AddToHook{{shipout/foreground}}{{{put}}}\n{begin}", 1)
