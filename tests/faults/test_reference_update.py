"""A reference is a copy of a sound run without its weights; an unsound run leaves the old one in place."""

from pathlib import Path

import pytest
from fixtures.audited_tree import ROOT, audit

from harc.core.errors import ArtifactError, ConfigError
from harc.core.files import read_json, write_json
from harc.steps.audit import write_report
from harc.steps.reference import update_reference

TARGET = Path("results/reference")
SCORES = "scores/toy/sft/seed0/scores.csv"


@pytest.fixture
def run(tree: list[Path]) -> Path:
    """A sound run with its audit."""
    write_report(audit(), ROOT / "audit")
    return ROOT


def test_weights_and_running_state_stay_behind(run: Path):
    kept = {path.relative_to(TARGET / "toy").as_posix() for path in update_reference(run, "toy", TARGET)}
    there = {
        path.relative_to(TARGET / "toy").as_posix() for path in (TARGET / "toy").rglob("*") if path.is_file()
    }
    assert kept == there
    assert {SCORES, "kept.json", "report.html", "tables.provenance.json", "audit/audit.json"} <= kept
    assert "directions/toy/base/seed0/directions.safetensors" in kept
    left = {"backbones/toy/seed0/model.safetensors", "logs/score.log", "checkpoints/state.json"}
    assert all((run / name).is_file() for name in left) and not left & kept
    assert (
        "results://backbones/toy/seed0/model.safetensors" in read_json(TARGET / "toy/kept.json")["left_out"]
    )


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
    before = (TARGET / "toy" / SCORES).read_bytes()
    (run / SCORES).write_text("other")
    spoil(run)
    with pytest.raises(ArtifactError, match=f"the audit of a finished, sound run; found {found}"):
        update_reference(run, "toy", TARGET)
    assert (TARGET / "toy" / SCORES).read_bytes() == before


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
