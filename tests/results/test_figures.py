"""Figures: drawn from a fake tree with equal bytes, honest about what is missing, and independent of each other."""

import importlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fixtures.results_tree import BACKBONES, METHODS, make_results_tree, view_tree
from matplotlib.text import Text

from harc.core.errors import DataError
from harc.core.fingerprint import list_definitions
from harc.results.figures import figure5
from harc.results.figures.figure2 import choose_slot
from harc.results.figures.figure5 import marker_area
from harc.results.figures.figure8 import place_examples
from harc.results.figures.style import save_figure
from harc.results.rates import find_front
from harc.results.readings import read_term
from harc.settings.analysis import AnalysisSettings
from harc.settings.methods import list_looks
from harc.settings.profile import load_profile
from harc.steps.analysis import MAKE_FIGURE, list_figure_units, select_figure_options
from harc.steps.commands import create_job

FIGURES = (
    *(f"figure{number}" for number in range(1, 8)),
    "figure7_grid",
    *(f"figure{number}" for number in range(8, 11)),
)
SETTINGS = AnalysisSettings()


def draw(
    name: str, root: Path, out: Path, backbones=BACKBONES, methods=METHODS, seeds=(0,), **options
) -> tuple[bytes, bytes]:
    module = importlib.import_module(f"harc.results.figures.{name}")
    paths = out / f"{name}.pdf", out / f"{name}.png"
    view = view_tree(
        root, backbones=list(backbones), methods=list(methods), seeds=list(seeds), options=options
    )
    save_figure(module.draw(view), *paths)
    return tuple(path.read_bytes() for path in paths)


def read_text(pdf: bytes, path: Path) -> str:
    path.write_bytes(pdf)
    return subprocess.run(
        ["pdftotext", "-layout", path, "-"], capture_output=True, text=True, check=True
    ).stdout


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    return make_results_tree(tmp_path_factory.mktemp("tree"), prompts=5)


def test_every_figure_module_is_covered():
    folder = Path(importlib.import_module("harc.results.figures").__file__).parent
    assert sorted(path.stem for path in folder.glob("figure*.py")) == sorted(FIGURES)


@pytest.mark.parametrize("name", FIGURES)
def test_equal_results_give_equal_bytes_without_dates(name, tree, tmp_path):
    first, second = draw(name, tree, tmp_path / "a"), draw(name, tree, tmp_path / "b")
    assert first == second
    assert first[0].startswith(b"%PDF") and first[1].startswith(b"\x89PNG")
    for mark in (b"CreationDate", b"Producer", b"Software"):
        assert mark not in first[0] + first[1]


@pytest.mark.parametrize("name", FIGURES)
def test_the_inputs_listed_are_all_that_is_needed(name, tree, tmp_path):
    module = importlib.import_module(f"harc.results.figures.{name}")
    listed = module.list_inputs(view_tree(tree))
    assert listed and all(path.is_file() for path in listed)
    copied = tmp_path / "tree"
    for path in listed:
        target = copied / path.relative_to(tree)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    assert draw(name, copied, tmp_path / "a") == draw(name, tree, tmp_path / "b")


@pytest.mark.parametrize("name", FIGURES)
def test_an_empty_tree_is_named_not_a_crash(name, tmp_path):
    pdf, png = draw(name, tmp_path / "nothing", tmp_path / "out")
    assert len(pdf) > 1000 and len(png) > 1000


def test_a_missing_method_is_named_in_the_figure(tree, tmp_path):
    pdf, _ = draw("figure3", tree, tmp_path, methods=(*METHODS, "dpo"))
    if not _has_pdftotext():
        pytest.skip("needs pdftotext (poppler-utils) to read the figure's text")
    assert "Left out: DPO on organism (Llama)" in read_text(pdf, tmp_path / "f.pdf")
    full, _ = draw("figure3", tree, tmp_path)
    assert "Left out" not in read_text(full, tmp_path / "g.pdf")


def _has_pdftotext() -> bool:
    return shutil.which("pdftotext") is not None


GRID = [["margin0p5_kl1", 0.5, 1.0], ["harc", 0.5, 10.0], ["gone", 0.7, 10.0]]


def test_the_grid_shows_every_cell_and_names_the_missing_one(tmp_path):
    tree = make_results_tree(tmp_path / "tree", methods=("base", "harc", "margin0p5_kl1"), prompts=4)
    methods = ["base", *(name for name, _, _ in GRID)]
    pdf, _ = draw("figure7_grid", tree, tmp_path, methods=methods, points=GRID, of="harc")
    if not _has_pdftotext():
        pytest.skip("needs pdftotext (poppler-utils) to read the figure's text")
    text = read_text(pdf, tmp_path / "g.pdf")
    assert "n = 16 prompts, seed 0" in text and ".70" in text and "10" in text
    # The missing run and the cell that no run stands for, in four columns.
    assert text.count("n/a") == 8 * len(BACKBONES)
    assert "gone on organism (Llama)" in text


