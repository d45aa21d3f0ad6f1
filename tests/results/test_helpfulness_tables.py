"""The table of public benchmarks and MT-Bench's figure, on invented scores."""

from pathlib import Path

import pytest

from harc.core.artifacts import Layout
from harc.core.csv_files import write_csv
from harc.evaluation.helpfulness import SCORE_COLUMNS
from harc.results.figures import mt_bench
from harc.results.figures.style import save_figure
from harc.results.printer import typeset_body, typeset_header
from harc.results.tables.helpfulness import build_helpfulness
from harc.results.view import Results
from harc.suites.mt_bench import CATEGORY_COLUMNS


def view_of(root: Path, methods=("base", "harc"), seeds=(0, 1)) -> Results:
    return Results(root, ["qwen2.5-7b"], list(seeds), methods=list(methods))


def invent(root: Path, method: str, seed: int, rate: float) -> None:
    folder = Layout(root).helpfulness("qwen2.5-7b", method, seed)
    rows = [
        {"suite": "gsm8k", "metric": "exact match, last number", "n": 250, "successes": int(250 * rate), "rate": rate,
         "stderr": 0.03, "ci_low": rate - 0.06, "ci_high": rate + 0.06, "interval": "wilson"},
        {"suite": "mt_bench", "metric": "mean grade / 10", "n": 158, "unjudged": 2, "rate": 0.7, "stderr": 0.02,
         "ci_low": 0.66, "ci_high": 0.74, "interval": "normal"},
        {"suite": "mt_bench", "metric": "mean grade / 10, turn 1", "n": 80, "unjudged": 0, "rate": 0.8},
    ]  # fmt: skip
    write_csv(folder / "scores.csv", SCORE_COLUMNS, rows)
    grades = [
        {"category": category, "turn": turn, "n": 20, "unjudged": int(category == "math"), "mean": 5 + 3 * rate,
         "ci_low": 5.0, "ci_high": 9.0}
        for category in mt_bench.ORDER for turn in ("both", 1, 2)
    ]  # fmt: skip
    write_csv(folder / "mt_bench.csv", CATEGORY_COLUMNS, grades)


@pytest.fixture
def tree(tmp_path):
    for method, rate in (("base", 0.8), ("harc", 0.76)):
        for seed in (0, 1):
            invent(tmp_path, method, seed, rate + 0.02 * seed)
    return tmp_path


def test_the_table_holds_the_main_metric_with_its_interval_and_every_metric_as_csv(tree):
    table = build_helpfulness(view_of(tree))
    assert len(table.records) == 12 and typeset_header(table) == ["method & GSM8K & MT-Bench \\\\"]
    text = "\n".join(typeset_body(table))
    assert ".810" in text and ".770" in text and "n = 250 + 250" in text and "4 unjudged" in text
    alone = "\n".join(typeset_body(build_helpfulness(view_of(tree, ["base"], [0]))))
    assert ".800" in alone and "$[.740,.860]$" in alone


def test_without_benchmarks_the_table_says_so(tmp_path):
    table = build_helpfulness(view_of(tmp_path))
    assert table.records == [] and "no public benchmark" in typeset_body(table)[0]


def test_a_method_that_was_not_asked_is_marked(tree):
    text = "\n".join(typeset_body(build_helpfulness(view_of(tree, ["base"], [0]))))
    assert "n/a" not in text
    (Layout(tree).helpfulness("qwen2.5-7b", "base", 0) / "scores.csv").unlink()
    rows = build_helpfulness(view_of(tree)).records
    assert {(row["method"], row["seed"]) for row in rows} == {("base", 1), ("harc", 0), ("harc", 1)}


def test_the_figure_reads_grades_of_both_turns_and_repeats_byte_for_byte(tree):
    grades = mt_bench.read_grades(tree, "qwen2.5-7b", "base", 0)
    assert grades["math"] == (pytest.approx(7.4), 5.0, 9.0, 20, 1) and len(grades) == 8
    assert len(mt_bench.list_inputs(view_of(tree))) == 2
    outs = []
    for name in ("a", "b"):
        files = tree / f"{name}.pdf", tree / f"{name}.png"
        save_figure(mt_bench.draw(view_of(tree)), *files)
        outs.append([path.read_bytes() for path in files])
    assert outs[0] == outs[1] and outs[0][0].startswith(b"%PDF")


def test_a_figure_without_grades_says_so(tmp_path):
    save_figure(mt_bench.draw(view_of(tmp_path)), tmp_path / "x.pdf", tmp_path / "x.png")
    assert (tmp_path / "x.png").stat().st_size > 1000
