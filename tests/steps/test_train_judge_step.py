"""Step train_judge: whom it is for, what it writes, and that whatever judges reads its parameters."""

import json

import pytest
from fixtures.labelled_completions import invent_rows, write_rows

from harc.core.artifacts import JUDGE_FILES
from harc.evaluation import calibrate_refusal_classifier as calibration
from harc.evaluation import train_judge as training
from harc.judges.refusal_classifier import read_parameters
from harc.settings.profile import load_profile
from harc.steps.commands import create_job
from harc.steps.files import list_made, list_needed
from harc.steps.judging import find_parameters
from harc.steps.registry import STEPS, list_jobs_of

SMOL, ORGANISM = load_profile("smol"), load_profile("organism")
UNITS = {
    "evaluate": ("smollm2-135m", "harc"),
    "tune_method": ("smollm2-135m", "harc"),
    "finetune_harmful": ("smollm2-135m", "harc"),
    "erode_refusal": ("smollm2-135m", "harc"),
}


def test_it_is_for_profiles_whose_judges_name_it():
    (job,) = list_jobs_of(STEPS["train_judge"], SMOL, create_job("train_judge", SMOL).layout)
    assert [path.name for path in list_made(job)] == [*JUDGE_FILES, "judges.provenance.json"]
    assert list_jobs_of(STEPS["train_judge"], ORGANISM, job.layout) == []
    assert find_parameters(create_job("evaluate", ORGANISM)) is None


@pytest.mark.parametrize("step", UNITS)
def test_whatever_judges_reads_the_parameters(step):
    backbone, method = UNITS[step]
    parameters = SMOL.results_root / "judges/refusal_classifier.json"
    assert parameters in list_needed(create_job(step, SMOL, backbone=backbone, method=method, seed=0))
    of_organism = create_job(step, ORGANISM, backbone="organism-llama", method=method, seed=0)
    assert not [path for path in list_needed(of_organism) if "judges" in path.parts]


def test_it_trains_measures_and_writes(tmp_path, monkeypatch):
    rows, data = invent_rows(4), tmp_path / "public"
    files = {model: f"{model}.csv" for model in rows}
    data.mkdir()
    for model, path in files.items():
        write_rows(data / path, rows[model])
    monkeypatch.setattr(training, "COMPLETIONS", files)
    monkeypatch.setattr(training, "check_source", lambda _, path, __: {"source": path, "sha256": "0" * 64})
    fetched = []
    monkeypatch.setattr("harc.data.fetch.fetch_datasets", lambda names, *_, **__: fetched.append(names) or [])
    monkeypatch.setitem(calibration.BOOTSTRAP, "resamples", 20)
    monkeypatch.chdir(tmp_path)
    profile = SMOL.model_copy(update={"data": SMOL.data.model_copy(update={"public_dir": data})})
    job = create_job("train_judge", profile)
    STEPS["train_judge"].run(job)
    folder = tmp_path / job.layout.judges
    assert {path.name for path in folder.iterdir()} == set(JUDGE_FILES)
    found = read_parameters(folder / JUDGE_FILES[0])
    assert [source["source"] for source in found.trained_on] == list(files.values())
    assert fetched == [("xstest",)]
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    STEPS["train_judge"].run(job)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert json.loads(before[JUDGE_FILES[0]])["sha256"] == found.digest
