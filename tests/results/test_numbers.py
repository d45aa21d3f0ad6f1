"""The paper's macros: every one defined, from tables alone, and words that follow from numbers."""

import re
import shutil
from pathlib import Path

import pytest
from fixtures.results_tree import BACKBONES, make_results_tree, view_tree

from harc.results.catalogue import write_tables
from harc.results.latex import (
    format_rate,
    join_words,
    phrase_by_family,
    phrase_gain,
    phrase_headline,
    phrase_pooled,
    phrase_run,
)
from harc.results.paper import collect_macros, make_numbers
from harc.results.printer import read_table
from harc.results.vocabulary import camel
from harc.steps.paper import REAL

PAPER = Path(__file__).parents[2] / "paper"
GENERATED = re.compile(r"\\([A-Z][A-Za-z]*)")
NOT_GENERATED = {"FloatBarrier", "IfFileExists", "Vert"}  # capital commands of LaTeX and its packages


@pytest.fixture(scope="module")
def tables(tmp_path_factory) -> Path:
    tree = make_results_tree(tmp_path_factory.mktemp("tree"), prompts=10)
    out = tmp_path_factory.mktemp("tables")
    write_tables(view_tree(tree), out)
    return out


def used_macros() -> set[str]:
    text = "".join(path.read_text(encoding="utf-8") for path in PAPER.glob("sections/*.tex"))
    # Macros of the study of published models are those of any study, under names of their own.
    return {name.removeprefix(REAL.capitalize()) for name in GENERATED.findall(text)} - NOT_GENERATED


def test_the_text_uses_no_macro_that_is_not_generated(tables):
    used = used_macros()
    assert len(used) > 60
    assert used - set(collect_macros(tables)) == set()


def test_a_profile_with_one_backbone_defines_the_same_macros(tables, tmp_path):
    tree = make_results_tree(tmp_path / "tree", backbones=BACKBONES[:1], prompts=4)
    write_tables(view_tree(tree, backbones=[BACKBONES[0]], methods=["base", "harc"]), tmp_path / "tables")
    one = collect_macros(tmp_path / "tables")
    assert used_macros() - set(one) == set()
    assert one["AsrHarcQwen"] == "n/a" and one["AsrHarcLlama"] != "n/a"
    assert one["AsrHarcVsSft"] == "not compared on Llama"


def test_no_tables_at_all_still_defines_the_text_macros(tmp_path):
    missing = used_macros() - set(collect_macros(tmp_path))
    # These are named after the ledger's claims.
    assert all(name.startswith(("Verdict", "Contrast")) for name in missing)


def test_macros_hold_what_the_tables_hold(tables):
    macros = collect_macros(tables)
    row = next(
        r for r in read_table(tables / "table1.csv") if r["method"] == "harc" and "llama" in r["backbone"]
    )
    assert macros["AsrHarcLlama"] == format_rate(float(row["mean_asr"]))
    verdicts = {
        r["backbone"]: r["verdict"]
        for r in read_table(tables / "comparisons.csv")
        if (r["method"], r["reference"], r["metric"]) == ("harc", "base", "mean_asr")
    }
    expected = phrase_by_family(dict(zip(("Llama", "Qwen"), verdicts.values(), strict=True)))
    assert macros["AsrHarcVsBase"] == expected


def test_a_changed_table_changes_its_macro_only(tables, tmp_path):
    copied = tmp_path / "tables"
    shutil.copytree(tables, copied)
    path = copied / "acceptance.csv"
    path.write_text(path.read_text(encoding="utf-8").replace("True", "False"), encoding="utf-8")
    before, after = collect_macros(tables), collect_macros(copied)
    assert {name for name in before if before[name] != after[name]} == {"AcceptanceMet", "AcceptanceUnmet"}


def test_numbers_file_is_sorted_and_repeatable(tables, tmp_path):
    for name in ("a.tex", "b.tex"):
        make_numbers(tables, tmp_path / name)
    assert (tmp_path / "a.tex").read_bytes() == (tmp_path / "b.tex").read_bytes()
    names = re.findall(r"newcommand\{\\(\w+)\}", (tmp_path / "a.tex").read_text(encoding="utf-8"))
    assert names == sorted(set(names)) and all(name.isalpha() for name in names)


def test_phrases():
    assert phrase_by_family({"Llama": "lower", "Qwen": "lower"}) == "lower on both backbones"
    assert phrase_by_family({"Llama": "lower", "Qwen": "higher"}) == "lower on Llama and higher on Qwen"
    assert phrase_by_family({}) == "not compared in this profile"
    assert join_words([]) == "none" and join_words(["a", "b", "c"]) == "a, b and c"
    assert phrase_gain(0.3, 0.1, 0.5) == "up" and phrase_gain(0.3, -0.1, 0.5) == "not detectably changed"
    assert phrase_gain(0.3, None, None) == "up (one seed, no interval)" and phrase_gain(None, None, None)


def test_the_place_of_the_run_follows_from_the_backbones():
    assert "invented" in phrase_run({"organism"}) and "published" not in phrase_run({"organism"})
    assert "invented" not in phrase_run({"hub"}) and "partly" in phrase_run({"hub", "organism"})


def test_pooled_phrases_say_what_was_pooled():
    row = {
        "difference": "-0.2",
        "low": "-0.3",
        "high": "-0.1",
        "verdict": "lower",
        "seeds": "6",
        "seeds_lower": "5",
        "p_holm": "0.03",
    }
    assert phrase_headline(row) == "lower over 6 draws ($-.20$ $[-.30, -.10]$, Holm-adjusted $p = .030$)"
    assert "below zero in 5 of them" in phrase_pooled(row)
    assert phrase_headline(None) is None and "nothing is pooled" in phrase_pooled(None)


def test_macro_names_are_letters():
    assert camel("harc_released") == "HarcReleased" and camel("l2-norm") == "LTwoNorm"
