"""A reference is a copy of a sound run without its weights; an unsound run leaves the old one in place."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from fixtures.audited_tree import ROOT, audit, forge

from harc.audit.keep import update_reference
from harc.audit.step import write_report
from harc.core.errors import ArtifactError, ConfigError
from harc.core.files import read_json, write_json
from harc.steps.reference import unpack_study

TARGET = Path("results/reference")
SCORES = "scores/toy/sft/seed0/scores.csv"


@pytest.fixture
def run(tree: list[Path]) -> Path:
    """A sound run with its audit."""
    write_report(audit(), ROOT / "audit")
    return ROOT


def test_weights_and_running_state_stay_behind(run: Path):
    files = update_reference(run, "toy", TARGET)
    assert files == sorted(path for path in (TARGET / "toy").rglob("*") if path.is_file())
    names = {path.relative_to(TARGET / "toy").as_posix() for path in files}
    assert {"pack.json", "kept.json", "tables/all.csv", "figures/figure1.png", "audit/audit.json"} <= names
    assert {"generations.parquet", "outcomes.parquet", "sidecars.parquet", "directions.safetensors"} <= names
    kept = {path.relative_to("again").as_posix() for path in unpack_study(TARGET / "toy", Path("again"))}
    assert {SCORES, "kept.json", "tables.provenance.json", "audit/audit.json"} <= kept
    assert "directions/toy/base/seed0/directions.safetensors" in kept
    for name in kept - {"kept.json"}:
        assert (Path("again") / name).read_bytes() == (run / name).read_bytes()
    left = {
        "backbones/toy/seed0/model.safetensors",
        "logs/score.log",
        "checkpoints/state.json",
        "report.html",
    }
    assert all((run / name).is_file() for name in left) and not left & kept
    left_out = read_json(TARGET / "toy/kept.json")["left_out"]
    assert {"results://backbones/toy/seed0/model.safetensors", "results://report.html"} <= set(left_out)


def test_a_study_that_was_unpacked_and_changed_by_its_own_steps_is_packed_again(run: Path):
    """As docs/audit.md says: unpack in place of the run, change, audit, pack."""
    update_reference(run, "toy", TARGET)
    before = {path: path.read_bytes() for path in (TARGET / "toy").iterdir() if path.is_file()}
    shutil.rmtree(run)
    unpack_study(TARGET / "toy", run)
    write_report(audit(), run / "audit")
    update_reference(run, "toy", TARGET)
    assert {path: path.read_bytes() for path in before} == before
    (run / SCORES).write_bytes((run / SCORES).read_bytes() + b"\n")
    for path in (run / SCORES, run / "root_hash.json"):
        forge(path, run)
    write_report(replace(audit(), findings=()), run / "audit")
    update_reference(run, "toy", TARGET)
    changed = {path.name for path in before if path.read_bytes() != before[path]}
    assert changed == {"pack.json", "scores.parquet", "documents.parquet", "sidecars.parquet"}


def remove_audit(run: Path) -> None:
    (run / "audit/audit.json").unlink()


def find_something(run: Path) -> None:
    write_json(run / "audit/audit.json", read_json(run / "audit/audit.json") | {"ok": False})


def change_since(run: Path) -> None:
    (run / "tables/all.csv").write_text("other")


@pytest.mark.parametrize(
    ("spoil", "found"),
    [(remove_audit, "none"), (find_something, "findings"), (change_since, "one of another state")],
)
def test_an_unsound_run_changes_nothing(run: Path, spoil, found: str):
    update_reference(run, "toy", TARGET)
    before = (TARGET / "toy/pack.json").read_bytes()
    (run / SCORES).write_text("other")
    spoil(run)
    with pytest.raises(ArtifactError, match=f"the audit of a finished, sound run; found {found}"):
        update_reference(run, "toy", TARGET)
    assert (TARGET / "toy/pack.json").read_bytes() == before


def test_a_tree_with_a_link_is_no_reference(run: Path):
    (run / "scores/odd").symlink_to("toy")
    with pytest.raises(ArtifactError, match="another state|symbolic link"):
        update_reference(run, "toy", TARGET)
    assert not (TARGET / "toy").exists()


@pytest.mark.parametrize("name", ["", ".", "..", "../ci", "a/b"])
def test_a_reference_has_a_plain_name(run: Path, name: str):
    with pytest.raises(ConfigError, match="a name of letters, digits and _"):
        update_reference(run, name, TARGET)
    assert not TARGET.exists()


def test_nothing_run_is_no_reference(tmp_path: Path):
    with pytest.raises(ArtifactError, match="expected a results tree; found nothing"):
        update_reference(tmp_path / "ci", "ci", tmp_path / "reference")
