"""Rules and steps say the same: the DAG's jobs are those that the package lists, and read and write what steps do."""

import copy

import pytest
from fixtures.project_copy import PROJECT
from fixtures.snakemake_plans import find_differences

from harc.settings.profile import load_profile
from harc.steps.commands import create_job
from harc.steps.files import list_guards, list_made, list_needed
from harc.steps.registry import STEPS

PROFILES = sorted(path.stem for path in (PROJECT / "config/profiles").glob("*.yaml"))
TUNED = [name for name in PROFILES if load_profile(name).tuning.grids]


@pytest.mark.parametrize("name", PROFILES)
def test_rules_read_and_write_what_their_steps_do(plans, name):
    found = plans[name]["all"]
    assert found["planned"] and find_differences(**found) == []


@pytest.mark.parametrize("name", TUNED)
def test_tuning_reads_and_writes_what_its_steps_do(plans, name):
    found = plans[name]["tune"]
    assert "collect_points" in found["planned"] and find_differences(**found) == []


def test_every_step_is_planned_somewhere(plans):
    names = {job for targets in plans.values() for both in targets.values() for job in both["planned"]}
    left_out = set() if "build_paper" in names else {"build_paper"}  # without LaTeX
    assert {name.split()[0] for name in names} == set(STEPS) - left_out


def test_a_rule_and_a_step_that_differ_are_told(plans):
    """The comparison can fail: on inputs and outputs of either side, and on jobs."""
    planned, job = plans["ci"]["all"]["planned"], "train_adapter organism-llama harc 0"
    changed = copy.deepcopy(planned)
    unread = changed[job]["input"].pop()
    changed[job]["output"].append("elsewhere")
    del changed["score organism-llama harc 0"]
    assert find_differences(planned, changed) == [
        "score organism-llama harc 0: planned, not declared",
        f"{job}: input {unread} of the rule alone",
        f"{job}: output elsewhere of the step alone",
    ]
    assert [line.split(": ")[1] for line in find_differences(changed, planned)] == [
        "declared, not planned",
        f"input {unread} of the step alone",
        "output elsewhere of the rule alone",
    ]


def test_an_evaluation_row_reaches_nothing_that_is_trained():
    profile = load_profile("organism")
    row = profile.data_dir / "evaluation.jsonl"
    unit = {"backbone": "organism-llama", "seed": 0}
    of_method = {**unit, "method": "harc"}
    units = {
        "check_contamination": {},
        "train_backbone": unit,
        "extract_directions": unit,
        "train_adapter": of_method,
        "fit_steering": {**unit, "method": "cast"},
        "tune_method": of_method,
        "evaluate": of_method,
        "finetune_harmful": of_method,
        "erode_refusal": of_method,
        "suppress_refusal": of_method,
    }
    reading = {
        step for step, given in units.items() if row in list_needed(create_job(step, profile, **given))
    }
    assert reading == {
        "check_contamination",
        "evaluate",
        "finetune_harmful",
        "erode_refusal",
        "suppress_refusal",
    }


def test_nothing_is_learnt_before_the_rows_are_checked():
    profile = load_profile("organism")
    word = list_made(create_job("check_contamination", profile))[-1]
    guarded = [step.name for step in STEPS.values() if step.guarded]
    assert len(guarded) > 4
    for step in guarded:
        job = create_job(step, profile, backbone="organism-llama", method="cast", seed=0)
        assert list_guards(job) == [word]
        assert word not in list_needed(job)
