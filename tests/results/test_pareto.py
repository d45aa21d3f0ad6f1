"""The tuning figure and table: every point is there, the chosen ones are marked; nothing named, nothing drawn."""

from pathlib import Path

import pytest

from harc.core.artifacts import BASE
from harc.core.csv_files import write_csv
from harc.core.errors import ArtifactError
from harc.core.files import write_text
from harc.evaluation.tuning import COLUMNS, RATES, format_tuned
from harc.results.figures import pareto
from harc.results.figures.style import save_figure
from harc.results.macros.study import list_tuning
from harc.results.printer import render_latex
from harc.results.readings import read_points
from harc.results.tables.training import build_tuning
from harc.results.view import Results
from harc.settings.analysis import AnalysisSettings
from harc.settings.training import TuningSettings

GRID = ('{"steps": 5}', '{"loss": {"kl": 1.0}}')


def make_row(backbone: str, method: str, point: int, changes: str, asr: float) -> dict:
    row = {
        "backbone": backbone,
        "method": method,
        "seed": 0,
        "point": point,
        "changes": changes,
        "train_seconds": 1.0,
    }
    for name in RATES:
        rate = {"asr": asr, "over_refusal": 0.1}.get(name, 0.9)
        row |= {name: rate, f"{name}_low": rate - 0.05, f"{name}_high": rate + 0.05, f"{name}_n": 48}
    return row


def view_of(points: Path | None) -> Results:
    settings = AnalysisSettings(tuning_points=points)
    return Results(
        Path("nowhere"), ["organism-llama", "organism-qwen2"], [0], methods=["sft"], settings=settings
    )


@pytest.fixture
def points(tmp_path: Path) -> Path:
    rows = [
        make_row(backbone, method, point, changes, asr)
        for backbone in ("organism-llama", "organism-qwen2")
        for method, point, changes, asr in (
            (BASE, -1, "{}", 0.6),
            ("sft", 0, GRID[0], 0.4),
            ("sft", 1, GRID[1], 0.2),
        )
    ]
    write_csv(tmp_path / "mine_points.csv", COLUMNS, rows)
    choice = {"changes": {"loss": {"kl": 1.0}}, "eligible": True}
    write_text(tmp_path / "mine.yaml", format_tuned({"sft": choice}, TuningSettings()))
    return tmp_path / "mine_points.csv"


def test_points_know_which_of_them_was_chosen(points: Path):
    read = read_points(points)
    assert [point.chosen for point in read if point.method == "sft"] == [False, True, False, True]
    assert read[0].method == BASE and not read[0].chosen
    assert read[2].loses(read[0]) == 0.0


def test_the_figure_draws_every_point_and_is_the_same_every_time(points: Path, tmp_path: Path):
    for name in ("a", "b"):
        save_figure(pareto.draw(view_of(points)), tmp_path / f"{name}.pdf", tmp_path / f"{name}.png")
    assert (tmp_path / "a.pdf").read_bytes() == (tmp_path / "b.pdf").read_bytes()
    assert (tmp_path / "a.png").stat().st_size > 10_000


def test_without_points_the_figure_and_the_table_say_so():
    assert "tuning points, which this profile does not name" in pareto.draw(view_of(None)).remarks
    assert "no tuning points are named" in render_latex(build_tuning(view_of(None)))
    assert list_tuning([], [])["TuningIneligible"] == "this profile names no tuning."


def test_the_table_gives_means_and_marks_the_choice(points: Path):
    table = build_tuning(view_of(points))
    assert [(row["method"], row["point"], row["chosen"]) for row in table.records] == [
        (BASE, -1, False), ("sft", 0, False), ("sft", 1, True),
    ]  # fmt: skip
    assert table.records[2]["asr"] == pytest.approx(0.2) and table.records[2]["runs"] == 2
    assert all(row["eligible"] for row in table.records)
    assert "$\\bullet$" in render_latex(table) and "loss." in render_latex(table)


def test_points_without_their_choice_are_an_error(points: Path):
    points.with_name("mine.yaml").unlink()
    with pytest.raises(ArtifactError, match="expected chosen settings by method"):
        read_points(points)


def test_the_text_says_how_many_points_and_who_kept_to_none(points: Path):
    rows = [
        {name: str(value) for name, value in row.items()} for row in build_tuning(view_of(points)).records
    ]
    values = {"tuning.safe_allowance": "0.02", "tuning.benign_allowance": "0.03"}
    settings = [{"setting": name, "value": value} for name, value in values.items()]
    macros = list_tuning(rows, settings)
    assert macros["TuningPoints"] == "2" and macros["TuningRuns"] == "on 2 pairs"
    assert macros["TuningIneligible"] == "every method has a point that keeps both allowances."
    for row in rows[1:]:
        row["eligible"] = "False"
    assert macros["TuningAllowance"] == "0.02"
    assert "no point of SFT keeps both" in list_tuning(rows, settings)["TuningIneligible"]
