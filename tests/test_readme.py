"""The README says what was measured, and its commands exist."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
README = (PROJECT / "README.md").read_text(encoding="utf-8")


def run_check(folder: Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, str(folder / "benchmarks/update_documents.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )


def test_figures_are_those_of_the_committed_measurements():
    done = run_check(PROJECT)
    assert done.returncode == 0, done.stderr


def test_an_edited_figure_is_noticed(tmp_path):
    for name in ("benchmarks", "results/reference"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).symlink_to(PROJECT / name)
    # The script finds the README beside its own folder, so it must lie in the copy.
    (tmp_path / "benchmarks").unlink()
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks/measured").symlink_to(PROJECT / "benchmarks/measured")
    for name in ("update_documents.py", "real_study.py"):
        (tmp_path / "benchmarks" / name).write_text((PROJECT / "benchmarks" / name).read_text())
    (tmp_path / "README.md").write_text(re.sub(r"(\d)\.(\d) min", r"9\1.\2 min", README, count=1))
    done = run_check(tmp_path)
    assert done.returncode == 1
    assert "run `python benchmarks/update_documents.py`" in done.stderr


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([A-Za-z][\w/.-]*)\)", README))))
def test_links_lead_somewhere(link):
    assert (PROJECT / link).exists()


def test_first_screen_has_the_two_commands():
    first = README.split("## ")[0]
    assert "\nmake " in first
    assert "make test" in first
