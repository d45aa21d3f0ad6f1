"""scripts/run_study.py: the jobs of some backbones alone."""

import importlib.util

import pytest
from fixtures.project_copy import PROJECT

from harc.core.artifacts import Layout
from harc.core.errors import ConfigError
from harc.settings.profile import load_profile
from harc.steps.registry import list_jobs

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
