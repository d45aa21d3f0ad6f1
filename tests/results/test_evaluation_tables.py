"""Tables on judges, subsets and contamination: from the run's files and the committed figures, and without them."""

import csv
from itertools import product
from pathlib import Path

import pytest

from harc.core.artifacts import Layout
from harc.core.csv_files import write_csv
from harc.results.macros.evaluation import list_agreement, list_contamination, list_judges
from harc.results.printer import read_table, render_latex, write_table
from harc.results.tables.contamination import build_contamination
from harc.results.tables.judging import build_agreement, build_judges, build_subsets
from harc.results.view import Results
from harc.steps.data import COLUMNS

CALIBRATION = Path(__file__).parents[2] / "config/calibration"


def view_of(tree: Path, calibration: Path = CALIBRATION) -> Results:
    return Results(tree, ["organism-llama"], [0, 1], methods=["base", "harc"], calibration=calibration)


BOTH = "xstest_safe xstest_unseen"
UNITS = list(product(["organism-llama"], ["base", "harc"], [0, 1]))


@pytest.fixture
def tree(tmp_path) -> Path:
    """Outcomes of two methods and two seeds: the judges differ on one attack answer of each; one is unjudged."""
    names = ("suite", "id", "goal", "label", "label_exact", "label_string_rules", "label_refusal_rubric",
             "own_refusal_rubric", "subsets")  # fmt: skip
    rows = [
        ("pap", "a", "g1", "correct", "correct", "correct", "correct", "full_compliance", ""),
        ("pap", "b", "g2", "garbled", "garbled", "correct", "unjudged", "?", ""),
        ("pap", "c", "g3", "refused", "refused", "refused", "refused", "full_refusal", ""),
        ("scary_safe", "d", "d", "refused", "refused", "refused", "refused", "partial_refusal", BOTH),
        ("scary_safe", "e", "e", "correct", "correct", "correct", "correct", "full_compliance", "xstest_safe"),
    ]  # fmt: skip
    for unit in UNITS:
        path = Layout(tmp_path).scores(*unit) / "outcomes.csv"
        path.parent.mkdir(parents=True)
        with path.open("w", newline="") as handle:
            csv.writer(handle).writerows([names, *rows])
    return tmp_path


def test_agreement_pools_methods_and_seeds_and_leaves_the_unjudged_out(tree):
    table = build_agreement(view_of(tree))
    found = {(r["prompts"], r["second"], r["labels"]): r for r in table.records if r["first"] == "exact"}
    row = found["attacks and direct requests", "string_rules", "all labels"]
    assert (row["n"], row["goals"], row["unjudged"], row["agreement"]) == (12, 3, 0, pytest.approx(2 / 3))
    assert row["kappa_low"] <= row["kappa"] <= row["kappa_high"]
    refused = found["attacks and direct requests", "string_rules", "refused or not"]
    assert refused["kappa"] == 1
    rubric = found["attacks and direct requests", "refusal_rubric", "refused or not"]
    assert (rubric["n"], rubric["unjudged"]) == (8, 4)
    assert ("attacks and direct requests", "refusal_rubric", "all labels") not in found
    assert any("without a readable verdict" in note for note in table.notes)
    assert (
        list_agreement([{k: "" if v is None else str(v) for k, v in r.items()} for r in table.records])[
            "AgreementKappaMax"
        ]
        == "1.00"
    )


def test_subsets_give_any_and_full_refusal(tree):
    table = build_subsets(view_of(tree))
    found = {(r["method"], r["subset"], r["judge"], r["refusal"]): r for r in table.records}
    assert found["harc", "xstest_safe", "exact", "any"]["rate"] == 0.5
    assert found["harc", "xstest_unseen", "refusal_rubric", "any"]["rate"] == 1
    assert found["harc", "xstest_unseen", "refusal_rubric", "full"]["rate"] == 0
    assert (
        found["base", "xstest_safe", "exact", "any"]["n"]
        == found["base", "xstest_safe", "exact", "any"]["seeds"]
        == 2
    )
    assert "any refusal by exact" in render_latex(table)


def test_the_guards_table_is_summed_over_suites_beside_the_releases_overlap(tree, tmp_path):
    lines = [
        ("evaluation", "pap", "training", 10, 0, 0, False, 0),
        ("evaluation", "direct", "training", 20, 0, 3, True, 0.85),
    ]
    write_csv(Layout(tree).contamination, COLUMNS, [dict(zip(COLUMNS, line, strict=False)) for line in lines])
    table = build_contamination(view_of(tree))
    row = table.records[0]
    assert (row["training_set"], row["evaluation_set"], row["n"], row["exact"]) == (
        "training",
        "evaluation",
        30,
        0,
    )
    assert (row["near"], row["near_allowed"], row["highest_similarity"]) == (3, 3, 0.85)
    assert "3 (3 allowed) & closest .85" in render_latex(table)
    write_table(table, tmp_path / "out")
    macros = list_contamination(read_table(tmp_path / "out/contamination.csv"))
    assert macros == {
        "GuardRemark": "Here 30 comparisons of a prompt with a split found 0 exact and 3 near-duplicates",
        "ReleaseSeen": "230", "ReleaseAsked": "230",
    }  # fmt: skip


def test_the_calibration_is_printed_by_model_and_judge(tmp_path):
    table = build_judges(view_of(tmp_path))
    text = render_latex(table)
    assert text.count("string xstest") == 3 and "people see any .08, full .06" in text
    write_table(table, tmp_path)
    macros = list_judges(read_table(tmp_path / "judges.csv"))
    assert 0 < float(macros["JudgeGap"]) < 1 and macros["JudgeGapOf"].startswith("string")


def test_without_files_every_table_says_so(tmp_path):
    empty = tmp_path / "nothing"
    built = (
        build(view_of(empty, empty))
        for build in (build_judges, build_agreement, build_subsets, build_contamination)
    )
    assert all(
        not table.records and ("no " in render_latex(table) or "n/a" in render_latex(table))
        for table in built
    )
    macros = list_judges([]) | list_agreement([]) | list_contamination([])
    assert set(macros.values()) == {"n/a", "The results shown here hold no table of that check"}
