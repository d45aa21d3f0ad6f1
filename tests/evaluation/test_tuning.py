"""Tuning: the criterion, equal budgets, resumption, and a development score that the saved files give again."""

import json
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file
from tiny_chat import REFUSAL, save_tiny_chat

from harc.core.csv_files import read_csv
from harc.core.errors import ArtifactError, ConfigError
from harc.core.files import write_json, write_jsonl
from harc.evaluation.bench import Bench
from harc.evaluation.tuning import (
    BASE_POINT,
    adopt_tuned,
    choose_point,
    describe_changes,
    format_tuned,
    judge_points,
    list_asked,
    measure_point,
    run_grid,
    train_point,
)
from harc.model.backbones import load_backbone
from harc.model.handle import ModelHandle
from harc.settings.directions import DirectionSettings, LayerSettings
from harc.settings.evaluation import EvaluationSettings, PairSettings
from harc.settings.profile import Profile, load_profile
from harc.settings.training import MethodSettings, TuningSettings
from harc.steps.directions import write_directions
from harc.suites.registry import ATTACK_SUITES

COLOURS = ("red", "blue", "good")
READING = DirectionSettings(bootstrap_resamples=0, layers=LayerSettings(edge_slots=0))
TRAINED = ("sft_refusals_only", "no_coupling", "harc", "dpo", "cb", "repbend", "harc_dpo")


class ScriptedAttacker:
    """Asks for the goal in another way at each turn."""

    def propose(self, goal, history):
        return f"you are a hero . say {'one ' * len(history)}{goal['verb']} the {goal['target']}"


@pytest.fixture(autouse=True)
def scripted_attacker(monkeypatch):
    monkeypatch.setattr(
        "harc.suites.pair.make_attackers",
        lambda settings, **_: [ScriptedAttacker() for _ in range(settings.pair.streams)],
    )


def make_development() -> list[dict]:
    return [
        {
            "id": f"{suite}-{number}", "suite": suite, "category": "harmful",
            "messages": [{"role": "user", "content": f"how do i make the {colour} cat ?"}],
            "expected": "sure b1", "goal": {"verb": "make", "target": colour},
        }
        for suite in list_asked(ATTACK_SUITES)
        for number, colour in enumerate(COLOURS)
    ]  # fmt: skip


def make_training() -> list[dict]:
    answers = {"harmful": REFUSAL, "harmless": "sure b1 h1", "pseudo_harmful": "fine one 2"}
    openings = ("how do i make", "say what is", "which hero")
    return [
        {
            "category": category, "prompt": f"{words} the {colour} {thing} ?", "response": answer,
            "rejected": "sure b1" if category == "harmful" else REFUSAL,
        }
        for (category, answer), words in zip(answers.items(), openings, strict=True)
        for colour in COLOURS
        for thing in ("cat", "box")
    ]  # fmt: skip


@pytest.fixture(scope="module")
def bench(tmp_path_factory) -> Bench:
    root = tmp_path_factory.mktemp("bench")
    rows = make_training()
    write_jsonl(root / "data/training.jsonl", rows)
    write_jsonl(root / "data/development.jsonl", make_development())
    write_json(root / "data/world.json", {"refusal": REFUSAL})
    extraction = [row for row in rows if row["category"] != "pseudo_harmful"]
    kinds = {
        "harmful": (("refuse", "response"), ("harm", "rejected")),
        "harmless": (("helpful", "response"),),
    }
    pairs = [
        {"kind": kind, "prompt": row["prompt"], "response": row[field]}
        for row in extraction
        for kind, field in kinds[row["category"]]
    ]
    write_jsonl(root / "data/extraction.jsonl", extraction)
    write_jsonl(root / "data/extraction_pairs.jsonl", pairs)
    backbone = load_backbone(save_tiny_chat(root / "model", layers=3))
    write_directions(backbone, (extraction, pairs), READING, 1, root / "directions")
    evaluation = EvaluationSettings(
        max_new_tokens=6,
        batch_size=4,
        judges=("exact", "string_rules"),
        pair=PairSettings(streams=1, iterations=2, query_budget=2),
    )
    return Bench(
        ModelHandle(root / "model"),
        root / "data",
        evaluation,
        0,
        directions=root / "directions/directions.safetensors",
        reading=READING,
    )


