"""Work that was interrupted goes on only under the code, libraries and inputs that began it."""

import ast
import subprocess
import sys

import pytest
from fixtures.training_rows import make_settings, train

from harc.core import finished
from harc.core.fingerprint import ROOT
from harc.core.finished import KeyedStore, describe_work, identify_work
from harc.settings.world import OrganismSettings
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


def test_a_store_tells_work_apart_and_the_last_value_counts(tmp_path):
    store = KeyedStore(tmp_path / "new" / "kept.jsonl", {"seed": 0})
    assert store.is_empty() and store.load("a") is None and not store.path.parent.exists()
    store.save_all({"a": [1.5, None, "ü\u2028"], "b": {"z": 1, "a": 2}})
    store.save("a", "again")
    found = KeyedStore(store.path, {"seed": 0})
    assert (found.load("a"), list(found.load("b"))) == ("again", ["z", "a"])
    other = KeyedStore(store.path, {"seed": 1})
    assert other.holds_other_work and other.load("a") is None and not other.is_empty()
    other.save("a", "mine")
    assert not other.holds_other_work and KeyedStore(store.path, {"seed": 0}).load("b") is None
    other.remove()
    assert other.load("a") is None and not list(store.path.parent.iterdir())


@pytest.mark.parametrize("tail", [b'{"key": "x', b"\xc3", b"{}" * 70_000])
def test_a_line_that_a_kill_cut_short_is_taken_out_by_the_next(tmp_path, tail, capsys):
    store = KeyedStore(tmp_path / "kept.jsonl", {})
    for name in "ab":
        with store.path.open("ab") as handle:
            handle.write(tail)
        assert KeyedStore(store.path, {}).load("a") == ("a" if name == "b" else None)
        store.save(name, name)
    assert [KeyedStore(store.path, {}).load(name) for name in "ab"] == ["a", "b"]
    assert store.path.read_bytes().count(b"\n") == 2 and capsys.readouterr().err == ""


@pytest.mark.parametrize("change", [(b'"a"', b'"c"'), (b"7", b"8"), (b'"value"', b'"worth"'), (b"{", b"")])
def test_an_entry_that_was_changed_is_refused_in_one_line(tmp_path, change, capsys):
    KeyedStore(tmp_path / "kept.jsonl", {}).save_all({"a": {"x": 7}, "b": 5})
    path = tmp_path / "kept.jsonl"
    first, second = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first.replace(*change) + second)
    store = KeyedStore(path, {})
    assert (store.load("a"), store.load("b")) == (None, 5)
    assert capsys.readouterr().err == f"{path}: 1 damaged entries are left out, and made again\n"


def test_several_processes_keep_their_parts_in_one_file(tmp_path):
    path, count = tmp_path / "kept.jsonl", 40
    code = (
        "import sys; from pathlib import Path; from harc.core.finished import KeyedStore\n"
        "store = KeyedStore(Path(sys.argv[1]), {})\n"
        f"for number in range({count}): store.save(f'{{sys.argv[2]}}{{number}}', 'x' * 5000)"
    )
    started = [subprocess.Popen([sys.executable, "-c", code, str(path), name]) for name in "abc"]
    assert [child.wait() for child in started] == [0, 0, 0]
    store = KeyedStore(path, {})
    assert {store.load(f"{name}{number}") for name in "abc" for number in range(count)} == {"x" * 5000}


STORES = ("KeyedStore", "restore_stage", "load_checkpoint")
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
    given = {"training/loop.py", "evaluation/own/answers.py"}
    servers = {"model/endpoints/cache.py"}  # what a server says depends on no code of ours
    assert {name for name, called in users.items() if not called & keyed} <= given | servers