def test_a_figure_takes_its_own_units_from_the_profile():
    profile = load_profile("ci")
    for name in ("figure4", "figure7", "figure7_grid", "figure8", "figure9"):
        module = importlib.import_module(f"harc.results.figures.{name}")
        backbones, methods, seeds = module.select_units(profile)
        assert backbones and methods[0] == "base" and seeds == [0]
    job = create_job("make_figure", profile, figure="figure7")
    assert "permuted_label" in list_figure_units(job)[1]
    after = create_job("make_figure", profile, figure="figure3")
    assert "permuted_label" not in list_figure_units(after)[1]
    assert select_figure_options(after) == {"nulls": [["organism-llama", 0]]}
    assert job.layout.directions(
        "organism-llama", "permuted_label", 0
    ) / "layers.json" in MAKE_FIGURE.list_inputs(after)
    assert select_figure_options(job) == {"of": "harc"}


def test_the_null_is_drawn_where_it_was_run(tree, tmp_path):
    nulls = [["organism-llama", 0], ["organism-qwen2", 0]]
    plain, _ = draw("figure3", tree, tmp_path / "plain")
    asked, _ = draw("figure3", tree, tmp_path / "asked", nulls=nulls)
    assert asked == plain  # asked for, but never run
    for name in ("directions.safetensors", "layers.json"):
        source = tree / "directions/organism-llama/base/seed0" / name
        target = tree / "directions/organism-llama/permuted_label/seed0" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read_bytes())
    drawn, _ = draw("figure3", tree, tmp_path / "drawn", nulls=nulls)
    assert drawn != plain


def test_families_are_compared_in_ranks(tmp_path):
    models = ("organism-llama", "organism-gemma", "organism-phi3")
    tree = make_results_tree(tmp_path / "tree", backbones=models, methods=("base",), prompts=4)
    pdf, _ = draw("figure9", tree, tmp_path, backbones=models)
    if not _has_pdftotext():
        pytest.skip("needs pdftotext (poppler-utils) to read the figure's text")
    text = read_text(pdf, tmp_path / "f.pdf")
    assert "Phi-3" in text and "n = 120 per class, seed 0" in text and re.search(r"mean -?[\d.]+ \[", text)
    few, _ = draw("figure9", tree, tmp_path, backbones=models[:2])
    assert "three families to compare" in read_text(few, tmp_path / "g.pdf")


def test_trajectories_name_classes_with_too_few_answers(tmp_path):
    tree = make_results_tree(tmp_path / "tree", backbones=BACKBONES[:1], methods=("base", "harc"), prompts=6)
    rows = tree / "trajectories" / BACKBONES[0] / "harc" / "seed0" / "trajectories.jsonl"
    rows.write_text(rows.read_text().replace('"harmful_answered"', '"other"'))
    pdf, _ = draw("figure4", tree, tmp_path, backbones=BACKBONES[:1], methods=("base", "harc"))
    if not _has_pdftotext():
        pytest.skip("needs pdftotext (poppler-utils) to read the figure's text")
    text = read_text(pdf, tmp_path / "f.pdf")
    assert "harmful, answered under HARC (n = 0) on organism (Llama)" in " ".join(text.split())
    assert "base n = 10/--/10/10" in text and "HARC n = 0/10/10/10" in text


def test_the_axis_of_examples_begins_at_zero_and_doubles():
    assert [place_examples(count, 10) for count in (0, 10, 20, 160)] == [0.0, 1.0, 2.0, 5.0]


def test_an_empty_category_is_marked_and_named(tmp_path):
    tree = make_results_tree(tmp_path / "tree", backbones=BACKBONES[:1], methods=("base", "harc"), prompts=6)
    for method in ("base", "harc"):
        path = tree / "scores" / BACKBONES[0] / method / "seed0" / "outcomes.csv"
        lines = path.read_text().splitlines()
        kept = [line for line in lines if not line.startswith(("pap-000", "pap-001"))]
        path.write_text(
            "\n".join(kept).replace("goal-000", "blick mub").replace("goal-001", "blick zed") + "\n"
        )
    pdf, _ = draw("figure10", tree, tmp_path, backbones=BACKBONES[:1], methods=("base", "harc", "dpo"))
    if not _has_pdftotext():
        pytest.skip("needs pdftotext (poppler-utils) to read the figure's text")
    text = " ".join(read_text(pdf, tmp_path / "f.pdf").split())
    assert "not available" in text and "DPO on organism (Llama)" in text
    assert "marks a category without goals under that attack (organism (Llama))" in text


