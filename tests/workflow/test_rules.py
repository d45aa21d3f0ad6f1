"""Rules and steps say the same: the DAG's jobs are those that the package lists, and read and write what steps do."""

from pathlib import Path

import pytest
from fixtures.project_copy import PROJECT, copy_project
from fixtures.snakemake_plans import declare_jobs, find_differences, list_all_jobs, list_tuned, plan_jobs

from harc.config.profile import load_profile
from harc.pipeline import GUARDED, STEPS, create_job, list_guards, list_made, list_needed
from harc.steps import train_adapter

PROFILES = sorted(path.stem for path in (PROJECT / "config/profiles").glob("*.yaml"))
TUNED = [name for name in PROFILES if load_profile(name).tuning.grids]
pytestmark = [
    pytest.mark.xdist_group("plans"),
    pytest.mark.filterwarnings("ignore"),  # Snakemake's own
]


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A copy in which nothing runs but plans."""
    return copy_project(tmp_path_factory.mktemp("rules"))


@pytest.fixture
def in_copy(plain, monkeypatch):
    """Work in the copy: Snakemake keeps its state where it runs."""
    monkeypatch.chdir(plain.root)


@pytest.mark.parametrize("name", PROFILES)
def test_rules_read_and_write_what_their_steps_do(in_copy, name):
    declared = declare_jobs(list_all_jobs(load_profile(name)))
    assert find_differences(plan_jobs(name), declared) == []


@pytest.mark.parametrize("name", TUNED)
def test_tuning_reads_and_writes_what_its_steps_do(in_copy, name):
    declared = declare_jobs(list_tuned(load_profile(name)))
    planned = plan_jobs(name, "tune")
    tuning = {job: files for job, files in planned.items() if job.split()[0] in declared_steps(declared)}
    assert find_differences(tuning, declared) == []
    others = declare_jobs(list_all_jobs(load_profile(name)))
    rest = {job: files for job, files in planned.items() if job not in tuning}
    assert rest and find_differences(rest, {job: others[job] for job in rest}) == []


def declared_steps(declared):
    return {job.split()[0] for job in declared}


def test_every_step_has_its_rule_in_some_profile():
    """By name; the tests above have then seen it planned."""
    text = "".join(path.read_text() for path in (PROJECT / "workflow/rules").glob("*.smk"))
    assert [step for step in STEPS if f"\nrule {step}:" not in text] == []


def test_a_rule_and_a_step_that_differ_are_told(in_copy, monkeypatch):
    """The comparison can fail: on inputs and outputs of either side, and on jobs."""
    profile = load_profile("ci")
    planned, declared = plan_jobs("ci"), declare_jobs(list_all_jobs(profile))
    plain_inputs = train_adapter.list_inputs
    more = lambda job: [*plain_inputs(job), Path("data/forgotten.jsonl")]  # noqa: E731
    monkeypatch.setattr(train_adapter, "list_inputs", more)
    monkeypatch.setattr(train_adapter, "list_outputs", lambda job: [Path("elsewhere")])
    changed = declare_jobs(list_all_jobs(profile))
    found = find_differences(planned, changed)
    job = "train_adapter organism-llama harc 0"
    assert f"{job}: input data/forgotten.jsonl of the step alone" in found
    assert f"{job}: output elsewhere of the step alone" in found
    assert any(line.startswith(f"{job}: output results/ci/adapters/") for line in found)
    del declared[job]
    assert find_differences(planned, declared) == [f"{job}: planned, not declared"]
    assert find_differences({}, {"score": (frozenset(), frozenset())}) == ["score: declared, not planned"]


def test_only_what_is_learnt_from_makes_a_model_stale():
    """An evaluation row reaches the check, the evaluation, and nothing that is trained."""
    profile = load_profile("organism")
    row = profile.data_dir / "evaluation.jsonl"
    unit = {"backbone": "organism-llama", "seed": 0}
    of_method = {**unit, "method": "harc"}
    reads = {
        step: row in list_needed(create_job(step, profile, **given))
        for step, given in (
            ("check_contamination", {}),
            ("train_backbone", unit),
            ("extract_directions", unit),
            ("train_adapter", of_method),
            ("tune_method", of_method),
            ("evaluate", of_method),
            ("finetune_harmful", of_method),
        )
    }
    assert {step for step, is_read in reads.items() if is_read} == {
        "check_contamination",
        "evaluate",
        "finetune_harmful",
    }


def test_nothing_is_learnt_before_the_rows_are_checked():
    profile = load_profile("organism")
    word = list_made(create_job("check_contamination", profile))[-1]
    for step in GUARDED:
        job = create_job(step, profile, backbone="organism-llama", method="cast", seed=0)
        assert list_guards(job) == [word]
        assert word not in list_needed(job)
