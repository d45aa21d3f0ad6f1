"""What every step really reads, of files and settings, is what it declares; traced in one run of the ci profile."""

from dataclasses import replace
from pathlib import Path

import pytest
from fixtures.step_reads import check_reads, find_misread, find_unhashed, find_unread_groups, read_trace

from harc.settings.profile import load_profile
from harc.steps.commands import create_job
from harc.steps.evaluation import SCORE
from harc.steps.registry import STEPS


@pytest.fixture(scope="module")
def found(finished) -> dict[str, list[str]]:
    """Every difference, by kind."""
    return check_reads(finished, "ci")


def test_steps_read_the_files_that_they_declare_and_no_others(found):
    assert found["misread"] == []


def test_fingerprints_change_with_every_setting_that_is_read(found):
    assert found["unhashed"] == []


def test_fingerprints_change_with_no_group_that_is_not_read(found):
    assert found["unread"] == []


@pytest.fixture
def job():
    """A job whose trace is short."""
    return create_job("score", load_profile("ci"), backbone="organism-llama", method="base", seed=0)


def test_a_file_read_or_declared_in_error_is_told(finished, job, monkeypatch):
    plain = SCORE.list_inputs
    odd = replace(SCORE, list_inputs=lambda job: [*plain(job)[1:], Path("results/ci/never.jsonl")])
    monkeypatch.setitem(STEPS, "score", odd)
    assert find_misread(finished.root, [job]) == [
        f"{job.label}: reads {plain(job)[0]}, which is not declared",
        f"{job.label}: declares results/ci/never.jsonl, which it does not read",
    ]


def test_a_setting_that_is_read_and_not_hashed_is_told(finished, job, monkeypatch):
    odd = replace(SCORE, select_settings=lambda job: {"seed": job.seed})
    monkeypatch.setitem(STEPS, "score", odd)
    lines = find_unhashed(finished.root, [job])
    assert f"{job.label}: reads evaluation.confidence, on which it does not depend" in lines
    plain = SCORE.select_settings
    odd = replace(odd, select_settings=lambda job: {**plain(job), "world": job.profile.world.model_dump()})
    monkeypatch.setitem(STEPS, "score", odd)
    assert find_unread_groups(finished.root, [job]) == [
        f"{job.label}: depends on world, of which it reads nothing"
    ]


def test_a_trace_sees_weights_that_no_python_code_opens(finished):
    profile = load_profile("ci")
    files, settings = read_trace(
        finished.root, create_job("evaluate", profile, backbone="organism-llama", method="harc", seed=0)
    )
    names = {path.name for path in files}
    assert {"model.safetensors", "adapter_model.safetensors", "tokenizer.json", "evaluation.jsonl"} <= names
    assert ("evaluation", "pair", "streams") in settings


def test_a_job_whose_settings_changed_since_the_run_began_is_refused(finished):
    """The workflow would file its result under the old settings."""
    scores = finished.root / "results/ci/scores/organism-llama/base/seed0/scores.csv"
    kept = scores.read_bytes()
    unit = ["--backbone", "organism-llama", "--method", "base", "--seed", "0"]
    run = finished.run("harc", "step", "score", "--profile", "ci", *unit, HARC_PLANNED="0" * 64)
    assert run.status == 1
    assert run.text.strip() == (
        "error: score organism-llama base seed0: expected the code and the settings of ci that the run was started "
        "with; found others: a file was changed meanwhile; run the workflow again; finished jobs are kept"
    )
    assert scores.read_bytes() == kept


def test_a_step_that_a_warm_process_runs_ends_as_any_other(finished, warm):
    """Its error and its status; that what it makes is the same too, the killed run's test compares."""
    run = finished.run("harc", "step", "score", "--profile", "cii", **warm(finished))
    assert (run.status, run.text.splitlines()) == (1, [run.text.strip()])
    assert run.text.startswith("error: profile 'cii': expected one of ")
