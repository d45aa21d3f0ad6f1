"""Commands about results, asked of what holds none: one line, exit status 1, nowhere "sound" or "the same"."""

import sys
from pathlib import Path

import pytest

from harc import cli
from harc.core.artifacts import sidecar_path
from harc.core.tree_files import hash_state, holds_tree, require_tree


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a file, an empty folder, folders of other things, and two trees."""
    for name in (
        "docs/results.md",
        "data/rows.jsonl",
        "results/organism/scores/a.provenance.json",
        "results/reference/study/pack.json",
    ):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("x")
    (tmp_path / "empty").mkdir()
    (tmp_path / "config").symlink_to(Path(__file__).parents[2] / "config")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, *words: str) -> str:
    """The one line that a command ends with."""
    monkeypatch.setattr(sys, "argv", ["harc", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    shown = capsys.readouterr()
    assert ended.value.code == 1
    assert shown.out == "" and shown.err.startswith("error: ") and shown.err.count("\n") == 1, shown
    return shown.err


NOTHING = {
    "results/study": "found nothing; did you mean results/reference/study?",
    "results/organsm": "found nothing; did you mean results/organism?",
    "results/refrence/organism": "found nothing; check the path",
    "empty": "found an empty folder",
    "docs": "found a folder without sidecars of artifacts",
    "docs/results.md": "found a file",
    "results": "found a folder without sidecars of artifacts; did you mean results/organism?",
    "results/organism/scores": "found a folder without sidecars of artifacts; did you mean results/organism?",
    "results/organism/scores/a.provenance.json": "found a file; did you mean results/organism?",
    ".": "found a folder without sidecars",
}


@pytest.mark.parametrize("path", NOTHING)
@pytest.mark.parametrize("options", [(), ("--recompute", "3"), ("--out", "report")], ids=str)
def test_an_audit_of_nothing_is_an_error(here, monkeypatch, capsys, path: str, options: tuple):
    line = run(monkeypatch, capsys, "audit", path, *options)
    assert f"error: {path}: expected a results tree; {NOTHING[path]}" in line
    assert not (here / "report").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("compare", "results/a", "results/b"),
        ("compare", "results/a", "results/a"),
        ("compare", "docs", "docs"),
        ("compare", "empty", "empty", "--common"),
        ("compare", "docs/results.md", "docs/results.md"),
        ("claims", "--profile", "ci"),
        ("claims", "--reference", "organsm"),
        ("summary", "--profile", "ci"),
        ("reference", "--profile", "ci"),
        ("audit", "--profile", "ci"),
        ("audit", "--profile", "ci", "--full"),
        ("audit", "--profile", "ci", "--recompute", "2"),
        ("step", "audit", "--profile", "ci"),
    ],
    ids=" ".join,
)
def test_so_is_every_other_question_about_it(here, monkeypatch, capsys, words: tuple):
    line = run(monkeypatch, capsys, *words)
    expected = ("a results tree", "results of profile ci", "computed verdicts", "one of study")
    assert any(f"expected {words}" in line for words in expected), line
    assert sorted(path.name for path in (here / "results").iterdir()) == ["organism", "reference"]


def test_two_trees_without_a_file_in_common_do_not_agree(here, monkeypatch, capsys):
    for name in ("a/scores/x.csv", "b/scores/y.csv"):
        Path("results", name).parent.mkdir(parents=True)
        Path("results", name).write_text("rate\n1\n")
    line = run(monkeypatch, capsys, "compare", "results/a", "results/b", "--common")
    assert "results/b: expected files that results/a has too; found none in common" in line


@pytest.mark.parametrize("name", ["scores/b/m/seed0", "tables", "figures/figure1.pdf", "report.html"])
def test_one_sidecar_in_its_place_makes_a_tree(tmp_path: Path, name: str):
    assert not holds_tree(tmp_path)
    sidecar = sidecar_path(tmp_path / name)
    sidecar.parent.mkdir(parents=True, exist_ok=True)
    sidecar.write_text("")
    require_tree(tmp_path)


def test_a_sidecar_elsewhere_makes_none(tmp_path: Path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/x.provenance.json").write_text("")
    assert not holds_tree(tmp_path)


def test_the_state_of_a_tree_is_that_of_its_files(tmp_path: Path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/x").write_text("1")
    before = hash_state(tmp_path)
    (tmp_path / "a/x").touch()
    assert hash_state(tmp_path) == before
    (tmp_path / "a/x").rename(tmp_path / "a/y")
    assert hash_state(tmp_path) != before
