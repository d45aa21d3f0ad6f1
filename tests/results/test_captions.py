"""Every figure and table has its words in both reports and a place in the paper."""

import re
from pathlib import Path

import pytest
from jinja2 import Environment, StrictUndefined

from harc.results.report import CAPTIONS, TITLES
from harc.results.make import TABLES
from harc.settings.profile import list_profiles, load_profile

ROOT = Path(__file__).parents[2]
EVERY_TABLE = (*TABLES, "compute")  # made from sidecars, by a step of its own
CAPTION_FILES = ROOT / "workflow/report"
ON_REQUEST = {"mt_bench"}  # of a profile of one's own that has a judge for it
FIGURES = sorted(ON_REQUEST.union(*(load_profile(name).figures for name in list_profiles())))
PROSE = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "paper/sections").glob("*.tex"))


def render_caption(figure: str) -> str:
    """A figure's caption as Snakemake renders it."""
    environment = Environment(undefined=StrictUndefined)
    text = (CAPTION_FILES / "figure.rst").read_text(encoding="utf-8")
    return environment.from_string(text).render(snakemake={"wildcards": {"figure": figure}}).strip()


@pytest.mark.parametrize("figure", FIGURES)
def test_a_figure_has_its_captions_and_its_place(figure):
    assert len(render_caption(figure)) > 40
    assert figure in CAPTIONS
    assert f"\\generatedfigure{{{figure}}}" in PROSE


@pytest.mark.parametrize("table", EVERY_TABLE)
def test_a_table_has_its_captions_and_its_place(table):
    assert len((CAPTION_FILES / f"{table}.rst").read_text(encoding="utf-8")) > 40
    assert table in TITLES or table == "claims"
    assert re.search(rf"\\generated(table|long)\{{{table}\}}", PROSE)


def test_no_caption_is_left_of_something_that_is_gone():
    named = re.findall(
        r'^  "(\w+)":$', (CAPTION_FILES / "figure.rst").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert set(named) == set(FIGURES)
    assert {path.stem for path in CAPTION_FILES.glob("*.rst")} == {"workflow", "figure", *EVERY_TABLE}
    assert set(CAPTIONS) == set(FIGURES) and set(TITLES) <= set(EVERY_TABLE)


def test_the_guard_sees_an_unknown_figure():
    with pytest.raises(Exception, match="no attribute 'figure99'"):
        render_caption("figure99")
