"""Tables of the ablation: arms against the method itself, the grid with its own cell, what is missing named."""

from pathlib import Path

import pytest
from fixtures.results_tree import ARMS, ATTACKS, BACKBONES, METHODS, make_results_tree, view_tree

from harc.results.catalogue import write_tables
from harc.results.comparisons import measure_arms
from harc.results.evidence import ResultsView
from harc.results.latex import format_signed
from harc.results.macros.ablations import list_arms, list_faults, list_grid
from harc.results.outcomes import read_by_seed
from harc.results.printer import read_table, typeset_body, write_table
from harc.results.rates import estimate_difference
from harc.results.tables.arms import build_ablations, build_faults, build_margin_kl
from harc.results.view import Results
from harc.results.vocabulary import name_method
from harc.settings.ablation import AblationScope, GridPoint, name_point
from harc.settings.profile import load_profile
from harc.stats.significance import holm

POINTS = (GridPoint("margin0p5_kl1", 0.5, 1.0), GridPoint("harc", 0.5, 10.0))
SCOPE = AblationScope("harc", BACKBONES, (0, 1), ("base", "no_coupling", "harc"), ARMS[:2], POINTS)


class View(Results):
    """Results whose arms are the test's own."""

    def scope_ablation(self) -> AblationScope:
        return SCOPE


def build_both(tree: Path) -> list:
    view = View(tree, list(BACKBONES), [0, 1])
    return [build_ablations(view), build_margin_kl(view)]


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    return make_results_tree(
        tmp_path_factory.mktemp("tree"), methods=(*METHODS, *ARMS), seeds=(0, 1), prompts=12
    )


def test_an_arm_is_compared_with_its_method_on_the_same_prompts(tree):
    view = ResultsView(tree, BACKBONES, [0, 1])
    arms = measure_arms(view, BACKBONES[0], SCOPE.list_shown(), "harc")
    outcomes = {name: read_by_seed(tree, BACKBONES[0], name, [0, 1]) for name in SCOPE.list_shown()}
    raw = {
        name: estimate_difference(outcomes["harc"], outcomes[name], ATTACKS)
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
    arms, grid = build_both(tree)
    assert [(row["backbone"], row["arm"]) for row in arms.records] == [
        (backbone, name) for backbone in BACKBONES for name in SCOPE.list_shown()
    ]
    assert [(row["margin"], row["kl"], row["arm"]) for row in grid.records[:2]] == [
        (0.5, 1.0, "margin0p5_kl1"),
        (0.5, 10.0, "harc"),
    ]
    assert all(row["seeds"] == 2 for row in (*arms.records, *grid.records))
    assert sum("$^\\ddagger$" in line for line in typeset_body(grid)) == len(BACKBONES)
    assert "n/a" not in "".join((*typeset_body(arms), *typeset_body(grid)))


def test_a_missing_arm_is_named_not_a_crash(tmp_path):
    tree = make_results_tree(tmp_path / "tree", prompts=4)
    for table in build_both(tree):
        assert "n/a$^\\dagger$" in "".join(typeset_body(table))
        assert any("not evaluated in this profile" in note for note in table.notes)


def test_a_profile_without_arms_says_so(tmp_path):
    view = view_tree(tmp_path, profile=load_profile("small"))
    for table in (build_ablations(view), build_margin_kl(view)):
        assert not table.records and "no arm in this profile" in typeset_body(table)[0]


def test_arms_stay_out_of_every_other_table(tree, tmp_path):
    """The same bytes with and without arms in the tree, but for the tables of arms and of claims about them."""
    without = make_results_tree(tmp_path / "tree", prompts=12)
    profile = load_profile("ci").model_copy(update={"seeds": (0,)})
    made = {}
    for name, root in (("with", tree), ("without", without)):
        paths = write_tables(view_tree(root, profile=profile), tmp_path / name)
        made[name] = {path.name: path.read_bytes() for path in paths}
    differ = {Path(name).stem for name in made["with"] if made["with"][name] != made["without"][name]}
    assert differ == {"ablations", "margin_kl", "faults", "contrasts", "draws", "claims"}


def test_faults_give_difference_interval_and_adjusted_p(tree):
    profile = load_profile("ci")
    ablation = profile.ablation.model_copy(update={"without_effect": {"step_unit": "no accumulation"}})
    profile = profile.model_copy(update={"ablation": ablation})
    alone = build_faults(view_tree(tree, backbones=BACKBONES[:1], profile=profile))
    assert {row["mean_asr_p_holm"] for row in alone.records} == {None}, "one seed tests nothing"
    table = build_faults(view_tree(tree, backbones=BACKBONES[:1], seeds=[0, 1], profile=profile))
    rows = {row["switch"]: row for row in table.records}
    one, none, together = (rows[name] for name in ("kl_first_token", "step_unit", "all together"))
    assert one["mean_asr_p_holm"] == pytest.approx(holm([one["mean_asr_p"], together["mean_asr_p"]])[0])
    assert one["mean_asr_low"] <= one["mean_asr"] <= one["mean_asr_high"]
    (line,) = [line for line in typeset_body(table) if line.startswith("step unit")]
    assert none["mean_asr"] is None and "n/a$^\\ddagger$" in line
    assert any("step unit: no accumulation" in note for note in table.notes)


def test_the_text_takes_its_words_from_the_tables(tree, tmp_path):
    for table in build_both(tree):
        write_table(table, tmp_path)
    rows = build_both(tree)[0].records
    arms = list_arms(read_table(tmp_path / "ablations.csv"))
    row = next(row for row in rows if row["arm"] == "permuted_label" and row["backbone"] == BACKBONES[1])
    assert arms["ArmAsrPermutedLabelQwen"] == format_signed(row["mean_asr_difference"])
    assert arms["ArmAsrPromptOnlyLlama"] == "n/a" and arms["ArmCount"] == "2"
    assert "on both backbones" in arms["ArmGainPermutedLabel"] or " and " in arms["ArmGainPermutedLabel"]
    grid = list_grid(read_table(tmp_path / "margin_kl.csv"))
    assert (grid["GridCells"], grid["GridMargins"], grid["GridKls"]) == ("2", "0.5", "1 and 10")
    assert grid["GridOwn"] == "margin .50 and weight 10"
    assert grid["GridAsrDifferLlama"] in ("none of 1", "1 of 1")
    write_table(build_faults(view_tree(tree)), tmp_path)
    found = list_faults(read_table(tmp_path / "faults.csv"))
    assert (found["FaultsRun"], found["FaultsIdle"]) == ("1", "0")


@pytest.mark.parametrize(
    ("margin", "kl", "label"), [(0.3, 10, "margin 0.3 with KL 10"), (1, 1e-5, "margin 1 with KL 1e-05")]
)
def test_a_cell_is_named_for_readers(margin, kl, label):
    assert name_method(name_point(margin, kl)) == label
