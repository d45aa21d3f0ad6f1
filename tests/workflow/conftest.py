"""One whole run of the `ci` profile, shared by the tests of this folder."""

import pytest
from fixtures.project_copy import Copy, copy_project


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Copy:
    """A copy in which `snakemake` has run the ci profile to its end."""
    copy = copy_project(tmp_path_factory.mktemp("project"))
    run = copy.snakemake()
    assert run.status == 0, run.text[-6000:]
    return copy


@pytest.fixture
def fresh(tmp_path) -> Copy:
    """A copy in which nothing has run."""
    return copy_project(tmp_path / "project")
