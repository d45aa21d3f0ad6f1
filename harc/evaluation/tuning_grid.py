"""A method's grid on one backbone, point by point; what is finished survives a kill."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from harc.core.files import sha256_file
from harc.core.finished import identify_work, load_finished, save_finished
from harc.core.progress import track
from harc.evaluation.run import hash_weights
from harc.evaluation.tuning_criterion import BASE_POINT
from harc.evaluation.tuning_points import Workbench, measure_point, train_point
from harc.settings.training import MethodSettings
from harc.training.modules import list_objective_code

Points = Sequence[tuple[dict[str, Any], MethodSettings]]


def run_grid(
    bench: Workbench, label: str, points: Points, checkpoint: Path, *, start: MethodSettings | None = None
) -> list[dict[str, Any]]:
    """One row of points.csv per point; the base's own row where there are no points.

    Args:
        bench: where points are tried.
        label: shown with the progress bar.
        points: (changes, settings) of each.
        checkpoint: folder of finished points while the grid runs; removed at its end.
        start: method that is trained first, and whose adapter every point starts from.
    """
    rows = []
    with TemporaryDirectory() as scratch, track(max(1, len(points)), label) as bar:
        folder = Path(scratch)
        first: Path | None = None
        for number, (changes, settings) in enumerate(points or [({}, None)]):
            file = checkpoint / f"point_{number:03d}.json"
            key = _identify(bench, settings, start)
            row = load_finished(file, key)
            if row is None:
                if start is not None and first is None:
                    first = folder / "first"
                    train_point(bench, start, first)
                row = _try_point(bench, settings, folder / f"point{number}", first)
                row |= {
                    "point": number if settings else BASE_POINT,
                    "changes": json.dumps(changes, sort_keys=True),
                }
                save_finished(file, key, row)
            rows.append(row)
            bar.advance(1, asr=row["asr"], over_refusal=row["over_refusal"])
    shutil.rmtree(checkpoint, ignore_errors=True)
    return rows


def _try_point(
    bench: Workbench, settings: MethodSettings | None, folder: Path, first: Path | None
) -> dict[str, Any]:
    seconds, method = 0.0, None
    if settings is not None:
        method = folder / "method"
        seconds = train_point(bench, settings, method, start_from=first)["wall_s"]
    return {**measure_point(bench, method, folder / "work"), "train_seconds": round(seconds, 1)}


def _identify(bench: Workbench, *settings: MethodSettings | None) -> str:
    """Hash of everything that a point's row depends on."""
    files = ("training.jsonl", "extraction.jsonl", "extraction_pairs.jsonl", "development.jsonl")
    return identify_work(
        ["harc.evaluation.tuning_grid:run_grid", *list_objective_code(*settings)],
        settings=[None if part is None else part.model_dump(mode="json") for part in settings],
        reading=bench.reading,
        development=bench.development,
        rows=[sha256_file(bench.data / name) for name in files],
        model=[bench.seed, bench.dtype, bench.chat, hash_weights(bench.weights)],
    )
