"""Work that was interrupted goes on only under the code, libraries and inputs that began it."""

import ast

import pytest
from fixtures.training_rows import make_settings, train

from harc.core import finished
from harc.core.fingerprint import ROOT
from harc.core.finished import describe_work, identify_work
from harc.settings.organism import OrganismSettings
from harc.training import checkpoints
from harc.world.backbone import TRAINING_INPUTS, fingerprint_run

CODE = ["harc.training.forward"]


@pytest.fixture
def other_code(monkeypatch):
    """Call it, and the project's code is another."""
    return lambda: monkeypatch.setattr(finished, "fingerprint_code", lambda roots: "0" * 64)


@pytest.fixture
def other_library(monkeypatch):
    return lambda: monkeypatch.setattr(finished, "read_versions", lambda: {"torch": "0.0"})


def test_a_key_holds_code_versions_and_parts(other_code, other_library):
    first = identify_work(CODE, seed=0, settings=make_settings())
    assert first == identify_work(CODE, settings=make_settings(), seed=0)
    keys = {first, identify_work(CODE, seed=1, settings=make_settings())}
    keys |= {
        identify_work(CODE, seed=0, settings=make_settings(steps=4)),
        identify_work(["harc.model.packing"], seed=0),
    }
    other_library()
    keys.add(identify_work(CODE, seed=0, settings=make_settings()))
    other_code()
    keys.add(identify_work(CODE, seed=0, settings=make_settings()))
    assert len(keys) == 6
    assert describe_work(CODE, seed=0)["code"] == "0" * 64


@pytest.mark.parametrize(("change", "resumed"), [(None, 2), ("other_code", None), ("other_library", None)])
def test_training_goes_on_under_the_same_code_alone(change, resumed, tmp_path, monkeypatch, request):
    settings = make_settings(steps=4, checkpoint_every=1)
    save = checkpoints.save_checkpoint

    def save_and_stop(folder, update, *state):
        save(folder, update, *state)
        if update == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(checkpoints, "save_checkpoint", save_and_stop)
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "out", settings, checkpoint_dir=tmp_path / "checkpoints")
    if change is not None:
        request.getfixturevalue(change)()
    found = train(tmp_path / "out", settings, checkpoint_dir=tmp_path / "checkpoints")
    assert found["resumed_at"] == resumed


def test_stages_of_an_organism_belong_to_the_code(tmp_path, other_code):
    for name in TRAINING_INPUTS:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    before = fingerprint_run(tmp_path, "llama", OrganismSettings(), 0)
    assert before != fingerprint_run(tmp_path, "qwen2", OrganismSettings(), 0)
    other_code()
    assert before != fingerprint_run(tmp_path, "llama", OrganismSettings(), 0)


STORES = ("load_finished", "SuiteStore", "RecordStore", "restore_stage", "load_checkpoint")
"""What takes up earlier work; each is given a key."""


def test_every_store_of_unfinished_work_is_keyed_by_its_code():
    """Modules that open a store name `identify_work` or `describe_work`, themselves or through what they call."""
    users = {}
    for path in ROOT.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        called = {
            getattr(node.func, "id", getattr(node.func, "attr", ""))
            for node in ast.walk(tree)
            if isinstance(node, ast.Call)
        }
        if called & set(STORES):
            users[path.relative_to(ROOT).as_posix()] = called
    keyed = {"identify_work", "describe_work", "describe_run"}
    assert len(users) >= 5
    assert {name for name, called in users.items() if not called & keyed} <= {
        "training/loop.py"
    }  # given its key
