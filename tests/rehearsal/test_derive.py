"""A rehearsal has the jobs of its profile, one for one, and nothing of its size; and it says what it is everywhere."""

import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest

from harc.audit.cache_store import push_results
from harc.audit.keep import keep_progress
from harc.core.artifacts import Layout
from harc.core.errors import ConfigError
from harc.rehearsal.derive import ROWS, derive_values
from harc.rehearsal.public_files import write_public_files
from harc.rehearsal.report import format_rehearsal, list_unshown
from harc.rehearsal.stand_ins import list_models
from harc.results.figures.style import Canvas
from harc.results.marks import MARK, mark_csv, mark_figure, mark_paper, mark_tables
from harc.settings.profile import Profile, load_profile
from harc.steps.job import Job
from harc.steps.paper import locate_pdf
from harc.steps.registry import list_jobs

REHEARSED = ("small", "paper", "large")


def derive(name: str, folder: Path) -> Profile:
    url = "http://127.0.0.1:1/v1"
    values = derive_values(load_profile(name), folder / "results", folder / "registry.yaml", url)
    path = folder / f"{name}.yaml"
    path.write_text(json.dumps(values))
    return load_profile(str(path))


def name_jobs(profile: Profile) -> list[tuple]:
    jobs: list[Job] = list_jobs(profile, Layout(profile.results_root)) + list_jobs(
        profile, Layout(profile.results_root), "end"
    )
    return [(job.step, job.backbone, job.method, job.seed, job.figure) for job in jobs]


@pytest.mark.parametrize("name", REHEARSED)
def test_the_jobs_are_those_of_the_profile(name, tmp_path):
    real, rehearsal = load_profile(name), derive(name, tmp_path)
    assert name_jobs(rehearsal) == name_jobs(real)
    assert rehearsal.evaluation.suites == real.evaluation.suites
    assert rehearsal.evaluation.judges == real.evaluation.judges
    for backbone in real.backbones:
        assert not rehearsal.backbones[backbone].gpu
        for method in real.adapted:
            settings, tiny = (
                real.choose_training(backbone, method),
                rehearsal.choose_training(backbone, method),
            )
            assert tiny.objective == settings.objective
            assert settings.start_from == tiny.start_from and (tiny.steps <= 4 or tiny.is_fitted)


def test_a_rehearsal_lies_apart_and_says_what_it_is(tmp_path):
    rehearsal = derive("small", tmp_path)
    assert rehearsal.results_root == Path("results/rehearsal/small")
    assert locate_pdf(rehearsal) == Path("results/rehearsal/small.paper/main.pdf")
    assert locate_pdf(load_profile("small")) == Path("paper/main.pdf")


def test_nothing_of_it_can_be_packed_or_pushed(tmp_path):
    rehearsal = derive("small", tmp_path)
    for refuse in (
        lambda: keep_progress(rehearsal, "small", tmp_path),
        lambda: push_results(rehearsal, str(tmp_path), tmp_path / "pin.json", {}),
    ):
        with pytest.raises(ConfigError, match="found a rehearsal on stand-ins; name the real one: small"):
            refuse()


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("organism", "one of organisms, which costs nothing to try; run profile ci"),
        ("ci", "one of organisms"),
        ("smol", "found smollm2-135m, for which there is no stand-in yet"),
    ],
)
def test_a_profile_without_models_of_the_hub_is_refused(name, found, tmp_path):
    with pytest.raises(ConfigError, match=found):
        derive(name, tmp_path)


def test_a_model_of_unknown_shape_is_named(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(json.dumps({"extends": "small", "backbones": {"llama3.2-1b": {"model_id": "lab/new"}}}))
    with pytest.raises(ConfigError, match=r"found lab/new; add its shape to harc/rehearsal/published.py"):
        list_models(load_profile(str(path)))


def test_every_model_of_the_profiles_has_a_shape():
    needed = [
        (name, purpose)
        for profile in REHEARSED
        for name, (purpose, _) in list_models(load_profile(profile)).items()
    ]
    assert {purpose for _, purpose in needed} == {"chat", "attacker"}


def test_public_files_are_the_same_bytes_each_time_and_enough_for_the_rows(tmp_path):
    for name in ("one", "two"):
        write_public_files(tmp_path / name, "http://127.0.0.1:1/files", tmp_path / f"{name}.yaml")
    assert (tmp_path / "one.yaml").read_bytes() == (tmp_path / "two.yaml").read_bytes()
    assert ROWS["extraction_rows"] + ROWS["training_rows"] < 60


def test_the_last_screen_counts_what_did_not_pass(tmp_path, monkeypatch):
    rehearsal = derive("small", tmp_path)
    (tmp_path / "config").symlink_to(Path("config").absolute())
    monkeypatch.chdir(tmp_path)
    text = format_rehearsal(rehearsal, "small", seconds=61)
    assert text.splitlines()[1] == MARK
    assert (
        "rehearsal of small: 0 of " in text and "after 1 min 1 s" in text and "not passed: pull_data" in text
    )
    assert (
        "the real run needs about 14 to 124 hours of one NVIDIA H200" in text
        and "`harc estimate small`" in text
    )
    assert any("GPU" in line for line in list_unshown(load_profile("large")))


def test_tables_figures_and_pages_are_marked(tmp_path):
    (tmp_path / "table1.csv").write_text('method,rate\n"a, b",0.5\n')
    (tmp_path / "table1.tex").write_text("\\begin{tabular}{l}\\end{tabular}\n")
    for _ in range(2):  # once is enough
        mark_tables(tmp_path)
    assert (tmp_path / "table1.csv").read_text() == f'method,rate,rehearsal\n"a, b",0.5,{MARK}\n'
    assert (tmp_path / "table1.tex").read_text().count(MARK) == 1
    assert mark_csv("a\n") == "a,rehearsal\n"
    canvas = Canvas(plt.figure(), np.array([[]]))
    assert not canvas.figure.texts
    mark_figure(canvas)
    assert [text.get_text() for text in canvas.figure.texts] == [MARK]
    marked = mark_paper("\\documentclass{article}\n\\begin{document}\nx\n\\end{document}\n")
    assert marked.index(MARK) < marked.index("\\begin{document}")
    with pytest.raises(ValueError, match="begin{document}"):
        mark_paper("no document")


def test_the_project_s_own_paper_has_a_place_for_the_mark():
    assert MARK in mark_paper(Path("paper/main.tex").read_text(encoding="utf-8"))
