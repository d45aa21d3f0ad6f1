"""scripts/run_study.py: the jobs of some backbones and methods alone; two profiles whose models are the same."""

import importlib.util

import pytest
from fixtures.project_copy import PROJECT

from harc.core.artifacts import Layout
from harc.core.errors import ConfigError
from harc.settings.profile import load_profile
from harc.steps.job import RUN
from harc.steps.registry import STEPS, list_jobs
from harc.steps.running import hash_settings

SPEC = importlib.util.spec_from_file_location("run_study", PROJECT / "scripts/run_study.py")
run_study = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(run_study)


def test_one_backbone_s_jobs_leave_out_the_other_s_alone(tmp_path):
    profile = load_profile("smol")
    jobs = list_jobs(profile, Layout(tmp_path))
    chosen = run_study.choose_jobs(profile, jobs, ["qwen2.5-coder-0.5b"])
    assert {job.backbone for job in jobs if job not in chosen} == {"smollm2-135m"}
    assert {job.backbone for job in chosen} == {None, "qwen2.5-coder-0.5b"}
    assert run_study.choose_jobs(profile, jobs, []) == jobs


def test_a_backbone_that_the_profile_lacks_is_one_line():
    profile = load_profile("smol")
    with pytest.raises(
        ConfigError, match="--backbone qwen: expected one of smollm2-135m, qwen2.5-coder-0.5b"
    ):
        run_study.choose_jobs(profile, [], ["qwen"])


def test_some_methods_jobs_keep_what_all_methods_need(tmp_path):
    profile = load_profile("smol")
    jobs = list_jobs(profile, Layout(tmp_path))
    chosen = run_study.choose_jobs(profile, jobs, [], ["base", "harc"])
    left_out = [job for job in jobs if job not in chosen]
    assert {job.method for job in chosen if STEPS[job.step].unit == RUN} == {"base", "harc"}
    assert left_out and all(STEPS[job.step].unit == RUN for job in left_out)
    with pytest.raises(ConfigError, match="--method hark: expected one of base, sft, .*; found another name"):
        run_study.choose_jobs(profile, jobs, [], ["hark"])


def test_the_smaller_study_s_models_are_those_of_the_larger(tmp_path):
    """So that what one has finished counts for the other: same settings, job by job."""

    def hash_jobs(name):
        jobs = list_jobs(load_profile(name), Layout(tmp_path))
        return {
            job.label: hash_settings(STEPS[job.step].select_settings(job)) for job in jobs if job.backbone
        }

    smaller, larger = hash_jobs("smollm2"), hash_jobs("smol")
    assert len(smaller) > 80 and {label: larger.get(label) for label in smaller} == smaller