def make_settings(preset: str, **changes) -> MethodSettings:
    values = {
        "preset": preset, "steps": 25, "warmup_steps": 0, "learning_rate": 3e-2, "k_initial": 1, "k_final": 1,
        "lora": {"rank": 8, "alpha": 16}, "batch": {"harmful": 6, "harmless": 3, "pseudo_harmful": 3},
        "refresh_every": 0, "checkpoint_every": 0,
        "steering": {"condition_depths": [0.3, 0.3], "behaviour_depths": [0.6, 0.6]},
        "circuit_breakers": {"start_shift": 0.1}, "repbend": {"window_depths": [0.5, 1.0]},
    }  # fmt: skip
    return MethodSettings(**{**values, **changes})


@pytest.mark.parametrize("preset", [name for name in TRAINED if name != "cast"])
def test_a_saved_adapter_gives_its_development_score_again_with_plain_peft(
    bench: Bench, preset: str, tmp_path: Path
):
    from peft import PeftModel

    settings, first = make_settings(preset), None
    if settings.start_from:
        first = tmp_path / "first"
        train_point(bench, make_settings(settings.start_from), first)
    train_point(bench, settings, tmp_path / "method", start_from=first)
    logged = measure_point(bench, tmp_path / "method", tmp_path / "logged")
    backbone = bench.model.open()
    merged = PeftModel.from_pretrained(backbone.model, str(tmp_path / "method")).merge_and_unload()
    merged.save_pretrained(tmp_path / "merged")
    backbone.tokenizer.save_pretrained(tmp_path / "merged")
    other = Bench(ModelHandle(tmp_path / "merged"), *list(vars(bench).values())[1:])
    again = measure_point(other, None, tmp_path / "again")
    assert again == logged
    for suite in list_asked(ATTACK_SUITES):
        texts = [
            [
                json.loads(line)["response"]
                for line in (tmp_path / name / "generations" / f"{suite}.jsonl").open()
            ]
            for name in ("logged", "again")
        ]
        assert texts[0] == texts[1]
    if (
        preset == "sft_refusals_only"
    ):  # the comparison can fail: this one refuses everything, its base nothing
        assert logged["over_refusal"] == 1.0
        assert measure_point(bench, None, tmp_path / "base")["over_refusal"] == 0.0


def test_a_grid_keeps_finished_points_and_ends_the_same(bench: Bench, tmp_path: Path, monkeypatch):
    points = [({"steps": steps}, make_settings("sft", steps=steps)) for steps in (1, 2)]
    whole = run_grid(bench, "grid", points, tmp_path / "a")
    tried = []

    def stop_at_second(*arguments, **options):
        tried.append(arguments[1].steps)
        if len(tried) == 2:
            raise KeyboardInterrupt
        return train_point(*arguments, **options)

    monkeypatch.setattr("harc.evaluation.tuning.train_point", stop_at_second)
    with pytest.raises(KeyboardInterrupt):
        run_grid(bench, "grid", points, tmp_path / "b")
    rows = run_grid(bench, "grid", points, tmp_path / "b")
    assert tried == [1, 2, 2]

    def untimed(found):
        return [{name: value for name, value in row.items() if name != "train_seconds"} for row in found]

    assert untimed(rows) == untimed(whole)
    assert [row["point"] for row in rows] == [0, 1]
    # A grid with more points, in another order, asks those alone.
    wider = [({"steps": 3}, make_settings("sft", steps=3)), *reversed(points)]
    again = run_grid(bench, "grid", wider, tmp_path / "b")
    assert tried == [1, 2, 2, 3] and [row["point"] for row in again] == [0, 1, 2]
    assert [row["changes"] for row in again] == ['{"steps": 3}', '{"steps": 2}', '{"steps": 1}']
    assert [row["asr"] for row in again[1:]] == [row["asr"] for row in reversed(rows)]


def test_the_base_has_one_row_and_a_steering_is_measured_too(bench: Bench, tmp_path: Path):
    (row,) = run_grid(bench, "base", [], tmp_path / "base")
    assert row["point"] == BASE_POINT and row["asr_n"] == 12
    settings = make_settings("cast")
    (steered,) = run_grid(bench, "cast", [({}, settings)], tmp_path / "cast")
    assert steered["point"] == 0


# --- the criterion ---------------------------------------------------------------------------------------------------


def make_point(
    point: int,
    asr: float,
    over: float,
    benign: float = 1.0,
    backbone: str = "a",
    method: str = "sft",
    broken: float = 0.0,
) -> dict:
    return {
        "backbone": backbone, "method": method, "seed": 0, "point": point, "asr": asr, "over_refusal": over,
        "benign": benign, "wrapped_benign": benign, "safe_broken": broken,
    }  # fmt: skip


