"""Where a fresh run falls in a study's distribution: each of its draws against the interval that the study expects."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harc.core.csv_files import read_csv_rows
from harc.core.errors import ArtifactError, DataError
from harc.core.terminal import make_console
from harc.core.untrusted import escape_control

TABLE = Path("tables/draws.csv")
KEY = ("backbone", "method", "reference", "metric")
NEEDED = (*KEY, "draws", "mean", "low", "high", "values")


@dataclass(frozen=True)
class Placed:
    """One draw of the run, and where the study says that it should fall.

    Attributes:
        backbone, method, reference, metric: what was measured; a reference makes it a difference.
        seed: of the draw.
        value: what the run gave.
        mean, low, high: the study's mean, and its interval for one more draw.
        draws: of the study behind them.
    """

    backbone: str
    method: str
    reference: str
    metric: str
    seed: str
    value: float
    mean: float
    low: float
    high: float
    draws: int

    @property
    def inside(self) -> bool:
        """Whether the value lies in the interval, its bounds included."""
        return self.low <= self.value <= self.high

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"inside": self.inside}


def read_draws(root: Path) -> dict[tuple[str, ...], dict[str, str]]:
    """Rows of a tree's table of draws, by what they measure.

    Raises:
        ArtifactError: if the tree has no such table.
        DataError: if it lacks columns.
    """
    path = root / TABLE
    if not path.is_file():
        raise ArtifactError(
            str(path),
            expected="the table of draws of a finished run or study",
            found="none",
            fix="run `snakemake --cores all` to its end, or name the tree of a study that has it",
        )
    columns, rows = read_csv_rows(path)
    if missing := [name for name in NEEDED if name not in columns]:
        raise DataError(
            str(path),
            expected=f"the columns {', '.join(NEEDED)}",
            found=f"no {', '.join(missing)}",
            fix="make the tables again",
        )
    return {tuple(row[name] for name in KEY): row for row in rows}


def _parse_values(row: dict[str, str]) -> Iterator[tuple[str, float]]:
    for part in row["values"].split():
        seed, _, value = part.partition("=")
        yield seed, float(value)


def place_draws(run: Path, study: Path) -> list[Placed]:
    """Every draw of a run that the study expects something of.

    Args:
        run: results tree whose draws are placed.
        study: results tree, or committed study, that says where they should fall.

    Raises:
        ArtifactError: if one has no table of draws, or the study expects nothing of what the run has.
        DataError: if a table is damaged.
    """
    own, expected = read_draws(run), read_draws(study)
    placed = []
    for key, row in own.items():
        other = expected.get(key)
        if other is None or not other["low"]:
            continue
        try:
            mean, low, high = (float(other[name]) for name in ("mean", "low", "high"))
            draws, (backbone, method, reference, metric) = int(other["draws"]), key
            placed += [
                Placed(backbone, method, reference, metric, seed, value, mean, low, high, draws)
                for seed, value in _parse_values(row)
            ]
        except ValueError as problem:
            raise DataError(
                f"{run / TABLE} or {study / TABLE}, {' '.join(filter(None, key))}",
                expected="numbers",
                found=str(problem),
                fix="make the tables again",
            ) from None
    if not placed:
        raise ArtifactError(
            str(study),
            expected=f"intervals for draws of what {run} measures",
            found="none in common",
            fix="compare runs of one kind of backbone with a study of at least three draws of it",
        )
    return placed


def print_placed(placed: list[Placed], *, shown: int, stream: Any = None) -> None:
    """Say how many draws lie where the study expects them, and list those that do not."""
    console = make_console(stream)
    outside = [each for each in placed if not each.inside]
    for each in outside[:shown]:
        minus = f" minus {each.reference}" if each.reference else ""
        console.print(
            escape_control(
                f"{each.backbone} {each.method}{minus}, {each.metric}, seed {each.seed}: {each.value:.2f} outside "
                f"[{each.low:.2f}, {each.high:.2f}] (mean {each.mean:.2f} of {each.draws} draws)"
            )
        )
    if len(outside) > shown:
        console.print(f"and {len(outside) - shown} more")
    console.print(
        f"{len(placed) - len(outside)} of {len(placed)} values lie where the study expects one more draw"
    )
