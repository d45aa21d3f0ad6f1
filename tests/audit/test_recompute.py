"""Probes: what a step run again in part must agree in, and which steps a sample takes."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from fixtures.audited_tree import make_directions
from safetensors.numpy import save_file

from harc.audit.recompute import choose_sample, list_jobs_again, rerun_everything
from harc.audit.recompute_probes import PROBES
from harc.audit.sidecars import Sidecar
from harc.core.artifacts import Layout
from harc.core.errors import ArtifactError
from harc.core.files import write_jsonl
from harc.settings.profile import load_profile
from harc.steps.commands import create_job, recreate_job
from harc.steps.job import Job
from harc.steps.registry import list_jobs

BACKBONE = "organism-llama"


@pytest.fixture(scope="module")
def profile():
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(Path(__file__).parents[2])
        return load_profile("ci")


@pytest.fixture
def make_pair(profile, tmp_path: Path) -> Callable[[str], tuple[Job, Job]]:
    """The small job of a step and the stored one, in two trees."""

    def make(step: str, **unit) -> tuple[Job, Job]:
        job = create_job(step, profile, backbone=BACKBONE, seed=0, **unit)
        return replace(job, layout=Layout(tmp_path / "small")), replace(
            job, layout=Layout(tmp_path / "stored")
        )

    return make


def compare(step: str, small: Job, stored: Job) -> list[str]:
    return [expected for expected, _ in PROBES[step].compare(small, stored)]


def turn(tensors: dict) -> dict:
    row = np.roll(tensors["v_ref"][2], 1)
    return tensors | {"v_ref": np.where(np.arange(5)[:, None] == 2, row, tensors["v_ref"]).astype(np.float32)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors: tensors, None),
        (lambda tensors: tensors | {"v_ref": tensors["v_ref"] * np.float32(1 - 1e-6)}, None),
        (turn, "v_ref at slot 2 as computed again"),
        (
            lambda tensors: tensors | {"norm_v_harm": tensors["norm_v_harm"] * 2},
            "v_harm at slot 0 as computed again",
        ),
    ],
)
def test_directions_agree_at_every_slot(make_pair, change: Callable, message: str | None):
    small, stored = make_pair("extract_directions")
    tensors = make_directions(np.random.default_rng(0))
    for job, values in ((small, tensors), (stored, change(tensors))):
        folder = job.layout.directions(BACKBONE, "base", 0)
        folder.mkdir(parents=True)
        save_file(values, folder / "directions.safetensors")
    problems = compare("extract_directions", small, stored)
    assert (problems == []) if message is None else problems[0].startswith(message)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"step": 0, "total": 0.5001, "k": 2}, None),
        ({"step": 0, "total": 0.6, "k": 2}, "total = 0.5 at step 0"),
        ({"step": 0, "total": 0.5, "k": 3}, "k = 2 at step 0"),
        ({"step": 0, "total": 0.5}, "k = 2 at step 0"),
        ({"step": 7, "total": 0.5, "k": 2}, "a row of the log at a first step"),
    ],
)
def test_the_first_steps_of_training_agree(make_pair, row: dict, message: str | None):
    small, stored = make_pair("train_adapter", method="harc")
    for job, rows in ((small, [{"step": 0, "total": 0.5, "k": 2}]), (stored, [row])):
        write_jsonl(job.layout.adapter(BACKBONE, "harc", 0) / "training_log.jsonl", rows)
    problems = compare("train_adapter", small, stored)
    assert (problems == []) if message is None else problems[0].startswith(message)


def answer(number: int, response: str = "sure", prompt: str = "p") -> dict:
    return {"id": f"r{number}", "prompt_sha256": prompt, "response": response}


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        ([answer(n) for n in range(6)], None),
        ([answer(0, "no"), *(answer(n) for n in range(1, 6))], None),
        (
            [answer(0, "no"), answer(1, "no"), answer(2), answer(3)],
            "3 of 4 responses of direct as generated again",
        ),
        ([answer(0), answer(1), answer(2)], None),
        ([answer(0, prompt="q"), answer(1), answer(2), answer(3)], "prompt p at r0"),
    ],
)
def test_generations_agree_but_for_one(make_pair, stored: list[dict], message: str | None):
    small, whole = make_pair("evaluate", method="base")
    evaluation = small.profile.evaluation.model_copy(update={"suites": ("direct",)})
    small = replace(small, profile=small.profile.model_copy(update={"evaluation": evaluation}))
    for job, records in ((small, [answer(n) for n in range(4)]), (whole, stored)):
        write_jsonl(job.layout.generations(BACKBONE, "base", 0) / "direct.jsonl", records)
    problems = compare("evaluate", small, whole)
    if message is None and len(stored) == 3:
        assert problems == ["prompt p at r3"]  # a record that is not there has no prompt either
    else:
        assert (problems == []) if message is None else problems[0].startswith(message)


def test_training_is_cut_to_its_first_steps(make_pair, tmp_path: Path):
    small, _ = make_pair("train_adapter", method="harc")
    cut = PROBES["train_adapter"].shrink(small, tmp_path, Random(0))
    assert cut.profile.choose_training(BACKBONE, "harc").steps == 11
    assert small.profile.choose_training(BACKBONE, "harc").steps == 12


def test_evaluation_is_cut_to_a_few_rows_of_one_suite(make_pair, tmp_path: Path):
    small, _ = make_pair("evaluate", method="base")
    data = tmp_path / "data"
    suites = small.profile.evaluation.suites
    write_jsonl(data / "evaluation.jsonl", [{"id": f"{s}-{n}", "suite": s} for s in suites for n in range(9)])
    folder = small.profile.data.model_copy(update={"directory": str(data)})
    small = replace(small, profile=small.profile.model_copy(update={"data": folder}))
    cut = PROBES["evaluate"].shrink(small, tmp_path / "shadow", Random(0))
    (suite,) = cut.profile.evaluation.suites
    assert suite != "pair" and not cut.profile.evaluation.project
    lines = (cut.profile.data_dir / "evaluation.jsonl").read_text().splitlines()
    assert len(lines) == 4 and all(f'"suite": "{suite}"' in line for line in lines)


def test_a_sample_takes_the_steps_in_turn_and_repeats_with_its_seed(profile):
    jobs = {step: [] for step in PROBES}
    sidecar = Sidecar(Path("x.provenance.json"), {}, {}, {})
    for job in list_jobs(profile, Layout(Path("results/ci"))):
        if job.step in jobs:
            jobs[job.step].append((sidecar, job))

    def choose(seed: int) -> list[str]:
        return [job.label for _, job in choose_sample(jobs, 4, Random(seed))]

    assert choose(1) == choose(1)
    assert {label.split()[0] for label in choose(1)[:3]} == set(PROBES)
    assert len({tuple(choose(seed)) for seed in range(8)}) > 1


def test_everything_again_keeps_the_order_and_moves_rows_that_are_made(profile):
    jobs = list(list_jobs_again(profile, Path("results/ci_again")))
    steps = [job.step for job in jobs]
    assert steps[0] == "pull_data" and steps.index("train_backbone") < steps.index("evaluate")
    assert jobs[0].profile.data_dir == Path("results/ci_again/data/rows")
    assert next(job for job in jobs if job.step == "make_tables").profile == profile
    assert not {"seal_results", "build_report"} & set(steps)


def test_everything_again_never_writes_over_the_tree(profile, tmp_path: Path):
    for other in (Path("results/ci"), tmp_path):
        with pytest.raises(ArtifactError, match="expected a folder of its own in results"):
            rerun_everything(profile, other)


def test_a_command_names_its_job(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(Path(__file__).parents[2])
    command = f"harc step evaluate --profile ci --backbone {BACKBONE} --method harc --seed 0"
    assert recreate_job(command).command == command
