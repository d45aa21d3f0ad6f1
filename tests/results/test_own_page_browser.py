"""The page of `harc evaluate` in a browser: no request, filter and search, keyboard, widths, contrast, no scripts."""

import pytest
from fixtures.browser import PROGRAM, Browser, open_browser
from fixtures.own_runs import make_rows, refuse_below, write_one, write_several

from harc.results.own_page import write_own_page

pytestmark = pytest.mark.skipif(
    PROGRAM is None, reason="needs Chromium: `make browser` installs it where it may"
)
HOSTILE = "<script>document.title='owned'</script><img src=x onerror=alert(1)>\u202e " + "w" * 3000
VISIBLE = "[...document.querySelectorAll('article')].filter((part) => part.checkVisibility()).length"


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    rows = make_rows(120, categories=6)
    for place, row in enumerate(rows):
        if place % 6 == 5:
            row.update(category=HOSTILE, prompt=f"{HOSTILE} {place}")
    answers = {
        "base": refuse_below(0.6, 0.05),
        "lora": refuse_below(0.1, 0.2),
        "strict": refuse_below(0.0, 0.5),
    }
    write_several(folder / "several", rows, answers)
    write_one(folder / "one", rows, refuse_below(0.3, 0.1), model="a" * 300)
    write_one(folder / "dead", rows, lambda row: "")
    return {name: write_own_page(folder / name) for name in ("several", "one", "dead")}


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with open_browser(tmp_path_factory.mktemp("chromium")) as started:
        yield started


@pytest.fixture
def opened(browser: Browser, pages) -> Browser:
    browser.requests.clear()
    browser.complaints.clear()
    browser.open(pages["several"])
    return browser


def choose(browser: Browser, name: str, value: str) -> None:
    browser.evaluate(
        f"document.getElementById('{name}').value = {value!r};"
        f"document.getElementById('{name}').dispatchEvent(new Event('input', {{bubbles: true}}))"
    )


def test_it_asks_for_nothing_and_hostile_text_is_inert(opened, pages):
    assert opened.requests == [pages["several"].as_uri()] and opened.complaints == []
    assert "owned" not in opened.evaluate("document.title")
    assert opened.evaluate("document.querySelectorAll('script').length") == 1
    assert opened.evaluate("document.querySelectorAll('img').length") == 0
    assert opened.evaluate("document.querySelectorAll('pre *:not(em)').length") == 0


def test_examples_stay_closed_behind_the_warning_until_they_are_opened(opened):
    assert opened.evaluate("document.querySelector('details.warning').open") is False
    assert opened.evaluate(VISIBLE) == 0
    opened.evaluate("document.querySelector('details.warning').open = true")
    assert opened.evaluate(VISIBLE) > 10


def test_filters_and_search_leave_what_fits_and_reset_shows_all(opened):
    opened.evaluate("document.querySelector('details.warning').open = true")
    every = opened.evaluate(VISIBLE)
    choose(opened, "finding", "newly-refused")
    fitting = opened.evaluate(VISIBLE)
    assert 0 < fitting < every
    assert opened.evaluate("document.getElementById('found').textContent") == f"{fitting} of {every} shown"
    left = "document.querySelectorAll('article:not([hidden])[data-findings~=newly-refused]').length"
    assert opened.evaluate(left) == fitting
    choose(opened, "kind", "harmful")
    assert opened.evaluate(VISIBLE) == 0
    opened.evaluate(
        "document.querySelector('form button').click(); new Promise((done) => setTimeout(done, 50))"
    )
    assert opened.evaluate(VISIBLE) == every
    word = opened.evaluate("document.querySelector('article pre').textContent").split()[-1]
    choose(opened, "words", f"NUMBER {word}")
    assert 0 < opened.evaluate(VISIBLE) < every
    choose(opened, "words", "no such word anywhere")
    assert opened.evaluate(VISIBLE) == 0


def test_the_hostile_category_is_a_filter_like_any_other(opened):
    opened.evaluate("document.querySelector('details.warning').open = true")
    hostile = (
        "[...document.getElementById('category').options].find((one) => one.value.includes('owned')).value"
    )
    opened.evaluate(
        f"document.getElementById('category').value = {hostile};"
        "document.getElementById('category').dispatchEvent(new Event('input', {bubbles: true}))"
    )
    assert opened.evaluate(VISIBLE) > 0


