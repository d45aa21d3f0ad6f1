"""Seeds of a study: organisms are trained at each, downloaded models are the same at all, methods may run on fewer."""

from pathlib import Path

import pytest

from harc.core.artifacts import BASE, Layout
from harc.core.errors import ConfigError
from harc.settings.directions import DirectionSettings
from harc.settings.profile import Profile, load_profile
from harc.steps.commands import create_job
from harc.steps.files import list_needed
from harc.steps.registry import list_jobs

STUDY = """
extends: small
seeds: [4, 5, 6]
method_seeds: {cast: [5], permuted_label: [4, 6]}
ablation: {arms: [permuted_label, random_direction], seeds: [5]}
"""


def load_study(folder: Path, text: str = STUDY) -> Profile:
    path = folder / "study.yaml"
    path.write_text(text)
    return load_profile(str(path))


@pytest.fixture
def study(tmp_path) -> Profile:
    return load_study(tmp_path)


def test_a_downloaded_model_is_fetched_read_and_asked_once(study):
    jobs = list_jobs(study, Layout(Path("x")))
    for step in ("fetch_backbone", "extract_directions"):
        found = [(job.backbone, job.seed) for job in jobs if job.step == step]
        assert found == [(name, 4) for name in study.backbones]
    asked = [job.unit for job in jobs if job.step == "evaluate" and job.method == BASE]
    assert asked == [(name, BASE, 4) for name in study.backbones]


def test_an_organism_is_trained_and_asked_at_every_seed():
    study = load_profile("organism").model_copy(update={"seeds": (0, 1)})
    jobs = list_jobs(study, Layout(Path("x")))
    asked = [job.seed for job in jobs if job.step == "evaluate" and job.method == BASE]
    assert asked == [0, 1] * len(study.backbones)
    assert study.list_fixed() == {} and study.find_weights_seed("organism-llama", 1) == 1


def test_a_unit_is_run_if_it_is_listed(study):
    units = set(study.list_units())
    names = (BASE, *study.methods, *study.list_arms())
    every = {(b, m, s) for b in study.backbones for m in names for s in (*study.seeds, 9)}
    assert {unit for unit in every if study.is_run(*unit)} == units


def test_methods_and_arms_run_on_their_own_seeds(study):
    run = {}
    for _, method, seed in study.list_units():
        run.setdefault(method, set()).add(seed)
    assert run["harc"] == {4, 5, 6} and run["cast"] == {5}
    assert run["permuted_label"] == {4, 6} and run["random_direction"] == {5}
    assert study.scope_ablation().seeds == (5,)  # arms are compared on the seeds that all of them have


def test_every_file_that_a_job_needs_is_another_job_s(study):
    """The twin of the units: no job waits for a backbone, directions or answers at a seed that nobody makes."""
    jobs = list_jobs(study, Layout(Path("x")))
    by_name = {(job.step, *job.unit): job for job in jobs}
    training = by_name["train_adapter", next(iter(study.backbones)), "harc", 6]
    needed = {str(path) for path in list_needed(training)}
    assert any("/directions/" in path and "/base/seed4/" in path for path in needed)
    assert not any("/base/seed6" in path or ("/backbones/" in path and "/seed6" in path) for path in needed)
    own = create_job(
        "train_adapter", load_profile("organism"), backbone="organism-llama", method="harc", seed=0
    )
    other = create_job(
        "train_adapter", load_profile("organism"), backbone="organism-llama", method="harc", seed=6
    )
    assert any("/base/seed6/" in str(path) for path in list_needed(other))
    assert not any("/base/seed6/" in str(path) for path in list_needed(own))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("method_seeds: {hark: [4]}", "method_seeds of sft, .*not 'hark'"),
        ("method_seeds: {base: [4]}", "method_seeds of sft, .*not 'base'"),
        ("method_seeds: {harc: []}", r"method_seeds.harc of the study's 4, 5, 6, each once \(not none\)"),
        ("method_seeds: {harc: [4, 4]}", r"each once \(not 4, 4\)"),
        ("method_seeds: {harc: [7]}", r"of the study's 4, 5, 6, each once \(not 7\)"),
        (
            "methods: {harc_dpo: {start_from: harc}}\nmethod_seeds: {harc: [4], harc_dpo: [5]}",
            r"method_seeds of harc with those of harc_dpo, which starts from it \(lacks 5\)",
        ),
    ],
)
def test_seeds_that_cannot_be_run_are_refused(tmp_path, line, words):
    with pytest.raises(ConfigError, match=words):
        load_study(tmp_path, f"extends: small\nseeds: [4, 5, 6]\n{line}\n")


GRIDS = (
    "tuning: {backbones: [%s], grids: {sft: [{learning_rate: 1.0e-4}], harc: [{learning_rate: 1.0e-4}]}}\n"
)


def test_points_are_tried_on_the_named_backbones_alone(tmp_path):
    profile = load_study(tmp_path, STUDY + GRIDS % "qwen2.5-1.5b")
    jobs = [job for job in list_jobs(profile, Layout(tmp_path), "tuning") if job.step == "tune_method"]
    assert [job.unit for job in jobs] == [("qwen2.5-1.5b", method, 0) for method in (BASE, "sft", "harc")]
    everywhere = load_study(tmp_path, STUDY + GRIDS % "")
    jobs = [job for job in list_jobs(everywhere, Layout(tmp_path), "tuning") if job.step == "tune_method"]
    assert {job.backbone for job in jobs} == set(everywhere.backbones)


def test_points_on_a_backbone_that_the_study_lacks_are_refused(tmp_path):
    with pytest.raises(
        ConfigError, match=r"tuning\.backbones among llama3\.2-1b, qwen2\.5-1\.5b \(not 'qwen'\)"
    ):
        load_study(tmp_path, STUDY + GRIDS % "qwen")


def test_every_backbone_and_seed_has_a_stream_of_its_own_that_all_methods_share():
    """One seed gave both architectures the same order of rows once, so that two draws were one."""
    profile = load_profile("organism_draws")
    layout = Layout(Path("x"))
    jobs = [
        job
        for job in list_jobs(profile, layout)
        if job.step in ("train_backbone", "train_adapter", "evaluate") and job.backbone in profile.backbones
    ]
    streams = {(job.backbone, job.seed): set() for job in jobs}
    for job in jobs:
        streams[job.backbone, job.seed].add(job.stream)
    assert len(streams) == 36 and all(len(found) == 1 for found in streams.values())
    assert len(set().union(*streams.values())) == 36
    assert all(0 <= stream < 2**31 for stream in set().union(*streams.values()))


def test_a_null_control_is_drawn_by_each_run_and_nothing_else_is():
    plain, null = DirectionSettings(), DirectionSettings(null="permuted_labels", null_seed=3)
    assert plain.draw_null(7) is plain
    assert [null.draw_null(seed).null_seed for seed in (0, 7)] == [3, 10]
