"""Refusal kept under suppression: reading, intervals, paired differences, rounds, table and figure."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest
from fixtures.results_tree import view_tree

from harc.core.csv_files import write_csv
from harc.core.errors import DataError
from harc.core.files import write_json
from harc.results.claim_metrics import METRICS
from harc.results.figures import suppression as figure
from harc.results.figures.style import save_figure
from harc.results.printer import render_csv, render_latex
from harc.results.suppression import count_until_half, select_round
from harc.results.tables.suppression import (
    build_removal_rounds,
    build_stability,
    build_steering,
    build_suppression,
)
from harc.results.view import Results
from harc.settings.profile import Profile, load_profile

BACKBONE = "organism-llama"
PROMPTS = 20
KEPT = {
    "base": {"none": 20, "own": 2, "span_2": 0, "random": 19, "round_1": 4},
    "harc": {"none": 20, "own": 18, "span_2": 17, "random": 20, "round_1": 19, "round_2": 8},
}
COLUMNS = ("round", "removed", "slot", "separation", "length", "refused", "n", "ended")


def write_unit(root: Path, method: str, seed: int, kept: dict[str, int]) -> None:
    folder = root / "suppression" / BACKBONE / method / f"seed{seed}"
    rows = []
    for condition, refused in kept.items():
        for number in range(PROMPTS):
            label = "refused" if number < refused else "garbled" if number == PROMPTS - 1 else "correct"
            row = {"condition": condition, "suite": "direct", "id": f"d{number}", "goal": f"d{number}"}
            rows.append(row | {"label": label})
        if not condition.startswith("round"):
            benign = {"condition": condition, "suite": "benign", "id": "b0", "goal": "b0", "label": "correct"}
            rows.append(benign | {"likelihood": -0.5 if condition == "none" else -0.75})
    folder.mkdir(parents=True, exist_ok=True)
    write_csv(folder / "outcomes.csv", ("condition", "suite", "id", "goal", "label", "likelihood"), rows)
    values = {"bootstrap_low": 0.95, "half_cosine": 0.9, "separation": 1.0, "over_null": 1.2 + seed}
    least = {"bootstrap_low": 0.9, "half_cosine": 0.8, "separation": 0.9, "over_null": 1.5}
    bars = {name: {"value": v, "least": least[name], "holds": v >= least[name]} for name, v in values.items()}
    write_json(folder / "card.json", {"slot": 9, "bars": bars, "stable": seed == 1})
    shares = [kept["none"], *(count for name, count in kept.items() if name.startswith("round"))]
    with (folder / "rounds.csv").open("w", newline="") as handle:
        writer = csv.DictWriter(handle, COLUMNS, restval="")
        writer.writeheader()
        for number, count in enumerate(shares):
            row = {"round": number, "removed": number, "slot": 9, "refused": count / PROMPTS, "n": PROMPTS}
            writer.writerow(row | {"ended": "refusal gone" if number == len(shares) - 1 else ""})


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("tree")
    for method, kept in KEPT.items():
        for seed in (0, 1):
            write_unit(root, method, seed, kept)
    return root


def make_profile(**changes) -> Profile:
    values = load_profile("organism").model_dump()
    return Profile.model_validate(
        {**values, "seeds": (0, 1), "suppression": {"methods": ["base", "harc"], **changes}}
    )


@pytest.fixture
def view(tree) -> Results:
    return view_tree(
        tree, backbones=[BACKBONE], methods=["base", "harc"], seeds=[0, 1], profile=make_profile()
    )


def test_the_table_counts_refusals_and_says_what_is_broken_and_what_benign_answers_lose(view):
    table = build_suppression(view)
    rows = {(row["method"], row["condition"]): row for row in table.records}
    assert rows["base", "own"]["rate"] == pytest.approx(0.1) and rows["base", "own"]["n"] == PROMPTS
    assert rows["harc", "own"]["low"] < 0.9 < rows["harc", "own"]["high"]
    assert rows["harc", "own"]["garbled"] == pytest.approx(0.05)
    assert rows["harc", "own"]["likelihood_change"] == pytest.approx(-0.25)
    assert (rows["harc", "none"]["benign_refused"], rows["harc", "none"]["likelihood_change"]) == (0, 0)
    assert not any(condition.startswith("round") for _, condition in rows)
    text = render_latex(table)
    assert "span 2" in text and ".10" in text and "No refusal is not yet harm" in text
    assert (
        render_csv(table)
        .splitlines()[0]
        .startswith("backbone,method,condition,rate,low,high,n,seeds,garbled")
    )


def test_what_is_added_is_held_against_the_control_on_benign_requests(tree, tmp_path):
    for method, refused in (("base", "correct"), ("harc", "refused")):
        folder = tmp_path / "suppression" / BACKBONE / method / "seed0"
        rows = [
            {"condition": name, "suite": "benign", "id": f"b{n}", "goal": f"b{n}", "label": label}
            for name, label in (("none", "correct"), ("add_one", refused), ("random_add_one", "garbled"))
            for n in range(4)
        ]
        folder.mkdir(parents=True)
        write_csv(folder / "outcomes.csv", ("condition", "suite", "id", "goal", "label", "likelihood"), rows)
    view = view_tree(tmp_path, backbones=[BACKBONE], seeds=[0], profile=make_profile())
    table = build_steering(view)
    rates = {(row["method"], row["condition"]): row["rate"] for row in table.records}
    assert (rates["base", "add_one"], rates["harc", "add_one"], rates["harc", "none"]) == (0, 1, 0)
    text = render_latex(table).replace("\\", "")
    assert "2 of 6 cells" in text and "random add one" in text and "add harm one" not in text
    without = make_profile(conditions={"none": {"directions": []}})
    view = view_tree(tmp_path, backbones=[BACKBONE], seeds=[0], profile=without)
    assert "no direction is added in this profile" in render_latex(build_steering(view))


def test_broken_answers_are_warned_of(tree, tmp_path):
    kept = dict.fromkeys(("none", "own"), 0)
    for method in KEPT:
        write_unit(tmp_path, method, 0, kept)
    path = tmp_path / "suppression" / BACKBONE / "harc" / "seed0" / "outcomes.csv"
    path.write_text(path.read_text().replace(",correct,", ",garbled,"))
    view = view_tree(tmp_path, backbones=[BACKBONE], seeds=[0], profile=make_profile())
    assert "2 of 4 cells more than 5" in render_latex(build_suppression(view)).replace("\\", "")


def test_rounds_until_half(view):
    rows = {(row["method"], row["seed"]): row for row in build_removal_rounds(view).records}
    assert {key: row["until_half"] for key, row in rows.items()} == {
        ("base", 0): 1, ("base", 1): 1, ("harc", 0): 2, ("harc", 1): 2,
    }  # fmt: skip
    assert count_until_half([{"removed": "0", "refused": "0"}]) is None
    never = [
        {"removed": "0", "refused": "1"},
        {"removed": "1", "refused": "0.6"},
        {"removed": "1", "refused": ""},
    ]
    assert count_until_half(never) is None


def test_a_missed_bar_is_marked(view):
    table = build_stability(view)
    assert [row["stable"] for row in table.records] == [False, True, False, True]
    text = render_latex(table)
    assert "1.20$^*$, 2.20" in text and ".95, .95" in text and "over null 1.50" in text
    assert render_csv(table).splitlines()[0] == (
        "backbone,method,seed,slot,bootstrap_low,half_cosine,frame_cosine,separation,over_null,stable"
    )


def test_a_model_whose_removal_ended_stays_at_its_last_rate(view):
    base = view.suppressions(BACKBONE, "base")[0]
    assert select_round(base, 2)["hit"].mean() == select_round(base, 1)["hit"].mean() == pytest.approx(0.2)
    assert select_round(base, 0)["hit"].mean() == 1.0


def test_a_claim_is_tested_on_pairs_of_prompt_and_seed(view):
    measure = METRICS["suppressed_refusal_difference"].measure
    found = measure(view, BACKBONE, "own", "harc", "base")
    assert found.estimate == pytest.approx(0.8) and (found.n, found.seeds) == (PROMPTS, 2)
    assert found.standard_error > 0
    assert measure(view, BACKBONE, "no such", "harc", "base") is None
    assert measure(view, BACKBONE, "own", "sft", "base") is None


def test_a_fixed_base_is_paired_with_every_seed(tree):
    view = view_tree(tree, backbones=[BACKBONE], seeds=[0, 1], fixed={BACKBONE: 0})
    assert list(view.suppressions(BACKBONE, "base")) == [0]
    found = METRICS["suppressed_refusal_difference"].measure(view, BACKBONE, "own", "harc", "base")
    assert (found.seeds, found.estimate) == (2, pytest.approx(0.8))


def test_the_figure_has_a_line_a_method_and_is_the_same_again(view, tmp_path):
    profile = make_profile()
    assert figure.select_units(profile) == [list(profile.backbones), ["base", "harc"], [0, 1]]
    options = figure.select_options(profile)
    assert options["spans"] == {"none": 0, "own": 1, "span_2": 2, "span_4": 4, "span_16": 16}
    assert options["random"] == {"random": 1, "random_2": 2, "random_4": 4, "random_16": 16}
    assert options["depths"] == {"own_25": 0.25, "own_50": 0.5, "own_75": 0.75, "own_100": 1.0}
    shown = replace(view, options=options)
    assert {path.name for path in figure.list_inputs(shown)} == {"outcomes.csv"}
    canvas = figure.draw(shown)
    lines = {line.get_label(): line for line in canvas.panels[0, 1].get_lines()}
    assert list(lines["HARC"].get_ydata()) == pytest.approx([1.0, 0.9, 0.85])
    assert list(lines[figure.RANDOM].get_ydata()) == pytest.approx([1.0, 0.975])
    assert list(canvas.panels[0, 2].get_lines()[0].get_ydata())[:4] == pytest.approx([1.0, 0.2, 0.2, 0.2])
    paths = [(tmp_path / f"{name}.pdf", tmp_path / f"{name}.png") for name in ("a", "b")]
    for pair in paths:
        save_figure(figure.draw(shown), *pair)
    assert paths[0][0].read_bytes() == paths[1][0].read_bytes()


def test_what_is_missing_is_said(tmp_path):
    view = view_tree(tmp_path, backbones=[BACKBONE], methods=["harc"], profile=make_profile())
    assert "no model of this profile is suppressed" in render_latex(build_suppression(view))
    for build in (build_removal_rounds, build_stability):
        assert "no model of this profile is suppressed" in render_latex(build(view))
    options = figure.select_options(make_profile())
    assert figure.draw(replace(view, options=options)).remarks == ["HARC on organism (Llama)"]


def test_a_label_that_no_judge_gives_is_told(tmp_path):
    write_unit(tmp_path, "harc", 0, {"none": 3})
    path = tmp_path / "suppression" / BACKBONE / "harc" / "seed0" / "outcomes.csv"
    path.write_text(path.read_text().replace(",refused,", ",declined,", 1))
    view = view_tree(tmp_path, backbones=[BACKBONE])
    with pytest.raises(DataError, match="outcomes.csv:2: expected a label among .*; found 'declined'"):
        view.suppressions(BACKBONE, "harc")


def test_a_profile_refuses_what_cannot_be_suppressed():
    with pytest.raises(ValueError, match=r"suppression.methods among base, .* \(not 'hrac'\)"):
        make_profile(methods=["hrac"])
    with pytest.raises(ValueError, match=r"suppression.seeds among 0, 1 \(not 7\)"):
        make_profile(seeds=[7])
    with pytest.raises(ValueError, match="the model as it is"):
        make_profile(conditions={"own": {}})
    with pytest.raises(ValueError, match=r"fixed texts \(not 'pair'\)"):
        make_profile(suites=["pair"])
    with pytest.raises(ValueError, match=r"benign_suite among benign, .* \(not 'direct'\)"):
        make_profile(benign_suite="direct")
    with pytest.raises(ValueError, match="one direction of one slot"):
        make_profile(conditions={"none": {"directions": []}, "x": {"how": "subtract", "slots": 2}})
    with pytest.raises(ValueError, match=r"frames that hold \{prompt\} once \(not 'without'\)"):
        make_profile(frames=["without"])
