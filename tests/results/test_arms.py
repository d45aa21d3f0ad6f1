"""Tables of the ablation: arms against the method itself, the grid with its own cell, what is missing named."""

from pathlib import Path

import pytest
from fixtures.results_tree import ARMS, BACKBONES, METHODS, make_results_tree

from harc.results.arms import measure_arms
from harc.results.evidence import ResultsView
from harc.results.latex import format_signed
from harc.results.macros.ablations import list_arms, list_faults, list_grid
from harc.results.outcomes import read_by_seed
from harc.results.rates import estimate_difference
from harc.results.make import make_tables
from harc.results.tables import faults
from harc.results.tables.arms import build_arms, build_grid
from harc.results.tables.layout import read_table, write_table
from harc.results.vocabulary import name_method
from harc.settings.ablation import AblationScope, GridPoint, name_point
from harc.settings.profile import load_profile
from harc.stats.statistics import holm

POINTS = (GridPoint("margin0p5_kl1", 0.5, 1.0), GridPoint("harc", 0.5, 10.0))
SCOPE = AblationScope("harc", BACKBONES, (0,), ("base", "no_coupling", "harc"), ARMS[:2], POINTS)


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    return make_results_tree(tmp_path_factory.mktemp("tree"), methods=(*METHODS, *ARMS), prompts=12)


def test_an_arm_is_compared_with_its_method_on_the_same_prompts(tree):
    view = ResultsView(tree, BACKBONES, [0])
    arms = measure_arms(view, BACKBONES[0], SCOPE.list_shown(), "harc")
    outcomes = {name: read_by_seed(tree, BACKBONES[0], name, [0]) for name in SCOPE.list_shown()}
    raw = {
        name: estimate_difference(outcomes["harc"], outcomes[name], "mean_asr")
        for name in ("no_coupling", *ARMS[:2])
    }
    adjusted = dict(zip(raw, holm([difference.p for difference in raw.values()]), strict=True))
    for arm in arms:
        if arm.name in raw:
            assert arm.differences["mean_asr"] == raw[arm.name]
            assert arm.holm["mean_asr"] == pytest.approx(adjusted[arm.name])
        else:
            assert arm.holm["mean_asr"] is None
    by_name = {arm.name: arm for arm in arms}
    assert by_name["harc"].differences == dict.fromkeys(by_name["harc"].rates)
    assert by_name["base"].gains == {"prompt": None, "response": None}
    assert by_name["harc"].gains["prompt"].estimate != 0


def test_tables_hold_every_arm_and_cell_once(tree):
    arms, grid = build_arms(tree, SCOPE), build_grid(tree, SCOPE)
    assert [(row["backbone"], row["arm"]) for row in arms.rows] == [
        (backbone, name) for backbone in BACKBONES for name in SCOPE.list_shown()
    ]
    assert [(row["margin"], row["kl"], row["arm"]) for row in grid.rows[:2]] == [
        (0.5, 1.0, "margin0p5_kl1"),
        (0.5, 10.0, "harc"),
    ]
    assert all(row["seeds"] == 1 for row in (*arms.rows, *grid.rows))
    assert sum("$^\\ddagger$" in line for line in grid.body) == len(BACKBONES)
    assert "n/a" not in "".join((*arms.body, *grid.body))


def test_a_missing_arm_is_named_not_a_crash(tmp_path):
    tree = make_results_tree(tmp_path / "tree", prompts=4)
    for table in (build_arms(tree, SCOPE), build_grid(tree, SCOPE)):
        assert "n/a$^\\dagger$" in "".join(table.body)
        assert any("not evaluated in this profile" in note for note in table.notes)


def test_a_profile_without_arms_says_so(tmp_path):
    scope = load_profile("smol").scope_ablation()
    for table in (build_arms(tmp_path, scope), build_grid(tmp_path, scope)):
        assert not table.rows and "no arm in this profile" in table.body[0]


def test_arms_stay_out_of_every_other_table(tree, tmp_path):
    """The same bytes with and without arms in the tree, but for the tables of arms and the claims about them."""
    without = make_results_tree(tmp_path / "tree", prompts=12)
    profile = load_profile("ci").model_copy(update={"seeds": (0,)})
    made = {}
    for name, root in (("with", tree), ("without", without)):
        paths = make_tables(root, list(BACKBONES), list(METHODS), [0], profile, tmp_path / name)
        made[name] = {path.name: path.read_bytes() for path in paths}
    differ = {Path(name).stem for name in made["with"] if made["with"][name] != made["without"][name]}
    assert differ == {"ablations", "margin_kl", "faults", "claims"}


def test_faults_give_difference_interval_and_adjusted_p(tree):
    switches = [
        {"name": "kl_first_token", "released": "skipped", "corrected": "anchored"},
        {"name": "step_unit", "released": "micro_batch", "corrected": "update"},
    ]
    table = faults.build_table(
        switches, tree, BACKBONES[:1], [0], without_effect={"step_unit": "no accumulation"}
    )
    one, none, together = table.rows
    assert one["mean_asr_p_holm"] == pytest.approx(holm([one["mean_asr_p"], together["mean_asr_p"]])[0])
    assert one["mean_asr_low"] <= one["mean_asr"] <= one["mean_asr_high"]
    assert "mean_asr" not in none and "n/a$^\\ddagger$" in table.body[1]
    assert any("step unit: no accumulation" in note for note in table.notes)


def test_the_text_takes_its_words_from_the_tables(tree, tmp_path):
    rows = build_arms(tree, SCOPE).rows
    write_table(build_arms(tree, SCOPE), tmp_path)
    write_table(build_grid(tree, SCOPE), tmp_path)
    arms = list_arms(read_table(tmp_path / "ablations.csv"))
    row = next(row for row in rows if row["arm"] == "permuted_label" and row["backbone"] == BACKBONES[1])
    assert arms["ArmAsrPermutedLabelQwen"] == format_signed(row["mean_asr_difference"])
    assert arms["ArmAsrPromptOnlyLlama"] == "n/a" and arms["ArmCount"] == "2"
    assert "on both backbones" in arms["ArmGainPermutedLabel"] or " and " in arms["ArmGainPermutedLabel"]
    grid = list_grid(read_table(tmp_path / "margin_kl.csv"))
    assert (grid["GridCells"], grid["GridMargins"], grid["GridKls"]) == ("2", "0.5", "1 and 10")
    assert grid["GridOwn"] == "margin .50 and weight 10"
    assert grid["GridAsrDifferLlama"] in ("none of 1", "1 of 1")
    switches = [{"name": "kl_first_token", "released": "skipped", "corrected": "anchored"}]
    write_table(faults.build_table(switches, tree, BACKBONES, [0]), tmp_path)
    found = list_faults(read_table(tmp_path / "faults.csv"))
    assert (found["FaultsRun"], found["FaultsIdle"]) == ("1", "0")


@pytest.mark.parametrize(
    ("margin", "kl", "label"), [(0.3, 10, "margin 0.3 with KL 10"), (1, 1e-5, "margin 1 with KL 1e-05")]
)
def test_a_cell_is_named_for_readers(margin, kl, label):
    assert name_method(name_point(margin, kl)) == label
