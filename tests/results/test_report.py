"""The HTML report: self-contained, escaped, complete (see test_report_browser.py for how it behaves)."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from fixtures.results_tree import BACKBONES, HOSTILE, METHODS, make_results_tree, view_tree

from harc.core.artifacts import Layout
from harc.core.errors import ArtifactError
from harc.core.files import write_json
from harc.results.catalogue import write_tables
from harc.results.claims import VERDICTS
from harc.results.figures import figure1
from harc.results.figures.style import save_figure
from harc.results.report import build_report, collect_examples, make_safe
from harc.settings.analysis import AnalysisSettings

SETTINGS = AnalysisSettings(report_examples=2)


class Links(HTMLParser):
    """Every address that a page would load, and how often each tag occurs."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.tags: dict[str, int] = {}

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags[tag] = self.tags.get(tag, 0) + 1
        self.addresses += [value for name, value in attrs if name in {"src", "href"} and value]


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    tree = make_results_tree(tmp_path_factory.mktemp("tree"), prompts=5)
    write_tables(view_tree(tree, settings=SETTINGS), tree / "tables")
    outputs = tree / "figures" / "figure1.pdf", tree / "figures" / "figure1.png"
    save_figure(figure1.draw(view_tree(tree)), *outputs)
    (tree / "figures/dropped.png").write_bytes(b"a figure that the profile no longer has")
    sidecar = {"command": "harc step score --method '<b>'", "code": "c" * 64, "settings_hash": "s" * 64,
               "git_commit": None, "wall_seconds": 1.5, "peak_memory_mb": 90.0}  # fmt: skip
    write_json(tree / "scores" / "x.provenance.json", sidecar)
    shown = {"figures": outputs[1:], "sidecars": [tree / "scores" / "x.provenance.json"]}
    build_report(Layout(tree), list(BACKBONES), list(METHODS), [0], SETTINGS, "fake", **shown)
    return tree / "report.html"


def test_nothing_is_loaded_from_outside(page):
    links = Links()
    links.feed(page.read_text(encoding="utf-8"))
    assert links.addresses and all(address.startswith(("data:", "#")) for address in links.addresses)
    assert "default-src 'none'" in page.read_text(encoding="utf-8")
    assert links.tags["script"] == 1


def test_figures_and_origins_are_those_of_the_profile(page):
    text = page.read_text(encoding="utf-8")
    assert "figure1" in text and "dropped" not in text
    assert "scores/x" in text


def test_model_output_is_escaped_and_its_control_characters_shown(page):
    text = page.read_text(encoding="utf-8")
    assert "<script>alert" not in text and "&lt;script&gt;alert" in text
    assert "[U+001B]" in text and "[U+202E]" in text and "\x1b" not in text and "\u202e" not in text
    assert "<b>" not in text


def test_every_part_is_there(page):
    text = page.read_text(encoding="utf-8")
    for part in ("Claims", "Figures", "Tables", "Content warning", "Provenance", "data:image/png;base64,"):
        assert part in text
    assert text.count("<details") >= 10 and re.search(r"<details class=\"warning\">", text)


def test_claims_of_every_verdict_are_counted(page):
    counts = re.findall(r"<span class=\"verdict v\d\">(\d+) ", page.read_text(encoding="utf-8"))
    assert len(counts) == len(VERDICTS) and sum(map(int, counts)) >= 20


def test_output_is_bounded():
    assert make_safe("x" * 50, 10) == "x" * 10 + " [... 40 characters more]"
    assert make_safe("a\nb\x07", 100) == "a\nb[U+0007]"


def test_examples_come_in_file_order(tmp_path):
    tree = make_results_tree(tmp_path, prompts=4)
    groups = collect_examples(Layout(tree), [BACKBONES[0]], ["base"], 0, SETTINGS)
    assert groups and all(len(group["records"]) == 2 for group in groups)
    assert groups[0]["records"][0]["response"] == make_safe(HOSTILE, 1200)


def test_no_tables_is_an_error(tmp_path):
    with pytest.raises(ArtifactError, match="expected the tables of this profile; found none"):
        build_report(Layout(tmp_path), [], [], [0], SETTINGS)
