"""One whole run of the `ci` profile, shared by the tests of this folder."""

import os
from pathlib import Path

import pytest
from fixtures.project_copy import Copy, copy_project
from fixtures.step_reads import trace_steps_of

NOTED_CALLS = Path(__file__).parents[1] / "fixtures/noted_calls"


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Copy:
    """A copy in which `snakemake` ran the ci profile to its end, its jobs traced; `calls/` beside it: what they ran."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "calls").mkdir()
    copy = copy_project(folder / "project")
    trace_steps_of(copy)
    path = os.pathsep.join([str(NOTED_CALLS), str(copy.root)])
    run = copy.snakemake(PYTHONPATH=path, HARC_CALLS=str(folder / "calls"))
    assert run.status == 0, run.text[-6000:]
    return copy


@pytest.fixture
def fresh(tmp_path) -> Copy:
    """A copy in which nothing has run."""
    return copy_project(tmp_path / "project")