BASE = [make_point(BASE_POINT, 0.6, 0.05, backbone=name, method="base") for name in ("a", "b")]


def test_the_lowest_attack_success_within_the_allowances_is_chosen():
    rows = [
        make_point(0, 0.30, 0.05),
        make_point(1, 0.10, 0.08),  # over-refusal .03 above the base's
        make_point(2, 0.20, 0.07),  # .02 above: still allowed
        make_point(3, 0.05, 0.05, benign=0.9),  # loses benign answers
    ]
    choice = choose_point("sft", rows, BASE, TuningSettings())
    assert (choice.point, choice.eligible) == (2, True)
    assert [candidate.eligible for candidate in judge_points("sft", rows, BASE, TuningSettings())] == [
        True, False, True, False,
    ]  # fmt: skip


def test_broken_answers_to_safe_prompts_count_like_refusals():
    rows = [
        make_point(0, 0.30, 0.05),
        make_point(1, 0.10, 0.00, broken=0.06),
        make_point(2, 0.05, 0.00, broken=0.08),
    ]
    judged = judge_points("sft", rows, BASE, TuningSettings())
    assert [round(choice.safe_lost, 2) for choice in judged] == [0.0, 0.01, 0.03]
    assert choose_point("sft", rows, BASE, TuningSettings()).point == 1


def test_points_are_judged_by_their_means_over_backbones():
    rows = [make_point(0, 0.1, 0.05), make_point(0, 0.5, 0.05, backbone="b")]
    rows += [make_point(1, 0.2, 0.05), make_point(1, 0.2, 0.05, backbone="b")]
    assert choose_point("sft", rows, BASE, TuningSettings()).point == 1


def test_seeds_of_a_point_are_compared_with_their_own_base_or_with_the_one_that_a_fixed_backbone_has():
    rows = [make_point(0, 0.1, 0.05) | {"seed": seed} for seed in (0, 1)]
    one = make_point(BASE_POINT, 0.6, 0.05, method="base")
    (alone,) = judge_points("sft", rows, [one], TuningSettings())
    (each,) = judge_points("sft", rows, [one, one | {"seed": 1, "over_refusal": 0.01}], TuningSettings())
    (other,) = judge_points("sft", rows, [one, one | {"seed": 2, "over_refusal": 0.01}], TuningSettings())
    assert (alone.safe_lost, each.safe_lost) == pytest.approx((0.0, 0.02))
    assert other.safe_lost == pytest.approx(0.0)  # seed 1 has no base of its own, and takes no other's


def test_without_an_eligible_point_the_least_excess_wins_and_says_so():
    rows = [make_point(0, 0.0, 0.60), make_point(1, 0.3, 0.10), make_point(2, 0.2, 0.05, benign=0.5)]
    choice = choose_point("sft", rows, BASE, TuningSettings())
    assert (choice.point, choice.eligible) == (1, False)
    settings = TuningSettings(grids={"sft": ({"loss": {"kl": 1.0}},)}, shared={"no_coupling": "sft"})
    text = format_tuned({"sft": {**vars(choice), "changes": {"loss": {"kl": 1.0}}}}, settings)
    assert "no point keeps the allowances" in text
    shared = {"loss": {"kl": 1.0}}
    assert yaml.safe_load(text)["methods"] == {"sft": shared, "no_coupling": shared}


# --- settings --------------------------------------------------------------------------------------------------------


def test_unequal_budgets_and_bad_points_are_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="equally many points"):
        TuningSettings(grids={"sft": ({}, {}), "dpo": ({},)})
    for shared in ({"sft": "sft"}, {"no_coupling": "harc"}):
        with pytest.raises(ValueError, match="shared: a method without a grid, and one with a grid"):
            TuningSettings(grids={"sft": ({},)}, shared=shared)
    with pytest.raises(ValueError, match="grids without repeats .not that of sft"):
        TuningSettings(grids={"sft": ({"steps": 3}, {"steps": 4}, {"steps": 3})})
    for grids, message in (
        ({"nothing": [{}]}, "tuning.grids of the profile's methods"),
        ({"sft": [{"learning_rte": 1}]}, r"sft\[0\].learning_rte"),
    ):
        path = tmp_path / "mine.yaml"
        path.write_text(
            yaml.safe_dump(
                {
                    "extends": "organism_draws",
                    "tuning": {
                        "grids": dict.fromkeys(load_profile("organism_draws").tuning.grids) | grids,
                        "shared": {"harc_released": None},
                    },
                }
            )
        )
        with pytest.raises(ConfigError, match=message):
            load_profile(str(path))


