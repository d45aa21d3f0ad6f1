"""Results pushed to a DVC remote and pulled elsewhere: sound, and taken by the workflow as its own."""

import importlib.util
import os
import shutil

import pytest
from fixtures.project_copy import Copy, copy_project

from harc.audit.cache_pin import read_pin
from harc.core.files import read_json
from harc.steps.paper import find_latex

TO_DO = {"all", "audit", *(["build_paper"] if find_latex() else [])}  # what lies outside the pushed tree


def push(copy: Copy, remote: str, *options: str, **environment: str) -> None:
    arguments = ("--profile", "ci", "--remote", remote, "--pin", "pushed.json", *options)
    run = copy.run("harc", "cache", "push", *arguments, **environment)
    assert run.status == 0, run.text


def pull(copy: Copy, finished: Copy, remote: str, *options: str, **environment: str):
    shutil.copy(finished.root / "pushed.json", copy.root / "pushed.json")
    arguments = ("--profile", "ci", "--remote", remote, "--pin", "pushed.json", *options)
    return copy.run("harc", "cache", "pull", *arguments, **environment)


@pytest.fixture(scope="module")
def pushed(finished, tmp_path_factory):
    """A folder as remote with the finished run in it."""
    remote = tmp_path_factory.mktemp("remote")
    push(finished, str(remote))
    assert not list(remote.rglob("*.tmp"))
    return remote


@pytest.fixture(scope="module")
def pulled(finished, pushed, tmp_path_factory):
    """A fresh copy of the project that has pulled the finished run, and no more."""
    copy = copy_project(tmp_path_factory.mktemp("pulled"))
    run = pull(copy, finished, str(pushed))
    assert run.status == 0, run.text
    return copy


def test_pulled_results_are_the_pushed_ones_and_sound(finished, pulled):
    root_hash = read_json(finished.root / "results/ci/root_hash.json")["root_hash"]
    assert read_pin(pulled.root / "pushed.json").root_hash == root_hash
    audit = pulled.run("harc", "audit", "--profile", "ci")
    assert audit.status == 0, audit.text
    assert f"sound; root hash {root_hash}" in audit.text


def test_the_workflow_takes_pulled_results_as_its_own_and_reruns_what_changed(pulled):
    nothing, figure = pulled.list_reruns(
        {}, {"edit": ["harc/results/figures/figure1.py", "", "\nUNUSED = 1\n"]}
    )
    assert set(nothing) == TO_DO
    assert "make_figure" in figure
    # The root hash ends at the scores.
    assert not set(figure) & {"evaluate", "score", "make_tables", "seal_results"}
    assert not (pulled.root / "paper/main.pdf").exists()


@pytest.mark.slow
def test_without_the_records_the_workflow_would_run_it_all_again(pulled):
    """The twin: dates alone, which a copy does not keep, are no ground to take results as finished."""
    records = pulled.root / ".snakemake/metadata"
    records.rename(records.with_name("aside"))
    os.utime(pulled.root / "results/ci/backbones/organism-llama/seed0/model.safetensors")
    try:
        assert "evaluate" in pulled.list_reruns({})[0]
    finally:
        shutil.rmtree(records, ignore_errors=True)
        records.with_name("aside").rename(records)


@pytest.mark.skipif(find_latex() is None, reason="needs LaTeX; the workflow goes on without a PDF too")
def test_the_paper_is_set_from_pulled_results_without_computing(finished, pulled):
    run = pulled.snakemake("paper")
    assert run.status == 0, run.text
    assert "build_paper" in run.text and "evaluate" not in run.text
    assert (pulled.root / "paper/main.pdf").read_bytes() == (finished.root / "paper/main.pdf").read_bytes()


def test_a_damaged_object_leaves_nothing_in_place(finished, pushed, fresh):
    remote = fresh.root / "remote"
    shutil.copytree(pushed, remote)
    objects = [path for path in remote.rglob("*") if path.is_file() and len(path.parent.name) == 2]
    victim = max(objects, key=lambda path: path.stat().st_size)
    os.chmod(victim, 0o644)
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(bytes(data))
    run = pull(fresh, finished, str(remote))
    assert run.status == 1
    assert "error: dvc pull: expected the remote to take or give what was asked" in run.text
    assert not (fresh.root / "results/ci").exists()
    assert not (fresh.root / ".snakemake/metadata").exists()


def test_a_tree_that_is_there_stays_unless_forced(finished, pushed, pulled):
    run = pull(pulled, finished, str(pushed))
    assert run.status == 1
    assert "error: results/ci: expected no tree yet; found one; move it away" in run.text


@pytest.mark.slow
def test_an_unsound_tree_is_not_pushed(finished):
    path = next((finished.root / "results/ci/scores").rglob("scores.csv"))
    text = path.read_text()
    path.write_text(text.replace("0.", "0.1", 1))
    try:
        run = finished.run("harc", "cache", "push", "--profile", "ci", "--remote", "r", "--pin", "p.json")
    finally:
        path.write_text(text)
    assert run.status == 1
    assert "error: results/ci: expected a sound results tree; found" in run.text
    assert not (finished.root / "r").exists() and not (finished.root / "p.json").exists()


NEEDED_FOR_S3 = ("moto", "dvc_s3", "flask")


@pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in NEEDED_FOR_S3),
    reason="needs the extra s3-test: pip install -e '.[s3-test]'",
)
def test_the_same_through_s3(finished, fresh):
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        endpoint = "http://{}:{}".format(*server.get_host_and_port())
        keys = {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        client = boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        client.create_bucket(Bucket="results")
        option = ("--option", f"endpointurl={endpoint}")
        push(finished, "s3://results/harc", *option, **keys)
        run = pull(fresh, finished, "s3://results/harc", *option, **keys)
    finally:
        server.stop()
    assert run.status == 0, run.text
    assert set(fresh.list_reruns({})[0]) == TO_DO
