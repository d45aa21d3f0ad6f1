"""Pulling from a remote that somebody else writes: nothing outside the results, unlike the pin, or by halves."""

import hashlib
import json
import os
from pathlib import Path

import pytest

from harc.audit import cache_store as store
from harc.audit.cache_pin import Pin, read_pin, write_pin
from harc.audit.cache_store import pull_results
from harc.audit.sidecars import hash_tree
from harc.audit.tree import read_tree
from harc.core.errors import ArtifactError, ConfigError, HarcError
from harc.core.files import read_json, write_json
from harc.core.provenance import record_step
from harc.settings.profile import load_profile
from harc.steps.running import hash_settings

PROFILE = load_profile("ci")
ROOT, PIN = PROFILE.results_root, Path("pin.json")
CODE = "the project's own code\n"


def add_object(remote: Path, data: bytes, suffix: str = "") -> str:
    """Put bytes into a folder that is a DVC remote; their name."""
    digest = hashlib.md5(data).hexdigest()
    path = remote / "files/md5" / digest[:2] / f"{digest[2:]}{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return f"{digest}{suffix}"


def list_tree(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


def write_remote(files: dict[str, bytes], **changes) -> Pin:
    """A remote and a pin of any files, as an attacker can write them."""
    entries = [{"md5": add_object(Path("remote"), data), "relpath": name} for name, data in files.items()]
    listing = add_object(Path("remote"), json.dumps(entries).encode(), ".dir")
    records = add_object(Path("remote"), b"")
    tree = {"md5": listing, "size": sum(map(len, files.values())), "nfiles": len(files), "hash": "md5"}
    pin = Pin("ci", read_json("hash.json"), None, tree, {"md5": records, "size": 0, "hash": "md5"})
    write_pin(pin, PIN)
    if changes:
        write_json(PIN, read_json(PIN) | changes)
    return pin


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with code of its own and a small results tree; the files of the tree."""
    monkeypatch.chdir(tmp_path)
    Path("harc/core").mkdir(parents=True)
    Path("harc/core/errors.py").write_text(CODE)
    ROOT.mkdir(parents=True)
    with record_step(
        ROOT / "scores/scores.csv", results_root=ROOT, command="harc step score", inputs=[], code="c", settings={},
        settings_hash=hash_settings({}),
    ):  # fmt: skip
        (ROOT / "scores").mkdir()
        (ROOT / "scores/scores.csv").write_text("a\n1\n")
    sidecars, _ = read_tree(ROOT)
    write_json("hash.json", hash_tree(sidecars, ROOT))
    return list_tree(ROOT)


def pull(*, force: bool = True):
    return pull_results(PROFILE, "remote", PIN, {}, force=force)


def test_a_sound_remote_is_pulled(project):
    write_remote(project)
    ROOT.rename("results/old")
    pin, records = pull(force=False)
    assert list_tree(ROOT) == project and records == 0 and pin == read_pin(PIN)
    assert all(not path.is_symlink() and os.access(path, os.W_OK) for path in ROOT.rglob("*"))


@pytest.mark.parametrize(
    "name", ["../../../harc/core/errors.py", "../../errors.py", "/etc/x", ".snakemake/x", "SCORES/scores.csv"]
)
def test_a_listing_that_leads_elsewhere_writes_nothing(project, name, monkeypatch):
    write_remote(project | {name: b"malicious\n"})
    monkeypatch.setattr(store, "_run_dvc", lambda *_: pytest.fail("DVC was asked to write"))
    with pytest.raises(HarcError, match="listing"):
        pull()
    assert list_tree(ROOT) == project and Path("harc/core/errors.py").read_text() == CODE
    assert sorted(path.name for path in Path("results").iterdir()) == ["ci"]


def test_the_same_listing_overwrites_code_where_nothing_checks(project, monkeypatch):
    """The twin: DVC itself follows such a path."""
    write_remote(project | {"../../../harc/core/errors.py": b"malicious\n"})
    monkeypatch.setattr("harc.core.listings.check_names", lambda *_: None)
    with pytest.raises(HarcError):
        pull()
    assert Path("harc/core/errors.py").read_text() == "malicious\n"


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda files: {**files, "checkpoints/x": b"a"}, "'checkpoints/x'"),
        (lambda files: {**files, "surplus.csv": b"a"}, "surplus.csv, which none names"),
        (lambda files: {**files, "scores/scores.csv": b"a\n2\n"}, "scores/scores.csv, changed"),
        (lambda files: {name: data for name, data in files.items() if not name.endswith("scores.csv")}, "missing"),
        (lambda files: {name: data for name, data in files.items() if name.endswith(".csv")}, "expected root hash"),
        (lambda files: {**files, "x.provenance.json": b"[" * 10_000}, "x.provenance.json: "),
    ],
)  # fmt: skip
def test_a_tree_unlike_its_pin_leaves_the_old_one(project, change, found):
    write_remote(change(project))
    with pytest.raises(ArtifactError, match=found):
        pull()
    assert list_tree(ROOT) == project
    assert sorted(path.name for path in Path("results").iterdir()) == ["ci"]


def test_a_pin_of_another_size_is_refused(project):
    pin = write_remote(project)
    for field, found in (("size", "bytes, as pinned"), ("nfiles", "files, as pinned")):
        write_json(PIN, read_json(PIN) | {"tree": {**pin.tree, field: pin.tree[field] + 1}})
        with pytest.raises(ArtifactError, match=found):
            pull()
    assert list_tree(ROOT) == project


def test_a_failure_while_records_are_written_gives_the_old_tree_back(project, monkeypatch):
    write_remote(project)
    (ROOT / "scores/scores.csv").write_text("old\n")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "install_records", fail)
    with pytest.raises(OSError, match="No space left"):
        pull()
    assert (ROOT / "scores/scores.csv").read_text() == "old\n"


def test_a_link_in_place_of_the_tree_is_not_replaced(project):
    write_remote(project)
    ROOT.rename("elsewhere")
    ROOT.symlink_to("../elsewhere")
    with pytest.raises(ArtifactError, match="expected a folder, or none yet; found a link"):
        pull()
    assert list_tree(Path("elsewhere")) == project


def test_an_unknown_option_of_the_remote_is_one_line(project):
    write_remote(project)
    with pytest.raises(
        ConfigError, match="--remote, --option: expected an address and options that DVC knows"
    ):
        pull_results(PROFILE, "remote", PIN, {"nonsense": "1"}, force=True)


def test_a_tree_with_a_link_is_not_pushed(project, tmp_path):
    (ROOT / "scores").rename("moved")
    (ROOT / "scores").symlink_to("../../moved")
    with pytest.raises(ArtifactError, match="found a symbolic link to ../../moved"):
        store._link_tree(ROOT, tmp_path / "staged")