def test_everything_is_reached_by_the_keyboard(opened):
    """Tab goes from links through folded parts, scrolling tables and the filter, in order, and never sticks."""
    opened.evaluate("document.querySelector('details.warning').open = true; document.body.focus()")
    seen = []
    for _ in range(60):
        opened.call(
            "Input.dispatchKeyEvent", type="rawKeyDown", key="Tab", code="Tab", windowsVirtualKeyCode=9
        )
        opened.call("Input.dispatchKeyEvent", type="keyUp", key="Tab", code="Tab", windowsVirtualKeyCode=9)
        seen.append(
            opened.evaluate(
                "document.activeElement.id || document.activeElement.className || document.activeElement.tagName"
            )
        )
        if seen[-1] == "category":
            break
    assert {"A", "scroll", "SUMMARY", "words", "finding", "kind", "category"} <= set(seen)


def test_pictures_have_words_and_fields_have_labels(opened):
    bare = "[...document.querySelectorAll('svg[role=img]')].filter((one) => !one.getAttribute('aria-label')).length"
    assert (
        opened.evaluate(bare) == 0
        and opened.evaluate("document.querySelectorAll('svg[role=img]').length") > 5
    )
    assert (
        opened.evaluate("[...document.querySelectorAll('input, select')].every((one) => one.labels.length)")
        is True
    )


@pytest.mark.parametrize("name", ["several", "one", "dead"])
@pytest.mark.parametrize("width", [320, 400, 1400])
def test_the_page_is_no_wider_than_its_window(browser, pages, name, width):
    browser.open(pages[name], width=width)
    browser.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    assert browser.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_from_what_is_behind_them(browser, pages, scheme):
    """Contrast of 4.5 at least (WCAG 2.2, 1.4.3) wherever there is text."""
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    low = []
    for name in ("several", "dead"):
        browser.open(pages[name])
        browser.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
        low += browser.evaluate(CONTRAST)
    browser.call("Emulation.setEmulatedMedia", features=[])
    assert low == []


CONTRAST = """(() => {
  const light = (rgb) => {
    const [r, g, b] = rgb.map((v) => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b; };
  const read = (text) => (text.match(/[\\d.]+/g) ?? []).map(Number);
  const behind = (part) => { for (let at = part; at; at = at.parentElement) {
    const found = read(getComputedStyle(at).backgroundColor);
    if (found.length === 3 || found[3] > 0) return found.slice(0, 3); }
    return [255, 255, 255]; };
  const low = [];
  for (const part of document.querySelectorAll("p, li, th, td, span, b, a, summary, label, dt, dd, pre, h1, h2, h3")) {
    if (!part.textContent.trim() || !part.getClientRects().length) continue;
    const [one, two] = [light(read(getComputedStyle(part).color)), light(behind(part))].sort((a, b) => b - a);
    const name = part.tagName + " " + part.className + ": " + part.textContent.slice(0, 30);
    if ((one + .05) / (two + .05) < 4.5) low.push(name);
  }
  return low.slice(0, 5);
})()"""


def test_without_scripts_all_is_there_but_the_search(browser, pages, tmp_path):
    text = pages["several"].read_text()
    quiet = tmp_path / "quiet.html"
    quiet.write_text(text.replace("script-src 'unsafe-inline'", "script-src 'none'"))
    browser.open(quiet)
    browser.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    assert browser.evaluate(VISIBLE) == text.count("<article") > 10
    assert browser.evaluate("document.getElementById('filter').getClientRects().length") == 0
    browser.open(pages["several"])
    browser.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    assert browser.evaluate("document.getElementById('filter').getClientRects().length") == 1


def test_what_is_hard_to_read_would_be_found(browser, tmp_path):
    """The twin of the test of contrast."""
    (tmp_path / "pale.html").write_text(
        "<body style='background: #fff'><p style='color: #999'>pale</p><p>dark</p>"
    )
    browser.open(tmp_path / "pale.html")
    assert browser.evaluate(CONTRAST) == ["P : pale"]
