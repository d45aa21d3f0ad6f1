"""Damage between the embedded remote and the data folder is found, named, and repaired as the error says."""

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from harc.core.errors import DataError
from harc.core.files import write_json
from harc.data.pins import pin_data, pull_data

ROOT = Path(__file__).parents[2]
FOLDER = Path("data/organism")


def run_git(project: Path, *arguments: str) -> None:
    subprocess.run(
        ["git", "-c", "user.name=t", "-c", "user.email=t@localhost", *arguments],
        cwd=project,
        check=True,
        capture_output=True,
    )


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with a pinned small dataset and this project's DVC configuration."""
    project = tmp_path_factory.mktemp("origin")
    for name in (".dvc/config", ".dvc/.gitignore", ".dvcignore", ".gitattributes"):
        (project / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(ROOT / name, project / name)
    (project / ".gitignore").write_text("/data/*\n")
    (project / FOLDER / "parts").mkdir(parents=True)
    (project / FOLDER / "world.json").write_text('{"verbs": ["flimmer"]}\n')
    (project / FOLDER / "parts" / "training.jsonl").write_text('{"prompt": "flimmer the wozzle"}\n' * 20)
    run_git(project, "init", "-q")
    pin_data(project, FOLDER)
    run_git(project, "add", "-A")
    run_git(project, "commit", "-q", "-m", "Pin the data")
    return project


@pytest.fixture
def clone(origin: Path, tmp_path: Path) -> Path:
    run_git(tmp_path, "clone", "-q", str(origin), "clone")
    return tmp_path / "clone"


def list_objects(project: Path, store: str) -> list[Path]:
    return sorted(path for path in (project / store).rglob("*") if path.is_file())


def flip_bit(path: Path) -> None:
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_a_clone_pulls_offline_and_its_tree_stays_clean(origin: Path, clone: Path):
    assert not (clone / FOLDER).exists()
    assert pull_data(clone).problems == []
    assert (clone / FOLDER / "world.json").read_bytes() == (origin / FOLDER / "world.json").read_bytes()
    status = subprocess.run(
        ["git", "status", "--porcelain"], cwd=clone, capture_output=True, text=True, check=True
    )
    assert status.stdout == ""


def test_a_source_archive_without_git_pulls_and_pins(clone: Path):
    shutil.rmtree(clone / ".git")
    assert pull_data(clone).problems == []
    assert pin_data(clone, FOLDER).problems == []
    assert not (clone / ".git").exists()


def test_pinning_again_changes_nothing_and_new_data_replaces_old_objects(clone: Path):
    pull_data(clone)
    before = {path: path.read_bytes() for path in [clone / "data.dvc", *list_objects(clone, "dvc-remote")]}
    pin_data(clone, FOLDER)
    assert {path: path.read_bytes() for path in before} == before
    (clone / FOLDER / "world.json").write_text('{"verbs": ["snorfle"]}\n')
    pin_data(clone, FOLDER)
    assert (clone / "data.dvc").read_bytes() != before[clone / "data.dvc"]
    assert len(list_objects(clone, "dvc-remote")) == 3


@pytest.mark.parametrize("damage", [flip_bit, Path.unlink, lambda path: os.truncate(path, 3)])
@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_damaged_remote_object_stops_the_pull(clone: Path, damage, which: int):
    damage(list_objects(clone, "dvc-remote")[which])
    # DVC itself lets some damaged folder listings pass; the manifest does not.
    with pytest.raises(
        DataError, match=r"data.dvc: expected `dvc pull` to bring data/organism|expected a file of"
    ):
        pull_data(clone)
    run_git(clone, "checkout", "--", "dvc-remote")
    assert pull_data(clone, force=True).problems == []


def test_a_flipped_bit_in_the_cache_is_found_and_repaired(clone: Path):
    pull_data(clone)
    shutil.rmtree(clone / FOLDER)
    cached = [path for path in list_objects(clone, ".dvc/cache") if path.suffix != ".dir"]
    mode = cached[0].stat().st_mode
    flip_bit(cached[0])
    cached[0].chmod(mode)
    with pytest.raises(DataError, match=r"expected \d+ bytes with sha256 .*run `harc data pull --force`"):
        pull_data(clone)
    assert pull_data(clone, force=True).problems == []


def test_local_changes_are_not_overwritten_unless_told(clone: Path):
    pull_data(clone)
    (clone / FOLDER / "world.json").write_text("mine\n")
    with pytest.raises(DataError, match=r"files of yours are in the way: `harc data pull --force`"):
        pull_data(clone)
    assert (clone / FOLDER / "world.json").read_text() == "mine\n"
    assert pull_data(clone, force=True).problems == []


def test_a_failed_forced_pull_gives_back_what_was_there(clone: Path):
    pull_data(clone)
    (clone / FOLDER / "world.json").write_text("mine\n")
    shutil.rmtree(clone / "dvc-remote")
    shutil.rmtree(clone / ".dvc" / "cache")
    with pytest.raises(DataError, match="data.dvc: expected `dvc pull`"):
        pull_data(clone, force=True)
    assert (clone / FOLDER / "world.json").read_text() == "mine\n"
    assert [path.name for path in (clone / "data").iterdir()] == ["organism"]


def test_a_pin_without_its_manifest_is_found(clone: Path):
    pull_data(clone)
    (clone / FOLDER / "world.json").write_text('{"verbs": ["snorfle"]}\n')
    pin_data(clone, FOLDER)
    run_git(clone, "checkout", "--", "config/data_manifest.json")
    with pytest.raises(DataError, match=r"world.json: expected 23 bytes with sha256"):
        pull_data(clone, force=True)


def test_a_missing_pin_is_one_line(clone: Path):
    (clone / "data.dvc").unlink()
    with pytest.raises(
        DataError, match=r"data.dvc: expected a DVC pin of one folder; found no file; `git checkout"
    ):
        pull_data(clone)


def test_nothing_to_pin_is_one_line(clone: Path):
    with pytest.raises(
        DataError, match="data/organism: expected a dataset; found no files; run `harc data build`"
    ):
        pin_data(clone, FOLDER)


def repin(project: Path, files: dict[str, bytes], /, **more) -> None:
    """Write remote, pin and manifest of any files, as whoever sends a changed project can."""
    store = project / "dvc-remote/files/md5"
    entries = []
    for name, data in files.items():
        digest = hashlib.md5(data).hexdigest()
        (store / digest[:2]).mkdir(parents=True, exist_ok=True)
        (store / digest[:2] / digest[2:]).write_bytes(data)
        entries.append({"md5": digest, "relpath": name})
    listing = json.dumps(entries).encode()
    digest = hashlib.md5(listing).hexdigest()
    (store / digest[:2]).mkdir(parents=True, exist_ok=True)
    (store / digest[:2] / f"{digest[2:]}.dir").write_bytes(listing)
    out = {"md5": f"{digest}.dir", "size": 1, "nfiles": len(files), "hash": "md5", "path": FOLDER.as_posix()}
    (project / "data.dvc").write_text(yaml.safe_dump({"outs": [out | more]}))
    described = {
        name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in files.items()
    }
    write_json(project / "config/data_manifest.json", {"format": 1, "files": described})


@pytest.mark.parametrize(
    "name", ["../../../code.py", "../organism2/x", "/tmp/harc-elsewhere/x", ".git/config"]
)
def test_a_listing_that_leads_out_of_the_data_writes_nothing(clone: Path, name: str):
    (clone.parent / "code.py").write_text("mine\n")
    repin(clone, {"world.json": b"{}", name: b"theirs\n"})
    with pytest.raises(DataError, match="data.dvc: expected `dvc pull`.*found listing"):
        pull_data(clone, force=True)
    assert (clone.parent / "code.py").read_text() == "mine\n"
    assert not (clone / "data").exists() or list((clone / "data").iterdir()) == []


@pytest.mark.parametrize(
    "place", ["..", "../elsewhere", "/tmp/harc-elsewhere", ".", ".git", "data/../../x", "linked"]
)
def test_a_pin_of_a_folder_elsewhere_replaces_nothing(clone: Path, place: str):
    (clone.parent / "elsewhere").mkdir()
    (clone.parent / "elsewhere/mine").write_text("mine\n")
    (clone / "linked").symlink_to(clone.parent / "elsewhere")
    repin(clone, {"world.json": b"{}"}, path=place)
    with pytest.raises(DataError, match="data.dvc: expected the path of a folder of this project; found"):
        pull_data(clone, force=True)
    assert (clone.parent / "elsewhere/mine").read_text() == "mine\n" and (clone / ".git").is_dir()


@pytest.mark.parametrize("field", ["remote", "cloud", "files", "persist"])
def test_a_pin_with_other_fields_is_refused(clone: Path, field: str):
    repin(clone, {"world.json": b"{}"}, **{field: "x"})
    with pytest.raises(DataError, match=f"expected a DVC pin of one folder; found the field {field}"):
        pull_data(clone, force=True)
