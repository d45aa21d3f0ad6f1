"""The primary contrasts as a table and as macros, and the figure with a dot for each run."""

import shutil
from pathlib import Path

import pytest
from fixtures.results_tree import BACKBONES, METHODS, make_results_tree, view_tree

from harc.core.csv_files import write_csv
from harc.results.claims import VERDICTS
from harc.results.figures import runs
from harc.results.figures.style import save_figure
from harc.results.macros.contrasts import list_contrasts, list_each, list_kept, phrase_each
from harc.results.printer import read_table, render_latex, write_table
from harc.results.tables.claims import build_claims
from harc.results.tables.contrasts import build_contrasts
from harc.settings.profile import load_profile

REFERENCES = ["base", "sft", "no_coupling", "permuted_label"]


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    root = make_results_tree(tmp_path_factory.mktemp("tree"), prompts=12, seeds=(0, 1, 2))
    for backbone in BACKBONES:
        for method in METHODS:
            for seed in (0, 1, 2):
                write_suppressed(root / "suppression" / backbone / method / f"seed{seed}", method)
    return root


def write_suppressed(folder: Path, method: str) -> None:
    refused = {"harc": 9, "base": 1}.get(method, 2)
    rows = [
        {"condition": name, "suite": "direct", "id": f"d{n}", "goal": f"d{n}", "label": label}
        for name in ("none", "own")
        for n in range(12)
        for label in ["refused" if name == "none" or n < refused else "correct"]
    ]
    folder.mkdir(parents=True, exist_ok=True)
    write_csv(folder / "outcomes.csv", ("condition", "suite", "id", "goal", "label", "likelihood"), rows)


@pytest.fixture(scope="module")
def view(tree):
    return view_tree(tree, methods=list(METHODS), seeds=[0, 1, 2])


def test_every_primary_claim_has_a_line_on_every_backbone_with_the_ledgers_verdict(view):
    rows = build_contrasts(view).records
    assert [(row["backbone"], row["reference"]) for row in rows[:8]] == [
        (backbone, reference) for reference in REFERENCES for backbone in BACKBONES
    ]
    assert len(rows) == 12 * len(BACKBONES)
    ledger = {(row["claim"], row["backbone"]): row for row in build_claims(view).records}
    for row in rows:
        for column in ("estimate", "low", "high", "p_adjusted", "detectable", "verdict"):
            assert row[column] == ledger[row["claim"], row["backbone"]][column]


def test_a_question_that_nothing_was_asked_for_has_no_lines_and_one_that_was_has_all_of_them(view, tmp_path):
    ledger = build_claims(view).records
    declared = {row["question"] for row in ledger if row["primary"]}
    found = [row["question"] for row in build_contrasts(view).records]
    assert declared - set(found) == {"suppression_half_way"}
    assert all(found.count(question) == 4 * len(BACKBONES) for question in set(found))
    root = Path(shutil.copytree(view.root, tmp_path / "tree"))
    for path in root.rglob("suppression/*/*/*/outcomes.csv"):
        path.write_text(path.read_text().replace("own,", "own_half_way,"))
    changed = view_tree(root, methods=list(METHODS), seeds=[0, 1, 2])
    assert declared - {row["question"] for row in build_contrasts(changed).records} == {"suppression"}


def test_the_table_names_what_is_held_against_what_and_hides_no_verdict(view):
    text = render_latex(build_contrasts(view))
    assert text.count("permuted labels") == 3 * len(BACKBONES)
    assert "attacks answered" in text and "refused, direction out" in text
    assert text.count("not tested in this profile") >= 3  # nothing was run on permuted labels
    assert "Margin of equivalence: .08" in text


def test_macros_say_the_differences_and_how_many_had_which_verdict(view, tmp_path):
    write_table(build_contrasts(view), tmp_path)
    rows = read_table(tmp_path / "contrasts.csv")
    macros = list_contrasts(rows)
    assert macros["ContrastCount"] == "24"
    counted = [part.split(" ", 1) for part in macros["ContrastSummary"].replace(" and ", ", ").split(", ")]
    assert sum(int(count) for count, _ in counted) == 24 and {words for _, words in counted} <= set(VERDICTS)
    text = macros["ContrastHarderToSuppressThanUntreated"]
    assert text.startswith("$+.67$") and "on organism (Llama) and $+.67$" in text
    rows[0]["estimate"] = "-0.5"
    changed = list_contrasts(rows)
    assert [name for name in macros if macros[name] != changed[name]] == ["ContrastLowersAttackSuccess"]


def test_rates_are_one_phrase_over_all_backbones():
    rows = [
        {"backbone": "smollm2-135m", "method": "harc", "mean_asr": "0.4"},
        {"backbone": "qwen2.5-coder-0.5b", "method": "harc", "mean_asr": "0.7"},
    ]
    rows[0] |= {"mean_asr_low": "0.3", "mean_asr_high": "0.5"}
    both = list_each(rows, ["mean_asr"])["EachAsrHarc"]
    assert both == ".40 $[.30, .50]$ on SmolLM2-135M and .70 (no interval) on Qwen2.5-Coder-0.5B"
    assert list_each(rows[:1], ["mean_asr"])["EachAsrHarc"] == ".40 $[.30, .50]$"
    assert list_each([], ["mean_asr"])["EachAsrHarc"] == phrase_each({}) == "n/a"
    assert list_kept([])["KeptOwnPermutedLabel"] == "n/a"


def test_the_figure_has_a_dot_for_each_run(tree, tmp_path):
    options = {"suppressed": list(METHODS), "seeds": [0, 1, 2]}
    view = view_tree(tree, methods=list(METHODS), seeds=[0, 1, 2], options=options)
    for method in METHODS:
        for quantity in runs.HEADS:
            found = runs.measure_runs(view, BACKBONES[0], method, quantity)
            assert sorted(found) == [0, 1, 2] and all(0 <= share <= 1 for share, _ in found.values())
    assert runs.measure_runs(view, BACKBONES[0], "harc", "own")[0] == (0.75, 12)
    canvas = runs.draw(view)
    panel = canvas.panels[0, 0]
    assert [len(dots.get_offsets()) for dots in panel.collections[::2]] == [3] * len(METHODS)
    assert canvas.remarks == []
    save_figure(canvas, tmp_path / "runs.pdf", tmp_path / "runs.png")


def test_what_was_not_run_is_named_under_the_figure(tree):
    options = {"suppressed": ["base"], "seeds": [0]}
    view = view_tree(tree, methods=["base", "harc", "cast"], seeds=[0, 1, 2], options=options)
    remarks = runs.draw(view).remarks
    assert any("attacks answered: CAST on organism (Llama)" in remark for remark in remarks)
    assert {path.parts[-3] for path in runs.list_inputs(view) if "suppression" in path.parts} == {"base"}


def test_without_suppression_there_is_no_such_panel(tree):
    view = view_tree(tree, methods=["base", "harc"], seeds=[0], options={"suppressed": [], "seeds": []})
    assert runs.OWN not in runs.list_quantities(view)


def test_arms_of_all_seeds_are_runs_too():
    profile = load_profile("smollm2")
    _, methods, seeds = runs.select_units(profile)
    assert "permuted_label" in methods and methods[0] == "base" and list(seeds) == [0, 1, 2]
    assert runs.select_options(profile)["suppressed"] == list(profile.suppression.methods)
    assert runs.select_options(load_profile("ci"))["suppressed"] == []