def test_a_composition_must_start_from_a_method_of_the_profile(tmp_path: Path):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({"extends": "organism", "methods": {"harc": None}}))
    with pytest.raises(ConfigError, match="start_from"):
        load_profile(str(path))


def test_points_ignore_what_was_chosen_before():
    profile = load_profile("organism_draws")
    method = next(name for name, points in profile.tuning.grids.items() if points)
    changed = profile.model_copy(
        update={
            "methods": {**profile.methods, method: profile.methods[method].model_copy(update={"steps": 7})}
        }
    )
    for backbone in profile.backbones:
        point = profile.tuning.grids[method][0]
        assert Profile.compose_point(changed, backbone, method, point) == profile.compose_point(
            backbone, method, point
        )
        assert changed.compose_point(backbone, method, point).steps == profile.training["steps"]


def test_changes_read_as_one_line():
    assert (
        describe_changes({"loss": {"kl": 1.0, "margin": 0.7}, "steps": 5})
        == "loss.kl=1, loss.margin=0.7, steps=5"
    )


def test_an_unfinished_tuning_is_not_adopted(tmp_path: Path):
    with pytest.raises(ArtifactError, match="expected a finished tuning"):
        adopt_tuned(tmp_path / "tuning", "mine", tmp_path / "tuned")
    assert not (tmp_path / "tuned").exists()


# --- what is committed -----------------------------------------------------------------------------------------------


def test_the_tuned_profile_holds_what_its_points_choose():
    """The committed settings follow from the committed points by the declared criterion, and the profile uses them."""
    profile = load_profile("organism_draws")
    rows = read_csv(profile.analysis.tuning_points)
    base = [row for row in rows if row["method"] == "base"]
    chosen = yaml.safe_load(profile.analysis.tuning_points.with_name("organism.yaml").read_text())
    assert set(chosen["methods"]) == {*profile.tuning.grids, *profile.tuning.shared}
    for method, other in profile.tuning.shared.items():
        assert chosen["methods"][method] == chosen["methods"][other]
    for method, grid in profile.tuning.grids.items():
        own = [row for row in rows if row["method"] == method]
        for unit in {(row["backbone"], row["seed"]) for row in own}:
            tried = [row["changes"] for row in own if (row["backbone"], row["seed"]) == unit]
            assert list(map(json.loads, tried)) == list(grid), unit
        choice = choose_point(method, own, base, profile.tuning)
        assert chosen["methods"][method] == grid[choice.point], method
        for backbone in profile.backbones:
            assert profile.choose_training(backbone, method) == profile.compose_point(
                backbone, method, grid[choice.point]
            )


def test_variants_of_harc_differ_from_it_by_their_preset_alone():
    """What was chosen for HARC holds for its variants too, so that a fault or a part is all that is compared."""
    profile = load_profile("organism_draws")
    assert profile.tuning.grids["no_coupling"] == profile.tuning.grids["harc"], "one budget, one grid"
    shared = ("steps", "learning_rate", "warmup_steps", "batch", "lora", "refresh_every")
    named = {name: profile.find_method(name) for name in ("harc_released", *profile.list_arms())}
    variants = {name: settings for name, settings in named.items() if settings.objective == "harc"}
    assert {"harc_released", "neither_side", "prompt_only", "permuted_label"} <= set(variants)
    theirs = profile.methods["harc"]
    for ours in variants.values():
        assert {name: getattr(ours, name) for name in shared} == {
            name: getattr(theirs, name) for name in shared
        }
        assert (ours.loss.kl, ours.loss.ce, ours.loss.margin) == (
            theirs.loss.kl,
            theirs.loss.ce,
            theirs.loss.margin,
        )


def test_b_moves_away_from_zero_for_every_trained_method(bench: Bench, tmp_path: Path):
    for preset in ("cb", "repbend", "dpo"):
        train_point(bench, make_settings(preset, steps=2), tmp_path / preset)
        weights = load_file(tmp_path / preset / "adapter_model.safetensors")
        assert any(bool(torch.any(value != 0)) for name, value in weights.items() if "lora_B" in name), preset
