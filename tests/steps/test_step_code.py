"""Steps reach just the code that their job uses, and none starts before its rows are checked."""

from dataclasses import replace
from pathlib import Path

import pytest

from harc.core.artifacts import Layout, sidecar_path
from harc.core.errors import ArtifactError, ConfigError
from harc.core.files import write_json
from harc.core.fingerprint import list_definitions
from harc.settings.profile import load_profile
from harc.steps.commands import create_job, recreate_job
from harc.steps.files import drop_folders
from harc.steps.registry import STEPS
from harc.steps.running import fingerprint_job, list_code, run_job


@pytest.mark.parametrize(
    ("profile", "reached", "others"),
    [
        ("organism", "harc.data.pins", ("harc.world.corpora", "harc.data.public", "harc.judges.base")),
        ("ci", "harc.world.corpora", ("harc.data.pins", "harc.data.public")),
        ("smol", "harc.data.public", ("harc.data.pins", "harc.world.corpora")),
    ],
)
def test_rows_depend_on_what_brings_them_and_not_on_how_others_are_made(profile, reached, others):
    code = list_definitions(list_code(create_job("pull_data", load_profile(profile))))
    modules = {name.split(":")[0] for name in code}
    assert reached in modules
    assert not set(others) & set(modules)


def test_training_waits_for_the_check_of_the_rows(tmp_path):
    job = create_job("train_backbone", load_profile("ci"), backbone="organism-llama", seed=0)
    job = replace(job, layout=Layout(tmp_path))
    with pytest.raises(
        ArtifactError, match="contamination.csv.provenance.json: expected the word that no held-out"
    ):
        run_job(job)
    assert list(tmp_path.iterdir()) == []
    write_json(sidecar_path(job.layout.contamination), {})
    with pytest.raises(ArtifactError, match=r"world.json: expected a file or folder; found none"):
        run_job(job)


def test_a_job_planned_with_other_code_or_settings_does_not_run(tmp_path, monkeypatch):
    job = create_job("score", load_profile("ci"), backbone="organism-llama", method="base", seed=0)
    job = replace(job, layout=Layout(tmp_path))
    planned = fingerprint_job(job)
    with pytest.raises(ArtifactError, match=r"direct.jsonl: expected a file or folder; found none"):
        run_job(job, planned)  # refused for its inputs alone
    monkeypatch.setitem(
        STEPS, "score", replace(STEPS["score"], select_settings=lambda job: {"changed": True})
    )
    with pytest.raises(ConfigError, match="the run was started with; found others"):
        run_job(job, planned)


def test_files_stand_for_the_folder_they_lie_in():
    layout = Layout(Path("results/x"))
    folder = layout.backbone("a", 0)
    assert drop_folders([folder, folder / "source.json", layout.tables]) == [
        folder / "source.json",
        layout.tables,
    ]


def test_a_profile_in_a_folder_with_a_space_keeps_its_command(tmp_path):
    path = tmp_path / "my studies" / "mine.yaml"
    path.parent.mkdir()
    path.write_text("extends: ci\n")
    command = create_job("make_tables", load_profile(str(path))).command
    assert recreate_job(command).profile.source == str(path)
