"""The HTML report in a browser: no request, no complaint, sorted by a press, hostile output inert, no page overflow."""

import pytest
from fixtures.browser import PROGRAM, Browser, open_browser
from fixtures.results_tree import BACKBONES, METHODS, make_results_tree, view_tree

from harc.core.artifacts import Layout
from harc.results.catalogue import write_tables
from harc.results.figures import figure1
from harc.results.figures.style import save_figure
from harc.results.report import build_report
from harc.settings.analysis import AnalysisSettings

pytestmark = [
    pytest.mark.skipif(PROGRAM is None, reason="needs Chromium: `make browser` installs it where it may"),
]
SETTINGS = AnalysisSettings(report_examples=2)
COLUMN = """[...document.querySelectorAll("#tables ~ details table")[0].tBodies[0].rows]
  .map((row) => row.cells[{column}].dataset.sort)"""
PRESS = """document.querySelectorAll("#tables ~ details table")[0].tHead.rows[0].cells[{column}]
  .querySelector("button").click()"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    tree = make_results_tree(tmp_path_factory.mktemp("tree"), prompts=5)
    write_tables(view_tree(tree, settings=SETTINGS), tree / "tables")
    outputs = tree / "figures/figure1.pdf", tree / "figures/figure1.png"
    save_figure(figure1.draw(view_tree(tree)), *outputs)
    build_report(Layout(tree), list(BACKBONES), list(METHODS), [0], SETTINGS, "fake", figures=outputs[1:])
    return tree / "report.html"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with open_browser(tmp_path_factory.mktemp("chromium")) as started:
        yield started


@pytest.fixture
def opened(browser: Browser, page) -> Browser:
    browser.requests.clear()
    browser.complaints.clear()
    browser.open(page)
    return browser


def list_outside(browser: Browser, page) -> list[str]:
    """Addresses asked for other than the page itself and what it carries within."""
    return [
        address
        for address in browser.requests
        if address != page.as_uri() and not address.startswith("data:")
    ]


def test_it_asks_for_nothing_and_nobody_complains(opened, page):
    assert page.as_uri() in opened.requests
    assert list_outside(opened, page) == []
    assert opened.complaints == []


def test_the_guards_see_a_request_and_a_complaint(browser, tmp_path):
    bad = tmp_path / "bad.html"
    bad.write_text('<img src="missing.png"><script>console.error("oh"); nothing.here;</script>')
    browser.requests.clear()
    browser.complaints.clear()
    browser.open(bad)
    assert list_outside(browser, bad) == [(tmp_path / "missing.png").as_uri()]
    assert "oh" in browser.complaints and any("Uncaught" in text for text in browser.complaints)


def test_a_press_on_a_heading_sorts_by_number_and_again_reverses(opened):
    column = 3
    before = opened.evaluate(COLUMN.format(column=column))
    opened.evaluate(PRESS.format(column=column))
    rising = [float(value) for value in opened.evaluate(COLUMN.format(column=column))]
    opened.evaluate(PRESS.format(column=column))
    falling = [float(value) for value in opened.evaluate(COLUMN.format(column=column))]
    assert rising == sorted(map(float, before)) and falling == rising[::-1]
    assert len(set(rising)) > 1 and [float(value) for value in before] != rising


def test_every_table_has_buttons_for_headings(opened):
    tables, headings, buttons = opened.evaluate(
        """["table.sortable", "table.sortable thead th", "table.sortable thead th button"]
          .map((what) => document.querySelectorAll(what).length)"""
    )
    assert tables > 5 and headings == buttons > 20


def test_hostile_output_is_text(opened):
    """The fake answers hold a script, LaTeX commands, an escape, a NUL and a change of direction."""
    answers = opened.evaluate("[...document.querySelectorAll('dl pre')].map((part) => part.textContent)")
    hostile = next(text for text in answers if "alert" in text)
    assert "<script>alert('x')</script> & \\input{/etc} 100% $x_1$" in hostile
    assert "[U+001B]" in hostile and "[U+0000]" in hostile and "[U+202E]" in hostile
    assert opened.evaluate("document.querySelectorAll('script').length") == 1
    assert opened.evaluate("document.querySelectorAll('dl pre *').length") == 0


def test_examples_stay_closed_behind_the_warning(opened):
    assert opened.evaluate("document.querySelector('details.warning').open") is False
    assert "Content warning" in opened.evaluate(
        "document.querySelector('details.warning summary').textContent"
    )


@pytest.mark.parametrize("width", [360, 1600])
def test_the_page_is_no_wider_than_its_window(browser, page, width):
    browser.open(page, width=width)
    browser.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
