"""A study of days: its order, what is left of it, and its finished jobs, kept here and brought back elsewhere."""

import shutil
from pathlib import Path

import pytest

from harc.audit.keep import keep_progress
from harc.cli import app
from harc.cli.running import run_command
from harc.core.artifacts import BASE, Layout
from harc.core.errors import ArtifactError, ConfigError
from harc.core.files import read_json, write_json
from harc.core.fingerprint import fingerprint_code
from harc.core.provenance import record_step, seal_record
from harc.settings.profile import Profile, load_profile
from harc.steps import reference
from harc.steps.files import find_sidecar
from harc.steps.job import Job
from harc.steps.progress import (
    estimate_hours,
    find_other_code,
    format_progress,
    list_unit_jobs,
    list_units,
    measure_progress,
)
from harc.steps.reference import locate_reference, require_progress, restore_progress, stands_in
from harc.steps.registry import STEPS, list_jobs
from harc.steps.running import hash_settings, list_code

PROJECT = Path(__file__).parents[2]
STUDY = "extends: small\nseeds: [0, 1]\nmethod_seeds: {cast: [1]}\n"


@pytest.fixture
def study(tmp_path, monkeypatch) -> Profile:
    """A study on public prompts whose results and pack lie in a folder of the test's own."""
    for name in ("config", "harc", "data.dvc"):
        (tmp_path / name).symlink_to(PROJECT / name)
    monkeypatch.chdir(tmp_path)
    Path("study.yaml").write_text(STUDY)
    return load_profile("study.yaml")


def finish(job: Job, content: str = "x", *, code: str | None = None) -> None:
    """Leave what a job would: files with some content, and a sidecar."""
    outputs, settings = STEPS[job.step].list_outputs(job), STEPS[job.step].select_settings(job)
    files = [path for path in outputs if path.suffix]
    with record_step(
        outputs[0],
        results_root=job.layout.root,
        command=job.command,
        inputs=[],
        outputs=files,
        code=code or fingerprint_code(list_code(job)),
        settings=settings,
        settings_hash=hash_settings(settings),
    ):
        for path in files:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{content} {path.name}\n")


def find(profile: Profile, *steps: str) -> list[Job]:
    return [job for job in list_jobs(profile, Layout(profile.results_root)) if job.step in steps]


def test_units_come_in_the_order_in_which_they_decide(study):
    order = [(method, seed) for _, method, seed in list_units(study)]
    assert order[0] == (BASE, 0) and order[-1] == ("cast", 1)
    firsts = [seed for method, seed in order if method not in (BASE, "cast")]
    assert firsts == sorted(firsts) and sorted(list_units(study)) == sorted(study.list_units())


def test_a_unit_s_jobs_are_its_own(study):
    jobs = list_jobs(study, Layout(study.results_root))
    own = list_unit_jobs(jobs, (next(iter(study.backbones)), "harc", 1))
    assert {job.step for job in own} >= {"train_adapter", "evaluate", "score"}
    assert {(job.method, job.seed) for job in own} == {("harc", 1)}


def test_hours_left_come_from_the_finished_jobs_of_a_step(study):
    asked = find(study, "evaluate")
    assert estimate_hours(study, Layout(study.results_root)) == (
        0.0,
        len(list_jobs(study, Layout(Path("x")))),
    )
    assert "how long it takes is not known yet" in format_progress(study, Layout(study.results_root), 2)
    finish(asked[0])
    path = find_sidecar(asked[0])
    write_json(path, seal_record(read_json(path) | {"wall_seconds": 1800.0}))
    hours, unknown = estimate_hours(study, Layout(study.results_root))
    assert hours == pytest.approx(0.5 * (len(asked) - 1))
    assert unknown == len(list_jobs(study, Layout(Path("x")))) - len(asked)
    text = format_progress(study, Layout(study.results_root), 2)
    assert f"evaluate               1 of {len(asked)}, 30.0 min each" in text
    assert f"about {hours / 2:.1f} hours left on 2 cores, and {unknown} jobs of which none was run" in text


def test_a_damaged_record_is_named(study):
    job = find(study, "score")[0]
    finish(job)
    find_sidecar(job).write_text("{}")
    with pytest.raises(
        ArtifactError, match="record of a finished step; found KeyError; remove it; `harc step score"
    ):
        measure_progress(study, Layout(study.results_root))


def test_jobs_of_other_code_or_settings_are_found(study):
    first, second, *_ = find(study, "score")
    finish(first)
    assert find_other_code(study, Layout(study.results_root)) == []
    finish(second, code="another")
    assert find_other_code(study, Layout(study.results_root)) == [second]


