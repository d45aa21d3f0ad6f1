"""The committed form of a study: sound without its weights and with newer code; everything else is checked in full."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from fixtures.audited_tree import DATA, ROOT, audit, describe, forge, record, sidecar_path

from harc.audit import AuditReport
from harc.audit.keep import update_reference
from harc.audit.sidecars import Sidecar, read_sidecar
from harc.audit.step import write_report
from harc.audit.step_state import STUDY, StepState, describe_step, recompute_step
from harc.audit.study import is_kept
from harc.core.artifacts import Layout
from harc.core.errors import ArtifactError, ConfigError
from harc.core.files import read_json, write_json, write_text
from harc.core.provenance import seal_record
from harc.settings.profile import Profile
from harc.steps.job import Job
from harc.steps.reference import unpack_study

PACK = Path("results/reference/toy")
KEPT = Path("results/unpacked/toy")


@pytest.fixture
def kept(tree: list[Path]) -> Path:
    """The tree of the toy study in its committed form, rows and run elsewhere."""
    write_report(audit(), ROOT / "audit")
    update_reference(ROOT, "toy", PACK.parent)
    unpack_study(PACK, KEPT)
    shutil.rmtree(ROOT)
    shutil.rmtree(DATA)
    return KEPT


def drift(sidecar: Sidecar, root: Path) -> StepState:
    """Every step's code has moved on."""
    return replace(describe(sidecar, root), code="newer")


def look(**options: object) -> AuditReport:
    return audit(KEPT, **{"describe": drift, "recompute": True, **options})


def test_a_study_without_weights_and_with_newer_code_is_sound(kept: Path):
    report = look()
    assert report.findings == ()
    assert report.verdict == "sound (without weights)"
    # Two backbones of weights, tokenizer configuration and template; two adapters; two files of rows; two planes that
    # nothing draws, with their rows; the report.
    assert report.counts["files left out"] == 2 * 3 + 2 + 2 + 2 * 2 + 1
    assert report.counts["steps recomputed"] == 0
    remarks = "\n".join(report.remarks)
    assert "without weights: 15 files" in remarks
    assert "the code of 19 steps is newer than the study, which was made at " in remarks
    assert report.as_json()["form"] == "without weights"


def test_the_same_in_a_whole_tree_is_not(tree: list[Path]):
    """The twin: the form is what allows it, not the audit."""
    next((ROOT / "backbones").rglob("model.safetensors")).unlink()
    kinds = {finding.kind for finding in audit(describe=drift).findings}
    assert kinds == {"missing", "stale code"}


TAMPERED = {
    "generations": "generations/toy/sft/seed0/direct.jsonl",
    "scores": "scores/toy/sft/seed0/scores.csv",
    "outcomes": "scores/toy/base/seed1/outcomes.csv",
    "tables": "tables/all.csv",
    "figures": "figures/figure1.pdf",
    "directions": "directions/toy/base/seed0/directions.safetensors",
    "logs of training": "adapters/toy/sft/seed0/training_log.jsonl",
    "root hash": "root_hash.json",
}


@pytest.mark.parametrize("name", TAMPERED.values(), ids=TAMPERED)
@pytest.mark.parametrize("how", ["edited", "deleted"])
def test_what_is_kept_is_checked_in_full(kept: Path, name: str, how: str):
    path = kept / name
    if how == "deleted":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-2] + b"9\n")
    assert str(path) in {finding.file for finding in look().findings}


@pytest.mark.parametrize("name", ["scores/toy/sft/seed0", "tables", "figures/figure1.pdf"])
def test_an_artifact_deleted_with_its_sidecar_is_missed(kept: Path, name: str):
    path = kept / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    sidecar_path(path).unlink()
    assert (str(sidecar_path(path)), "missing") in {(found.file, found.kind) for found in look().findings}


@pytest.mark.parametrize("name", ["generations", "scores", "outcomes", "tables"])
def test_a_forged_sidecar_shows_in_the_root_hash_or_in_what_follows(kept: Path, name: str):
    path = kept / TAMPERED[name]
    path.write_bytes(path.read_bytes() + b"\n")
    forge(path, kept)
    assert {"root hash", "input changed"} & {finding.kind for finding in look().findings}


def test_scores_are_computed_again_where_their_code_is_the_same(kept: Path):
    assert look(describe=describe).counts["steps recomputed"] == 4
    path = kept / TAMPERED["scores"]
    path.write_text(path.read_text().replace("0.", "0.1", 1))
    forge(path, kept)
    found = [finding for finding in look(describe=describe).findings if finding.kind == "recomputed"]
    assert [finding.file for finding in found] == [str(path)]


def excuse(record: dict, name: str = "results://generations/toy/sft/seed0/direct.jsonl") -> dict:
    return seal_record(record | {"left_out": [*record["left_out"], name]})


