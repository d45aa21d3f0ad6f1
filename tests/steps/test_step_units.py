"""A step by hand: exactly its options, a unit of the profile, and the step that makes what is missing."""

from pathlib import Path

import pytest

import harc.cli
from harc.cli.running import run_command
from harc.core.artifacts import Layout
from harc.core.errors import ArtifactError, ConfigError
from harc.settings.profile import load_profile
from harc.steps.checks import check_inputs, check_unit
from harc.steps.commands import create_job
from harc.steps.files import list_read
from harc.steps.registry import STEPS, list_jobs

ROOT = Path(__file__).parents[2]
LLAMA = {"backbone": "organism-llama", "seed": 0}


def test_a_job_of_every_step_passes_the_check_of_its_unit():
    profile = load_profile("organism")
    layout = Layout(profile.results_root)
    jobs = [job for part in ("run", "tuning", "end") for job in list_jobs(profile, layout, part)]
    for job in {job.step: job for job in jobs}.values():
        check_unit(job)


@pytest.mark.parametrize(
    ("step", "unit", "message"),
    [
        ("train_adapter", {}, "expected --backbone, --method, --seed; found none of them"),
        ("train_adapter", LLAMA, "expected --backbone, --method, --seed; found --backbone, --seed"),
        ("make_figure", {}, "expected --figure; found none of them"),
        ("make_tables", {"seed": 1}, "expected no option that names a part of the profile; found --seed"),
        ("score", {**LLAMA, "method": "harc", "figure": "figure1"}, "found --backbone, --method, --seed, --figure"),
        ("train_adapter", {**LLAMA, "method": "base"}, "expected one of profile organism's: organism-llama with sft"),
        ("train_adapter", {**LLAMA, "method": "cast"}, "expected one of profile organism's: .* and [0-9]+ more"),
        ("fit_steering", {**LLAMA, "method": "harc"}, "organism-llama with cast, organism-qwen2 with cast; found"),
        ("fetch_backbone", LLAMA, "expected one of profile organism's: it has none; found"),
        ("choose_point", {"method": "harc_released"}, "expected one of profile organism's: it has none"),
    ],
)  # fmt: skip
def test_a_wrong_unit_is_one_line(step: str, unit: dict, message: str):
    with pytest.raises(ConfigError, match=message):
        check_unit(create_job(step, load_profile("organism"), **unit))


@pytest.mark.parametrize(
    ("step", "unit", "missing", "maker"),
    [
        (
            "train_adapter",
            {**LLAMA, "method": "harc"},
            "backbones/organism-llama/seed0/config.json",
            "train_backbone",
        ),
        (
            "train_adapter",
            {**LLAMA, "seed": 7, "method": "harc"},
            "backbones/organism-llama/seed7/config.json",
            "train_backbone",
        ),
        (
            "score",
            {**LLAMA, "method": "harc"},
            "generations/organism-llama/harc/seed0/direct.jsonl",
            "evaluate",
        ),
        ("make_tables", {}, "data/contamination.csv", "check_contamination"),
        ("build_report", {}, "tables/table1.csv", "make_tables"),
        ("choose_point", {"method": "harc"}, "tuning/organism-llama/harc/seed0/points.csv", "tune_method"),
    ],
)
def test_what_is_missing_is_named_with_the_step_that_makes_it(
    step, unit, missing, maker, tmp_path: Path, monkeypatch
):
    profile = load_profile("organism_draws")
    monkeypatch.chdir(tmp_path)
    for name in ("config", "harc", "workflow"):
        (tmp_path / name).symlink_to(ROOT / name)
    job = create_job(step, profile, **unit)
    with pytest.raises(ArtifactError) as caught:
        check_inputs(job)
    assert caught.value.where == f"results/organism_draws/{missing}"
    command = caught.value.fix.split("`")[1]
    assert command.startswith(f"harc step {maker} --profile organism_draws")
    if unit.get("seed"):
        assert command.endswith(f"--seed {unit['seed']}")
    assert not (tmp_path / "results").exists()


def test_every_input_within_the_results_is_an_output():
    """A chain of such messages leads from any step to the rows: no job reads what no job makes."""
    profile = load_profile("ci")
    layout = Layout(profile.results_root)
    jobs = [job for part in ("run", "tuning", "end") for job in list_jobs(profile, layout, part)]
    made = {output for job in jobs for output in STEPS[job.step].list_outputs(job)}
    read = {path for job in jobs for path in list_read(job) if profile.results_root in path.parents}
    assert len(read) > 50
    holders = {parent for output in made for parent in output.parents}
    assert [path for path in read if path not in holders and not made & {path, *path.parents}] == []


def test_summary_of_nothing_and_of_a_tree(tmp_path: Path, monkeypatch, capsys):
    profile = load_profile("organism")
    monkeypatch.setattr("harc.settings.profile.load_profile", lambda name: profile)
    monkeypatch.chdir(tmp_path)
    assert run_command(harc.cli.app, ["summary"]) == 1
    said = capsys.readouterr().err
    assert said.startswith(
        "error: results/organism: expected results of profile organism; found none; run `snakemake"
    )
    (tmp_path / "results/organism/tables").mkdir(parents=True)
    assert run_command(harc.cli.app, ["summary"]) == 1  # empty folders are no results
    capsys.readouterr()
    (tmp_path / "results/organism/tables.provenance.json").write_text("{}")
    assert run_command(harc.cli.app, ["summary"]) == 0
    said = capsys.readouterr().err
    assert "finished" not in said and "tables   results/organism/tables" in said
    assert run_command(harc.cli.app, ["summary", "--started", "1"]) == 0
    assert "profile organism finished in" in capsys.readouterr().err
