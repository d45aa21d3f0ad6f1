"""Shared by the tests of this folder: one whole run of the `ci` profile, and every profile's plans."""

import os
import socket
from pathlib import Path

import pytest
from fixtures.project_copy import PROJECT, Copy, copy_project
from fixtures.step_reads import trace_steps_of
from fixtures.warm_steps import serve_steps

NOTED_CALLS = Path(__file__).parents[1] / "fixtures/noted_calls"
PROFILES = sorted(path.stem for path in (PROJECT / "config/profiles").glob("*.yaml"))


@pytest.fixture(scope="session")
def warm(tmp_path_factory):
    """The environment with which a copy's steps start with their libraries imported."""
    with serve_steps(tmp_path_factory.mktemp("warm")) as environment:
        yield lambda copy: {"PYTHONPATH": os.pathsep.join([str(NOTED_CALLS), str(copy.root)]), **environment}


@pytest.fixture(scope="session")
def finished(tmp_path_factory, warm) -> Copy:
    """A copy in which `snakemake` ran the ci profile to its end, its jobs traced; `calls/` beside it: what they ran."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "calls").mkdir()
    copy = copy_project(folder / "project")
    trace_steps_of(copy)
    run = copy.snakemake(HARC_CALLS=str(folder / "calls"), **warm(copy))
    assert run.status == 0, run.text[-6000:]
    return copy


@pytest.fixture
def fresh(tmp_path) -> Copy:
    """A copy in which nothing has run."""
    return copy_project(tmp_path / "project")


@pytest.fixture(scope="session")
def closed():
    """Address of a port on which nobody listens."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture(scope="session")
def plain(tmp_path_factory) -> Copy:
    """A copy in which nothing runs but plans."""
    return copy_project(tmp_path_factory.mktemp("plans"))


@pytest.fixture(scope="session")
def plans(plain, closed) -> dict:
    """Jobs of every profile by Snakemake and by the package, made without network, GPU or token by one process."""
    dead = {"HTTP_PROXY": closed, "HTTPS_PROXY": closed, "HF_ENDPOINT": closed, "HF_TOKEN": ""}
    return plain.plan("all", *PROFILES, CUDA_VISIBLE_DEVICES="", **dead)