DAMAGE: dict[str, Callable[[dict], dict]] = {
    "an unsealed change": lambda record: record | {"artifacts": record["artifacts"][1:]},
    "a generation left out": excuse,
    "the same by way of a folder of weights": lambda record: excuse(
        record, "results://backbones/../generations/toy/x.safetensors"
    ),
    "another form": lambda record: seal_record(record | {"form": "without scores"}),
    "another format": lambda record: seal_record(record | {"format": 2}),
    "no list": lambda record: seal_record(record | {"artifacts": "all"}),
    "a field more": lambda record: seal_record(record | {"note": ""}),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_or_forged_record_of_the_form_is_a_finding(kept: Path, damage: str):
    write_json(kept / "kept.json", DAMAGE[damage](read_json(kept / "kept.json")))
    assert (str(kept / "kept.json"), "form") in {(found.file, found.kind) for found in look().findings}


def test_without_the_record_of_the_form_the_tree_is_a_whole_one_and_unsound(kept: Path):
    (kept / "kept.json").unlink()
    kinds = {finding.kind for finding in look().findings}
    assert {"missing", "stale code"} <= kinds


def test_newer_files_of_the_project_are_a_remark(kept: Path):
    DATA.mkdir(parents=True)
    (DATA / "evaluation.jsonl").write_text('{"id": "x", "suite": "direct"}\n')
    report = look()
    assert report.findings == ()
    assert (
        "files of the project are newer than the study: project://data/toy/evaluation.jsonl" in report.remarks
    )


def test_a_step_that_the_project_no_longer_has_is_a_remark_and_a_foreign_command_a_finding(kept: Path):
    def refuse(problem: Exception) -> Callable:
        def describe_gone(sidecar: Sidecar, root: Path) -> StepState:
            if " score " in sidecar.command:
                raise problem
            return describe(sidecar, root)

        return describe_gone

    words = {"expected": "a", "found": "b", "fix": "c"}
    report = look(describe=refuse(ConfigError("method", **words)), recompute=False)
    assert report.findings == ()
    assert any(remark.startswith("steps that the project no longer has: 4") for remark in report.remarks)
    report = look(describe=refuse(ArtifactError("sidecar", **words)), recompute=False)
    assert {finding.kind for finding in report.findings} == {"unknown step"}


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("results://backbones/b/seed0/model.safetensors", False),
        ("results://adapters/b/m/seed0/adapter_model.safetensors", False),
        ("results://backbones/b/seed0/tokenizer.json", False),
        ("results://data/rows/evaluation.jsonl", False),
        ("project://data/organism/evaluation.jsonl", False),
        ("results://directions/b/base/seed0/directions.safetensors", True),
        ("results://directions/b/m/seed0/directions.safetensors", True),
        ("results://directions/b/base/seed0/projections.safetensors", True),
        ("results://directions/b/harc/seed0/projections.jsonl", True),
        ("results://directions/b/sft/seed0/projections.safetensors", False),
        ("results://report.html", False),
        ("results://", True),
        ("results://adapters/b/m/seed0/training_log.jsonl", True),
        ("results://generations/b/m/seed0/tokenizer.json", True),
        ("results://scores/b/m/seed0/scores.csv", True),
        ("results://scores/b/m/seed0/report.html", True),
    ],
)
def test_which_files_the_form_may_leave_out(name: str, there: bool):
    assert is_kept(name) is there


@pytest.mark.parametrize("stored", ["the study's", "another"])
def test_what_is_rendered_from_a_committed_study_carries_its_root_hash(kept: Path, stored: str):
    layout = Layout(Path("results/from_reference/toy"))
    root_hash = read_json(kept / "root_hash.json")["root_hash"]
    with record(layout, "seal_results", " --reference toy", [], [layout.root_hash], None):
        write_json(layout.root_hash, {"root_hash": root_hash if stored == "the study's" else "0" * 64})
    report = audit(layout.root)
    assert report.root_hash == root_hash, "of the pack, not of what was unpacked from it"
    assert ("root hash" in {finding.kind for finding in report.findings}) is (stored == "another")


def test_what_is_rendered_from_a_committed_study_is_made_again_from_it(kept: Path):
    layout = Layout(Path("results/from_reference/toy"), reference=kept)
    scores = Path("scores/toy/sft/seed0/scores.csv")
    with record(layout, "make_tables", "", [kept / scores], [layout.tables], None):
        write_text(layout.tables / "all.csv", (kept / scores).read_text())
    sidecar, _ = read_sidecar(sidecar_path(layout.tables), layout.root, Path())

    def rerun(other: Path) -> None:
        write_text(other / "tables/all.csv", (other / STUDY / "toy" / scores).read_text())

    state = StepState("", "", rerun, Job("make_tables", Profile.model_construct(), layout))
    assert recompute_step(sidecar, state, layout.root) == []
    write_text(layout.tables / "all.csv", "edited\n")
    assert [finding.kind for finding in recompute_step(sidecar, state, layout.root)] == ["recomputed"]


def test_the_step_that_renders_a_study_reads_it_in_the_shadow_tree(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.chdir(Path(__file__).parents[2])
    seen: list[Layout] = []
    monkeypatch.setattr("harc.steps.analysis.run_make_tables", lambda job: seen.append(job.layout))
    root = Path("results/from_reference/organism")
    command = "harc step make_tables --profile organism_study --reference organism"
    describe_step(Sidecar(sidecar_path(root / "tables"), {"command": command}, {}, {}), root).rerun(tmp_path)
    assert seen == [Layout(tmp_path, tmp_path / STUDY / "organism")]