def test_several_seeds_are_drawn(tmp_path):
    tree = make_results_tree(tmp_path / "tree", seeds=(0, 1), prompts=6)
    one, two = (draw("figure3", tree, tmp_path / str(n), seeds=range(n)) for n in (1, 2))
    assert one != two


def test_damaged_projections_are_an_error_not_a_figure(tmp_path):
    tree = make_results_tree(tmp_path / "tree", prompts=4)
    rows = tree / "directions" / BACKBONES[0] / "base" / "seed0" / "projections.jsonl"
    rows.write_text('{"id": "x"}\n', encoding="utf-8")
    with pytest.raises(
        DataError, match=r"projections.jsonl:1: expected the fields id, suite; found no suite"
    ):
        draw("figure2", tree, tmp_path / "out")


def test_a_figure_depends_on_no_other_figure():
    for name in FIGURES:
        modules = {place.partition(":")[0] for place in list_definitions([f"harc.results.figures.{name}"])}
        others = {f"harc.results.figures.{other}" for other in FIGURES if other != name}
        assert not others & modules


def test_analysis_imports_neither_torch_nor_matplotlib_before_it_draws():
    code = (
        "import sys, harc.results.catalogue, harc.results.paper, harc.results.view, harc.results.report\n"
        "print([name for name in ('torch', 'transformers', 'matplotlib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_methods_differ_in_more_than_colour():
    styles = [look.style for look in list_looks().values() if look.style]
    shapes = [(marker, str(line)) for _, marker, line in styles]
    assert len(set(shapes)) == len(shapes)
    assert len({colour for colour, _, _ in styles}) == len(styles)


def test_front_keeps_what_no_other_beats():
    points = {"a": (0.1, 0.9), "b": (0.2, 0.2), "c": (0.3, 0.3), "d": (0.5, 0.1)}
    assert find_front(points) == ["a", "b", "d"]
    assert find_front({}) == []


def test_marker_grows_with_helpfulness():
    assert marker_area(0) < marker_area(0.5) < marker_area(1)


TASKS = ("multiple_choice-", "arithmetic-", "code-", "instruction_constraints-", "two_turn-")


def test_where_no_task_of_helpfulness_was_asked_the_trade_off_is_drawn_all_the_same(tree, tmp_path):
    """Published models are asked none of the organisms' tasks."""
    helpful = figure5.draw(view_tree(tree))
    copied = shutil.copytree(tree, tmp_path / "tree")
    for path in copied.rglob("outcomes.csv"):
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        path.write_text("".join(line for line in lines if not line.startswith(TASKS)), encoding="utf-8")
    plain = figure5.draw(view_tree(copied))
    for canvas, word, other in (
        (helpful, "helpfulness", "plain requests"),
        (plain, "plain requests answered", "helpfulness"),
    ):
        words = " ".join(text.get_text() for text in canvas.figure.findobj(Text))
        assert word in words and other not in words and "not available" not in words
        assert not canvas.remarks
        assert all(len(axes.collections) >= len(METHODS) for axes in canvas.panels[0])
        save_figure(canvas, tmp_path / "f.pdf", tmp_path / "f.png")
        (legend,) = canvas.figure.legends
        box = legend.get_window_extent()
        assert box.x0 >= 0 and box.x1 <= canvas.figure.bbox.width, "a legend that is cut off"


def test_slot_of_the_plane():
    assert choose_slot(SETTINGS, [10, 8], 13) == 8
    assert choose_slot(SETTINGS, [], 13) == 6
    assert choose_slot(AnalysisSettings(plane_slot=99), [8], 13) == 12


def test_nan_points_are_left_out(tmp_path):
    tree = make_results_tree(tmp_path / "tree", prompts=5)
    from safetensors.numpy import load_file, save_file

    path = tree / "directions" / BACKBONES[0] / "base" / "seed0" / "projections.safetensors"
    tensors = load_file(path)
    save_file(tensors | {"resp_harm": np.full_like(tensors["resp_harm"], np.nan)}, path)
    pdf, _ = draw("figure2", tree, tmp_path / "out")
    assert pdf.startswith(b"%PDF")


def test_a_saturated_loss_is_drawn_and_an_uncomputed_divergence_is_not():
    rows = [{"step": step, "couple": 0.0, "kl": 0.0} for step in range(3)]
    assert read_term(rows, "couple") == ([0, 1, 2], [0.0, 0.0, 0.0])
    assert read_term(rows, "kl") == ([], []) and read_term(rows, "ce") == ([], [])
