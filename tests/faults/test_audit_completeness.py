"""Leaves deleted with their sidecars, units too many, records removed, sidecars that name others than their step."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from fixtures.audited_tree import ROOT, audit, describe, edit_sidecar, sidecar_path

from harc.audit.sidecars import Sidecar
from harc.audit.step_state import find_undeclared
from harc.core.artifacts import Layout
from harc.core.files import read_json
from harc.core.provenance import name_path
from harc.settings.profile import load_profile
from harc.steps.analysis import MAKE_FIGURE
from harc.steps.audit import SEAL_RESULTS
from harc.steps.commands import create_job
from harc.steps.files import list_expected_sidecars, list_read
from harc.steps.job import Job

LEAVES = ["figures/figure1.pdf", "report.html", "tables", "scores/toy/sft/seed1", "adapters/toy/sft/seed0"]


def remove(name: str) -> None:
    """Delete an artifact with its sidecar."""
    path = ROOT / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    sidecar_path(path).unlink()


def find(**options: object) -> set[tuple[str, str]]:
    return {(finding.file, finding.kind) for finding in audit(**options).findings}


def test_nothing_is_missing_from_a_whole_tree(tree: list[Path]):
    assert find() == set()


@pytest.mark.parametrize("name", LEAVES)
def test_an_artifact_deleted_with_its_sidecar_is_missed(tree: list[Path], name: str):
    remove(name)
    (ROOT / "figures/figure1.png").unlink() if name.startswith("figures") else None
    assert (str(sidecar_path(ROOT / name)), "missing") in find()


def test_a_figure_and_the_root_hash_deleted_together_are_missed(tree: list[Path]):
    remove("figures/figure1.pdf")
    remove("root_hash.json")
    (ROOT / "figures/figure1.png").unlink()
    assert (str(sidecar_path(ROOT / "root_hash.json")), "missing") in find()


@pytest.mark.parametrize("settings", [{}, {"artifacts": None}, {"artifacts": [1]}])
def test_a_record_that_says_nothing_is_a_finding(tree: list[Path], settings: dict):
    edit_sidecar(sidecar_path(ROOT / "root_hash.json"), settings=settings)
    found = [finding for finding in audit().findings if finding.kind == "missing"]
    assert found[0].expected == "the record of what the study must hold"
    assert found[0].found == "a sidecar without it"


def test_a_shortened_record_is_a_finding(tree: list[Path]):
    sidecar = sidecar_path(ROOT / "root_hash.json")
    names = read_json(sidecar)["settings"]["artifacts"]
    remove("report.html")
    edit_sidecar(sidecar, settings={"artifacts": [name for name in names if name != "report.html"]})
    assert ("stale settings") in {kind for _, kind in find()}


def copy_unit(ours: str, theirs: str) -> None:
    """A unit copied under another name, with a sidecar that says so throughout."""
    shutil.copytree(ROOT / ours, ROOT / theirs)
    shutil.copyfile(sidecar_path(ROOT / ours), sidecar_path(ROOT / theirs))
    record = read_json(sidecar_path(ROOT / theirs))
    outputs = {name.replace(ours, theirs): digest for name, digest in record["outputs"].items()}
    command = record["command"].replace("--seed 1", "--seed 7")
    edit_sidecar(sidecar_path(ROOT / theirs), outputs=outputs, command=command)


def test_a_unit_of_a_seed_that_the_study_has_not_is_surplus(tree: list[Path]):
    copy_unit("scores/toy/sft/seed1", "scores/toy/sft/seed7")
    assert (str(sidecar_path(ROOT / "scores/toy/sft/seed7")), "surplus") in find()


def test_what_tuning_tried_is_no_surplus(tree: list[Path]):
    copy_unit("scores/toy/sft/seed1", "tuning/toy/sft/seed7")
    assert "surplus" not in {kind for _, kind in find()}


def test_a_tree_of_a_run_under_way_may_lack_what_is_still_to_come(tree: list[Path]):
    for name in ("report.html", "root_hash.json", "figures/figure1.pdf"):
        remove(name)
    (ROOT / "figures/figure1.png").unlink()
    assert find(partial_tree=True) == set()
    copy_unit("scores/toy/sft/seed1", "scores/toy/sft/seed7")
    (ROOT / "scores/toy/sft/seed7/scores.csv").write_text("other")
    assert find(partial_tree=True) == {("results/toy/scores/toy/sft/seed7/scores.csv", "changed")}


def test_the_seal_records_every_artifact_of_the_profile():
    profile = load_profile("ci")
    recorded = SEAL_RESULTS.select_settings(create_job("seal_results", profile))["artifacts"]
    layout = Layout(profile.results_root)
    expected = {sidecar.as_posix() for sidecar in list_expected_sidecars(profile, layout)}
    assert {sidecar_path(layout.root / name).as_posix() for name in recorded} == expected
    assert {"tables", "report.html", "root_hash.json"} <= set(recorded)


@pytest.fixture
def figure(monkeypatch: pytest.MonkeyPatch) -> Job:
    """A figure's step, from the project's own folder."""
    monkeypatch.chdir(Path(__file__).parents[2])
    return create_job("make_figure", load_profile("ci"), figure="figure1")


def name_files(job: Job, root: Path, **changes: object) -> Sidecar:
    """A sidecar with the names that a step's has, or others."""
    sides = {"inputs": list_read(job), "outputs": MAKE_FIGURE.list_outputs(job)}
    named = {
        side: {name_path(path, job.layout.root): "0" * 64 for path in files} for side, files in sides.items()
    }
    return Sidecar(sidecar_path(root / "figures/figure1.pdf"), {"seed": None, **named, **changes}, {}, {})


def test_a_sidecar_names_what_its_step_reads_and_makes_wherever_the_tree_lies(figure: Job, tmp_path: Path):
    assert find_undeclared(name_files(figure, tmp_path), figure) is None


UNLIKE = {
    "no inputs": ({"inputs": {}}, "no results://directions/organism-llama/base/seed0/directions.safetensors"),
    "a further output": (
        {"outputs": dict.fromkeys(["results://figures/figure1.pdf", "results://logs/figure1.png"], "")},
        "results://logs/figure1.png besides",
    ),
    "an output less": (
        {"outputs": {"results://figures/figure1.pdf": ""}},
        "no results://figures/figure1.png",
    ),
    "another seed": ({"seed": 3}, "3"),
}


@pytest.mark.parametrize("kind", UNLIKE)
def test_a_sidecar_that_names_more_or_less_is_told_apart(figure: Job, tmp_path: Path, kind: str):
    changes, found = UNLIKE[kind]
    assert find_undeclared(name_files(figure, tmp_path, **changes), figure)[1] == found


def test_and_is_a_finding_of_the_audit(figure: Job, tree: list[Path]):
    """Each sidecar of the toy tree names other files than the step of the ci profile that it is taken for here."""
    found = audit(describe=lambda *words: replace(describe(*words), job=figure)).findings
    assert {finding.file for finding in found} == {str(path) for path in tree}
    assert {finding.kind for finding in found} == {"sidecar"}
