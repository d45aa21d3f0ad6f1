"""Every figure and table has its words in both reports and a place in the paper."""

import re
from pathlib import Path

import pytest
from jinja2 import Environment, StrictUndefined

from harc.core.yaml_text import read_yaml
from harc.results.catalogue import CAPTIONS, TABLES, write_captions
from harc.settings.profile import list_profiles, load_profile
from harc.suites.registry import ATTACK_SUITES

ROOT = Path(__file__).parents[2]
EVERY_TABLE = (*TABLES, "compute")  # made from sidecars, by a step of its own
ON_REQUEST = {"mt_bench"}  # of a profile of one's own that has a judge for it
FIGURES = sorted(ON_REQUEST.union(*(load_profile(name).figures for name in list_profiles())))
PROSE = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "paper/sections").glob("*.tex"))
WORDS = read_yaml(CAPTIONS)


@pytest.fixture(scope="module")
def captions(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("captions")
    write_captions(folder, ATTACK_SUITES)
    return folder


def render_caption(folder: Path, figure: str) -> str:
    """A figure's caption as Snakemake renders it."""
    environment = Environment(undefined=StrictUndefined)
    text = (folder / "figure.rst").read_text(encoding="utf-8")
    return environment.from_string(text).render(snakemake={"wildcards": {"figure": figure}}).strip()


@pytest.mark.parametrize("figure", FIGURES)
def test_a_figure_has_its_captions_and_its_place(figure, captions):
    assert len(render_caption(captions, figure)) > 40
    assert len(WORDS["figures"][figure]["title"]) > 20
    assert re.search(rf"\\generatedfigure\{{(real/)?{figure}\}}", PROSE)


@pytest.mark.parametrize("table", EVERY_TABLE)
def test_a_table_has_its_captions_and_its_place(table, captions):
    assert len((captions / f"{table}.rst").read_text(encoding="utf-8")) > 40
    assert "title" in WORDS["tables"][table] or table == "claims"
    assert re.search(rf"\\generated(table|long)\{{(real/)?{table}\}}", PROSE)


def test_no_caption_is_left_of_something_that_is_gone():
    assert set(WORDS["figures"]) == set(FIGURES)
    assert set(WORDS["tables"]) == set(EVERY_TABLE)


def test_captions_that_are_there_are_left_alone(captions):
    before = {path: path.stat().st_mtime_ns for path in captions.iterdir()}
    write_captions(captions, ATTACK_SUITES)
    assert {path: path.stat().st_mtime_ns for path in captions.iterdir()} == before


def test_the_guard_sees_an_unknown_figure(captions):
    with pytest.raises(Exception, match="no attribute 'figure99'"):
        render_caption(captions, "figure99")
