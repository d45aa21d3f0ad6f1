"""A fresh run held against what a study expects of one more draw."""

import random
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harc.audit.expectations import place_draws, print_placed
from harc.cli import app
from harc.core.csv_files import write_csv
from harc.core.errors import ArtifactError, DataError
from harc.results.tables.draws import COLUMNS
from harc.stats.intervals import predict_next


def write_draws(root: Path, values: dict[str, list[float]], **bounds: str) -> Path:
    rows = []
    for metric, held in values.items():
        expected = predict_next(held, low=0.0, high=1.0) if len(held) > 2 else None
        rows.append(
            {
                "backbone": "organism-llama", "method": "harc", "reference": "", "metric": metric, "draws": len(held),
                "mean": sum(held) / len(held), "low": "" if expected is None else expected.low,
                "high": "" if expected is None else expected.high, "held_out": 0, "inside": 0,
                "values": " ".join(f"{seed}={value:g}" for seed, value in enumerate(held)),
            } | bounds
        )  # fmt: skip
    write_csv(root / "tables/draws.csv", COLUMNS, rows)
    return root


def test_prediction_intervals_hold_one_more_normal_value_as_often_as_they_say():
    draw = random.Random(0).gauss
    held = [[draw(0.5, 0.1) for _ in range(7)] for _ in range(2000)]
    hits = [predict_next(values[:6], 0.9) for values in held]
    share = sum(found.low <= values[6] <= found.high for found, values in zip(hits, held, strict=True)) / 2000
    assert share == pytest.approx(0.9, abs=0.02)
    assert predict_next([0.5]) is None
    assert predict_next([0.0, 1.0], low=0.0, high=1.0)[1:] == (0.0, 1.0)


def test_draws_are_placed_and_those_outside_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    study = write_draws(tmp_path / "study", {"mean_asr": [0.4, 0.5, 0.6, 0.5], "benign": [0.9, 0.95, 0.92]})
    run = write_draws(tmp_path / "run", {"mean_asr": [0.52], "benign": [0.2], "unknown": [0.1]})
    placed = place_draws(run, study)
    assert [(each.metric, each.inside) for each in placed] == [("mean_asr", True), ("benign", False)]
    print_placed(placed, shown=5)
    said = " ".join(capsys.readouterr().out.split())
    assert "organism-llama harc, benign, seed 0: 0.20 outside [" in said
    assert said.endswith("1 of 2 values lie where the study expects one more draw")


def test_the_command_places_draws_and_writes_them(tmp_path: Path):
    study = write_draws(tmp_path / "study", {"mean_asr": [0.4, 0.5, 0.6]})
    run, out = write_draws(tmp_path / "run", {"mean_asr": [0.5]}), tmp_path / "placed.json"
    found = CliRunner().invoke(app, ["compare", str(run), str(study), "--draws", "--out", str(out)])
    assert found.exit_code == 0 and "1 of 1 values lie where" in found.output
    assert '"inside": true' in out.read_text()


def test_a_tree_without_draws_a_study_that_expects_nothing_and_a_damaged_table_are_refused(tmp_path: Path):
    run = write_draws(tmp_path / "run", {"mean_asr": [0.5]})
    with pytest.raises(ArtifactError, match=r"draws.csv: expected the table of draws"):
        place_draws(run, tmp_path / "nowhere")
    with pytest.raises(ArtifactError, match="found none in common"):
        place_draws(run, write_draws(tmp_path / "one", {"mean_asr": [0.5]}))
    with pytest.raises(
        DataError, match="organism-llama harc mean_asr: expected numbers; found could not convert"
    ):
        place_draws(run, write_draws(tmp_path / "bad", {"mean_asr": [0.4, 0.5, 0.6]}, low="x"))
    write_csv(tmp_path / "old/tables/draws.csv", ("backbone",), [{"backbone": "a"}])
    with pytest.raises(DataError, match="found no method"):
        place_draws(tmp_path / "old", run)