def test_what_is_finished_comes_back_on_a_new_machine(study):
    jobs = [find(study, "evaluate")[0], *find(study, "score")[:2]]
    for job in jobs:
        finish(job)
    every = len(list_jobs(study, Layout(Path("x"))))
    assert keep_progress(study, "toy") == (3, every)
    kept = {path: path.read_bytes() for path in study.results_root.rglob("*") if path.is_file()}
    shutil.rmtree(study.results_root)
    mine = find_sidecar(jobs[0])
    mine.parent.mkdir(parents=True)
    mine.write_text("of the new machine")
    restored = restore_progress("toy", study.results_root)
    assert mine.read_text() == "of the new machine" and mine not in restored
    assert all(path.read_bytes() == kept[path] for path in restored)
    assert len({path.stat().st_mtime for path in restored}) == 1
    assert {path.parent.name for path in restored if path.name == "scores.csv"} == {"seed0"}
    assert restore_progress("toy", study.results_root) == []


def test_the_commands_keep_and_restore(study, capsys):
    job = find(study, "score")[0]
    finish(job)
    options = ["--profile", "study.yaml", "--name", "toy"]
    assert run_command(app, ["reference", "keep", *options]) == 0
    find_sidecar(job).unlink()
    assert run_command(app, ["reference", "restore", *options]) == 0
    count = len(list_jobs(study, Layout(study.results_root)))
    assert capsys.readouterr().out == (
        f"packed 1 of {count} jobs under results/reference/toy\nrestored 1 files into {study.results_root}\n"
    )
    assert find_sidecar(job).is_file()


def test_answers_to_public_prompts_are_not_kept(study):
    jobs = find(study, "evaluate", "score")
    for job in jobs:
        finish(job, "an answer")
    keep_progress(study, "toy")
    shutil.rmtree(study.results_root)
    names = {
        path.relative_to(study.results_root).parts[0] for path in restore_progress("toy", study.results_root)
    }
    assert "scores" in names
    assert not list(study.results_root.rglob("generations/*/*/*/*.jsonl"))


def test_answers_of_the_invented_world_are(tmp_path, study, monkeypatch):
    """The twin: it is the form that leaves them out, not the pack."""
    Path("invented.yaml").write_text("extends: ci\n")
    invented = load_profile("invented.yaml")
    finish(find(invented, "evaluate")[0])
    keep_progress(invented, "toy")
    shutil.rmtree(invented.results_root)
    restore_progress("toy", invented.results_root)
    assert list(invented.results_root.rglob("generations/*/*/*/direct.jsonl"))


def test_a_changed_file_is_not_kept_as_finished(study):
    job = find(study, "score")[0]
    finish(job)
    STEPS["score"].list_outputs(job)[1].write_text("forged")
    with pytest.raises(ArtifactError, match="as its sidecar says; found another"):
        keep_progress(study, "toy")
    assert not (reference.REFERENCE / "toy").exists()


def test_a_part_of_a_study_stands_in_for_no_study(study):
    finish(find(study, "score")[0])
    keep_progress(study, study.name)
    shutil.rmtree(study.results_root)
    assert not stands_in(study.name, study.results_root)
    with pytest.raises(ConfigError, match="found a part of one"):
        locate_reference(study.name)


def test_a_finished_study_is_not_replaced_by_a_part(study):
    finish(find(study, "score")[0])
    keep_progress(study, "toy")
    (reference.REFERENCE / "toy/unfinished.json").unlink()
    with pytest.raises(ConfigError, match="expected no finished study; found one"):
        keep_progress(study, "toy")


@pytest.mark.parametrize("name", ["../elsewhere", "", ".", "a/b", "/tmp"])
def test_a_pack_is_named_like_a_plain_folder(study, name):
    finish(find(study, "score")[0])
    with pytest.raises(ConfigError, match="expected a name of letters, digits and _"):
        keep_progress(study, name)
    assert study.results_root.is_dir() and not reference.REFERENCE.exists()


def test_a_misspelt_pack_is_not_restored_as_if_it_were_empty(study):
    with pytest.raises(ConfigError, match="none: no unfinished study is kept; found no such study"):
        require_progress("toy")
    finish(find(study, "score")[0])
    keep_progress(study, "toy")
    require_progress("toy")
    for name in ("tpy", "../reference/toy"):
        with pytest.raises(ConfigError, match="expected one of toy; found no such study"):
            require_progress(name)
