"""A reference is a copy of a sound run without its weights; an unsound run leaves the old one in place."""

import pytest

from harc.errors import ArtifactError
from harc.files import write_json
from harc.reference import update_reference


@pytest.fixture
def run(tmp_path):
    root = tmp_path / "results/study"
    for name in (
        "backbones/b/seed0/model.safetensors",
        "backbones/b/seed0/acceptance.json",
        "directions/b/base/seed0/directions.safetensors",
        "scores/b/base/seed0/scores.csv",
        "tables.provenance.json",
        "report.html",
        "checkpoints/b/x",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    write_json(root / "audit/audit.json", {"ok": True})
    return root


def test_weights_and_running_state_stay_behind(run, tmp_path):
    kept = {path.name for path in update_reference(run, "study", tmp_path / "reference")}
    assert kept == {
        "acceptance.json",
        "directions.safetensors",
        "scores.csv",
        "tables.provenance.json",
        "report.html",
        "audit.json",
    }


@pytest.mark.parametrize(("audit", "found"), [({"ok": False}, "findings"), (None, "none")])
def test_an_unsound_run_changes_nothing(run, tmp_path, audit, found):
    update_reference(run, "study", tmp_path / "reference")
    (run / "scores/b/base/seed0/scores.csv").write_text("other")
    (run / "audit/audit.json").unlink()
    if audit is not None:
        write_json(run / "audit/audit.json", audit)
    with pytest.raises(ArtifactError, match=f"the audit of a finished, sound run; found {found}"):
        update_reference(run, "study", tmp_path / "reference")
    kept = tmp_path / "reference/study/scores/b/base/seed0/scores.csv"
    assert kept.read_text() == "scores/b/base/seed0/scores.csv"
