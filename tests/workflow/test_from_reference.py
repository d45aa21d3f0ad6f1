"""The paper from the committed study alone: complete, idle when nothing changed, redrawing only what changed."""

import hashlib
import shutil
from pathlib import Path

import pytest
from fixtures.project_copy import Copy, copy_project

from harc.core.artifacts import Layout
from harc.core.errors import ConfigError
from harc.core.files import read_json
from harc.settings.profile import load_profile
from harc.steps.commands import create_job
from harc.steps.paper import find_latex, find_real_job, list_paper_inputs
from harc.steps.reference import find_profile, find_real_study, locate_reference, stands_in

PDF_RULES = {"build_paper_from_reference"} if find_latex() else set()


def hash_folder(folder) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        digest.update(f"{path.relative_to(folder)}\n".encode())
        digest.update(path.read_bytes() if path.is_file() else b"")
    return digest.hexdigest()


@pytest.fixture(scope="module")
def rebuilt(tmp_path_factory, warm) -> Copy:
    """A clone with nothing but the committed study, after `snakemake paper`."""
    copy = copy_project(tmp_path_factory.mktemp("clone"), studies=True)
    before = hash_folder(copy.root / "results/reference")
    run = copy.snakemake("paper", profile="organism", **warm(copy))
    assert run.status == 0, run.text[-6000:]
    assert hash_folder(copy.root / "results/reference") == before
    return copy


def test_tables_figures_paper_and_report_are_there(rebuilt):
    layout = Layout(rebuilt.root / "results/from_reference/organism")
    assert (layout.tables / "table1.tex").is_file() and (layout.figures / "figure1.pdf").is_file()
    assert layout.report.is_file()
    assert (rebuilt.root / "paper/main.pdf").is_file() == bool(find_latex())
    made = {"reference", "unpacked", "from_reference"}
    assert {path.name for path in (rebuilt.root / "results").iterdir()} == made


def test_it_shows_the_study_that_is_committed(rebuilt):
    sidecar = read_json(rebuilt.root / "results/from_reference/organism/tables.provenance.json")
    assert sidecar["command"].endswith(" --reference organism")
    kept = [
        name for name in sidecar["inputs"] if name.startswith("project://results/unpacked/organism/scores/")
    ]
    shown = read_json(rebuilt.root / "results/unpacked/organism/tables.provenance.json")["inputs"]
    assert (
        len(kept)
        == len([name for name in shown if name.startswith("results://scores/") and "outcomes" in name])
        > 0
    )


def test_only_what_changed_is_to_do_and_a_full_run_is_still_a_run(rebuilt):
    """The committed study stands in for the paper's results only: without a target, models are trained."""
    figure = "harc/results/figures/figure5.py"
    nothing, redrawn, full = rebuilt.list_reruns(
        {"profile": "organism", "target": "paper"},
        {"profile": "organism", "target": "paper", "edit": [figure, "", "\nUNUSED = 1\n"]},
        {"profile": "organism"},
    )
    assert nothing == {}
    drawn = {"make_figure_from_reference", "make_figure_of_real_study"}
    assert set(redrawn) == {*drawn, "build_report_from_reference", "paper"} | PDF_RULES
    assert {redrawn[rule] for rule in drawn} == {1}
    assert {"train_backbone", "evaluate", "make_tables"} <= set(full)
    assert not [rule for rule in full if rule.endswith("_from_reference")]


def test_a_tree_that_was_touched_is_unpacked_again(rebuilt):
    """A file of it that is gone or edited would change the tables without a word."""
    edited = rebuilt.root / "results/unpacked/organism/root_hash.json"
    gone = next((rebuilt.root / "results/unpacked/organism/scores").rglob("outcomes.csv"))
    before = edited.read_bytes(), gone.read_bytes()
    edited.write_text("{}")
    gone.unlink()
    assert rebuilt.run("harc", "reference", "unpack").status == 0
    assert (edited.read_bytes(), gone.read_bytes()) == before


def test_another_pack_is_unpacked_and_shown(rebuilt):
    plain = rebuilt.root / "results/reference/organism/tables/table1.csv"
    before = plain.read_bytes()
    plain.write_bytes(before + b"\n")
    try:
        (rules,) = rebuilt.list_reruns({"profile": "organism", "target": "paper"})
    finally:
        plain.write_bytes(before)
    assert {"unpack_organism", "make_tables_from_reference", "make_figure_from_reference"} <= set(rules)


def test_a_run_of_its_own_comes_first(rebuilt):
    begun = rebuilt.root / "results/organism/backbones"
    begun.mkdir(parents=True)
    try:
        (rules,) = rebuilt.list_reruns({"profile": "organism", "target": "paper"})
    finally:
        shutil.rmtree(begun.parent)
    assert "train_backbone" in rules and "make_tables_from_reference" not in rules


def test_no_such_study_is_an_error(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        ConfigError, match=r"expected one of none: no study is committed; found no such study"
    ):
        locate_reference("organism")
    assert not stands_in("organism", tmp_path)


def test_the_study_names_the_profile_that_it_was_run_with():
    layout = locate_reference("organism")
    assert find_profile("organism") == "organism_study"
    assert layout.runs != layout.root
    assert layout.scores("a", "b", 0).is_relative_to(layout.runs)
    assert layout.tables.is_relative_to(layout.root)


def test_a_study_of_published_models_is_shown_beside_the_profiles_own_where_it_is_there():
    profile = load_profile("organism")
    assert profile.real_study == "smollm2" and load_profile("ci").real_study is None
    absent = profile.model_copy(update={"real_study": "not_there"})
    beside = profile.model_copy(update={"real_study": "organism"})  # any finished study will do
    shown = Path("results/from_reference/organism")
    for other, is_shown in ((absent, False), (beside, True)):
        job = create_job("build_paper", other, None)
        assert (find_real_study(other) is not None) is is_shown
        inputs = list_paper_inputs(job)
        assert (shown / "tables/contrasts.tex" in inputs) is is_shown
        assert job.layout.tables / "contrasts.tex" in inputs
    own = create_job("build_paper", load_profile("smollm2"), None)
    assert find_real_job(own) is own  # published models alone: the section is of the run itself


def test_snakemakes_own_report_shows_every_figure_and_table_with_its_caption(rebuilt):
    run = rebuilt.snakemake("paper", "--report", "report.html", profile="organism")
    assert run.status == 0, run.text[-3000:]
    page = (rebuilt.root / "report.html").read_text(encoding="utf-8")
    shown = Layout(rebuilt.root / "results/from_reference/organism")
    names = [path.name for path in (*shown.tables.glob("*.csv"), *shown.figures.glob("*.png"))]
    assert len(names) > 20
    assert [name for name in names if name not in page] == []
    assert "Trade-off: mean attack success against mean over-refusal" in page  # of figure5
    assert "failed claims are rows like all others" in page  # of the ledger
