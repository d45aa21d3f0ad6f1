"""A sidecar exists exactly where a step ended well, and says what the artifact came from."""

import os
import signal

import pytest

from harc.core.artifacts import sidecar_path
from harc.core.errors import ArtifactError
from harc.core.files import read_json, sha256_file
from harc.core.provenance import list_files, name_path, record_step, resolve_name


def record(root, **changes):
    options = {
        "results_root": root,
        "command": "harc step score",
        "inputs": [root / "in"],
        "code": "c",
        "settings": {"a": 1},
        "settings_hash": "s",
        "seed": 0,
    }
    return record_step(root / "out", **{**options, **changes})


@pytest.fixture
def root(tmp_path):
    (tmp_path / "in").write_text("input")
    return tmp_path


def test_sidecar_names_inputs_and_outputs_by_hash(root):
    with record(root) as facts:
        (root / "out").write_text("result")
        facts["dtype"] = "float32"
    sidecar = read_json(sidecar_path(root / "out"))
    assert sidecar["inputs"] == {"results://in": sha256_file(root / "in")}
    assert sidecar["outputs"] == {"results://out": sha256_file(root / "out")}
    assert sidecar["facts"] == {"dtype": "float32"}
    assert sidecar["versions"]["python"]


def list_names(root):
    return sorted(path.name for path in root.iterdir())


def test_a_failed_first_step_leaves_no_sidecar(root):
    with pytest.raises(RuntimeError), record(root):
        (root / "out").write_text("half")
        raise RuntimeError("cut")
    assert list_names(root) == ["in", "out"]


@pytest.mark.parametrize("fault", [RuntimeError, KeyboardInterrupt, ArtifactError])
def test_a_failed_step_leaves_the_last_ones_artifact_and_sidecar_as_they_were(root, fault):
    with record(root):
        (root / "out").write_text("result")
    before = sidecar_path(root / "out").read_bytes()
    problem = fault("x", expected="a", found="b", fix="c") if fault is ArtifactError else fault("cut")
    with pytest.raises(fault), record(root):
        raise problem
    assert sidecar_path(root / "out").read_bytes() == before
    assert list_names(root) == ["in", "out", "out.provenance.json"]
    with pytest.raises(ArtifactError, match="nothing"), record(root, inputs=[root / "nothing"]):
        pass
    assert sidecar_path(root / "out").read_bytes() == before


@pytest.mark.parametrize("change", ["overwritten", "removed"])
def test_a_failed_step_that_changed_the_artifact_leaves_no_sidecar(root, change):
    with record(root):
        (root / "out").write_text("result")
    with pytest.raises(RuntimeError), record(root):
        (root / "out").write_text("other") if change == "overwritten" else (root / "out").unlink()
        raise RuntimeError("cut")
    assert not [name for name in list_names(root) if "provenance" in name]


@pytest.mark.parametrize("overwritten", [False, True])
def test_a_killed_step_leaves_no_artifact_that_passes_for_complete(root, overwritten):
    """kill -9 within the step; a next attempt that fails gives the old pair back where it is still whole."""
    with record(root):
        (root / "out").write_text("result")
    before = sidecar_path(root / "out").read_bytes()
    child = os.fork()
    if child == 0:
        with record(root):
            if overwritten:
                (root / "out").write_text("other")
            os.kill(os.getpid(), signal.SIGKILL)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    assert not sidecar_path(root / "out").exists()
    assert list_files([root]) == [root / "in", root / "out"]
    with pytest.raises(RuntimeError), record(root):
        raise RuntimeError("cut")
    assert sidecar_path(root / "out").exists() is not overwritten
    assert overwritten or sidecar_path(root / "out").read_bytes() == before
    with record(root):
        (root / "out").write_text("result")
    assert list_names(root) == ["in", "out", "out.provenance.json"]


def test_step_without_its_output_is_an_error(root):
    with pytest.raises(ArtifactError, match=r"out: expected a file or folder; found none"), record(root):
        pass


def test_missing_input_is_found_before_work_starts(root):
    with (
        pytest.raises(ArtifactError, match=r"nothing: expected a file or folder; found none; run the step"),
        record(root, inputs=[root / "nothing"]),
    ):
        raise AssertionError("the step must not start")


def test_folders_are_listed_without_sidecars(root):
    (root / "folder").mkdir()
    (root / "folder/a").write_text("1")
    (root / "folder/a.provenance.json").write_text("{}")
    assert list_files([root / "folder"]) == [root / "folder/a"]


def test_names_survive_moving_the_tree(root, tmp_path_factory):
    name = name_path(root / "scores/a.csv", root)
    elsewhere = tmp_path_factory.mktemp("moved")
    assert name == "results://scores/a.csv"
    assert resolve_name(name, elsewhere) == elsewhere / "scores/a.csv"
    assert resolve_name("project://data/x", root, elsewhere) == elsewhere / "data/x"
