"""Published against reproduced: checked facts, compared on the same model alone, nothing blank."""

from pathlib import Path

import pytest
import yaml
from fixtures.results_tree import BACKBONES, make_results_tree, view_tree

from harc.core.errors import ConfigError
from harc.results.macros.evaluation import list_published
from harc.results.printer import read_table, typeset_body, write_table
from harc.results.tables.published import build_published, load_published
from harc.settings.profile import load_profile

FILE = Path(__file__).parents[2] / "config/published.yaml"
MODEL = "meta-llama/Llama-3.1-8B-Instruct"


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    return make_results_tree(tmp_path_factory.mktemp("tree"), prompts=10)


def write_yaml(path: Path, change) -> Path:
    values = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    change(values)
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


def test_the_means_of_the_facts_are_those_of_their_cells():
    """A slip of the pen in a cell would move the mean that the paper prints beside it."""
    published = load_published(FILE)
    names = list(published.columns)
    for model in published.models[:2]:
        for method, values in model.rows.items():
            cells = dict(zip(names, values, strict=True))
            attacks = [cells[name] for name in ("pair", "pap", "deepinception", "codeattack")]
            helpful = [cells[name] for name in ("mmlu", "gsm8k", "humaneval", "ifeval", "mt_bench")]
            assert cells["mean_attack"] == pytest.approx(sum(attacks) / 4, abs=0.0016), (model, method)
            assert cells["mean_helpfulness"] == pytest.approx(sum(helpful) / 5, abs=0.0016), (model, method)


def test_values_are_whole_counts_of_the_stated_items():
    published = load_published(FILE)
    misfits = 0
    for model in published.models:
        for values in model.rows.values():
            for column, value in zip(published.columns.values(), values, strict=True):
                if value is not None and column.items:
                    misfits += abs(round(value * column.items) / column.items - value) > 0.0005001
    assert misfits == 2  # one of XSTest, one of CoCoNot


def test_models_of_profile_paper_are_the_published_ones():
    ids = {backbone.model_id for backbone in load_profile("paper").backbones.values()}
    assert ids == {model.model_id for model in load_published(FILE).models[:2]}


def test_another_backbone_is_not_compared_and_every_row_says_so(tree, tmp_path):
    table = build_published(view_tree(tree, published=FILE, models={}))
    assert {row["status"] for row in table.records} == {"not run in this profile"}
    assert all(row["published"] is not None for row in table.records)
    lines = [line for line in typeset_body(table) if line.endswith("\\\\") and "tabular" in line]
    assert len(lines) == 24 and all("not run in this profile" in line for line in lines)
    write_table(table, tmp_path)
    macros = list_published(read_table(tmp_path / "published.csv"))
    assert macros["PublishedCells"] == str(2 * 8 * 13 + 2 * 2 * 3) and macros["PublishedCompared"] == "0"
    assert "none of the published models" in macros["PublishedRemark"]


def test_the_same_model_is_compared_cell_by_cell(tree):
    table = build_published(view_tree(tree, published=FILE, models={BACKBONES[0]: MODEL}))
    rows = {(row["model_id"], row["our_method"], row["metric"]): row for row in table.records}
    row = rows[MODEL, "harc", "pap"]
    assert row["status"] == "compared" and row["n"] == 10
    assert row["difference"] == pytest.approx(row["reproduced"] - 0.010)
    assert row["inside"] == (row["low"] <= 0.010 <= row["high"])
    assert rows[MODEL, "harc", "mmlu"]["status"] == "not run in this profile"  # a suite that was not run
    assert rows[MODEL, "dpo", "pap"]["status"] == "not run in this profile"  # a method that was not run
    assert rows["Qwen/Qwen2.5-7B-Instruct", "harc", "pap"]["status"] == "not run in this profile"
    text = "\n".join(typeset_body(table))
    assert "$\\in$" in text or "$\\notin$" in text
    assert "not run}" in text


def test_the_published_method_stands_beside_the_released_code_and_the_corrected_method(tree):
    table = build_published(view_tree(tree, published=FILE, models={}))
    assert {row["our_method"] for row in table.records if row["method"] == "harc"} == {
        "harc",
        "harc_released",
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v["models"][0]["rows"]["base"].pop(), "13 values in row base of .*, not 12"),
        (lambda v: v["models"][0]["rows"].update(base=[1.5] * 13), "less than or equal to 1"),
        (lambda v: v["methods"].pop("cb"), "methods that name cb"),
        (lambda v: v["columns"]["pair"].update(unit="x"), "columns.pair.unit: .*not permitted"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, change, message):
    with pytest.raises(ConfigError, match=message):
        load_published(write_yaml(tmp_path / "published.yaml", change))
