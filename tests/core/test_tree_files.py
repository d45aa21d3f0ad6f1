"""The one walk over a results tree: what it lists, and what it refuses without hanging."""

import os
import socket
from pathlib import Path

import pytest

from harc.core.errors import ArtifactError
from harc.core.tree_files import scan_tree, walk_files


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    for name in ("scores/a/scores.csv", "logs/x.log", "report.html"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x")
    (root / "empty").mkdir()
    return root


def test_regular_files_are_listed_in_order(tree: Path):
    assert walk_files(tree) == [tree / name for name in ("logs/x.log", "report.html", "scores/a/scores.csv")]
    assert walk_files(tree, ("logs",)) == [tree / "report.html", tree / "scores/a/scores.csv"]


def test_the_root_may_be_a_link(tree: Path, tmp_path: Path):
    (tmp_path / "link").symlink_to(tree)
    assert [path.relative_to(tmp_path / "link") for path in walk_files(tmp_path / "link")] == [
        path.relative_to(tree) for path in walk_files(tree)
    ]


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # a socket's path has at most some hundred bytes
    try:
        socket.socket(socket.AF_UNIX).bind(path.name)
    finally:
        os.chdir(here)


ODD = {
    "a link to a file": (lambda path: path.symlink_to("report.html"), "a symbolic link to report.html"),
    "a link to a folder": (lambda path: path.symlink_to("scores"), "a symbolic link to scores"),
    "a broken link": (lambda path: path.symlink_to("nowhere"), "a symbolic link to nowhere"),
    "a loop": (lambda path: path.symlink_to("."), "a symbolic link to ."),
    "a link to itself": (lambda path: path.symlink_to(path.name), "a symbolic link to odd"),
    "a pipe": (make_pipe, "a named pipe"),
    "a socket": (make_socket, "a socket"),
}


@pytest.mark.parametrize("kind", ODD)
def test_what_is_no_file_is_a_problem_and_never_opened(tree: Path, kind: str):
    make, found = ODD[kind]
    make(tree / "odd")
    scan = scan_tree(tree)
    assert [(problem.path, problem.found) for problem in scan.problems] == [(tree / "odd", found)]
    assert len(scan.files) == 3
    with pytest.raises(ArtifactError, match=f"odd: expected folders and regular files.*{found}"):
        walk_files(tree)
    assert walk_files(tree, ("odd",)) == list(scan.files)


def test_a_name_that_is_no_text_is_a_problem(tree: Path):
    Path(os.fsdecode(os.fsencode(tree) + b"/\xff")).write_text("x")
    assert [problem.found for problem in scan_tree(tree).problems] == ["a name that is not UTF-8"]
    with pytest.raises(ArtifactError, match="rename it"):
        walk_files(tree)


def test_a_folder_that_cannot_be_listed_is_a_problem(tree: Path, monkeypatch: pytest.MonkeyPatch):
    listed = os.scandir

    def refuse(folder):
        if Path(folder).name == "scores":
            raise PermissionError(13, "Permission denied", str(folder))
        return listed(folder)

    monkeypatch.setattr(os, "scandir", refuse)  # the tests may run as root, whom no mode keeps out
    (problem,) = scan_tree(tree).problems
    assert problem.path == tree / "scores" and "Permission denied" in problem.found


def test_a_missing_root_is_a_problem(tmp_path: Path):
    (problem,) = scan_tree(tmp_path / "nowhere").problems
    assert "No such file" in problem.found
