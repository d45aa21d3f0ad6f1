"""Whatever goes wrong in the command ends in one line on standard error and a fitting exit status."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

import harc.cli
from harc.cli.running import make_app, run_command
from harc.core.errors import DataError, HarcError, describe_system_problem

ROOM = "expected room on the disk; found no space left on device; free some, then give the same command again"


def run_failing(problem: BaseException, capsys) -> tuple[int, str]:
    """Exit status of a command that fails in some way, and what it says."""
    app = make_app("Fails.")

    @app.command()
    def step() -> None:
        raise problem

    @app.command()
    def other() -> None:
        """A second command, so that the first one has a name."""

    status = run_command(app, ["step"])
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and said.err.startswith("error: ")
    return status, said.err.removeprefix("error: ").rstrip("\n")


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), f"harc step: {ROOM}"),
        (OSError(errno.ENOSPC, "No space left on device", "results/a.csv"), f"results/a.csv: {ROOM}"),
        (PermissionError(errno.EACCES, "Permission denied", "out"), "out: expected permission to use it; found "),
        (IsADirectoryError(errno.EISDIR, "Is a directory", "out"), "out: expected a file; found is a directory"),
        (OSError(errno.EROFS, "Read-only", "out"), "out: expected a file system that can be written; found read-only"),
        (FileNotFoundError(errno.ENOENT, "No such file", b"out"), "out: expected a file or folder; found no such file"),
        (NotADirectoryError(errno.ENOTDIR, "Not", "a/b"), "a/b: expected a folder; found not a directory"),
        (OSError(errno.ENOTEMPTY, "Full", "a", None, "b"), "a -> b: expected an empty folder; found directory"),
        (OSError(errno.EMFILE, "Too many"), "harc step: expected fewer open files; found too many open files"),
        (OSError(errno.ENODEV, "No such device"), "harc step: expected no trouble; found [Errno 19] No such device"),
        (OSError("a hub\nsays\x1b[2J no"), "harc step: expected no trouble; found a hub says\\x1b[2J no; mend that"),
        (OSError(), "harc step: expected no trouble; found OSError; mend that"),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), "harc step: expected no trouble; found [Errno 32] Broken pipe"),
        (DataError("a", expected="b", found="c", fix="d"), "a: expected b; found c; d"),
        (KeyError(None), "unexpected KeyError at harc: None; HARC_TRACEBACK=1 shows the whole way to it"),
        (ValueError("two\nlines"), "unexpected ValueError at harc: two lines; "),
        (RecursionError("too deep"), "unexpected RecursionError at harc: too deep; "),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)  # fmt: skip
def test_every_problem_is_one_line(problem: BaseException, said: str, capsys):
    status, line = run_failing(problem, capsys)
    assert status == 1
    assert line.startswith(said)


def test_ctrl_c_is_one_line(capsys):
    assert run_failing(KeyboardInterrupt(), capsys) == (130, "stopped by Ctrl-C")


def test_an_unexpected_error_names_its_line_and_shows_its_way_when_asked(monkeypatch, capsys):
    monkeypatch.setattr("harc.settings.profile.load_profile", lambda name: 1 / 0)
    assert run_command(harc.cli.app, ["config", "show"]) == 1
    assert "unexpected ZeroDivisionError at harc/cli/settings.py:" in capsys.readouterr().err
    monkeypatch.setenv("HARC_TRACEBACK", "1")
    run_command(harc.cli.app, ["config", "show"])
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_places_that_the_system_refuses(tmp_path: Path, capsys):
    (tmp_path / "file").write_text("")
    schema = ["config", "schema", "--out"]
    for place, said in (
        (tmp_path, f"{tmp_path}: expected a file; found is a directory"),
        (tmp_path / "file" / "x", "file: expected a free name; found file exists"),
        (tmp_path / ("n" * 300), "expected a name that the file system takes; found file name too long"),
    ):
        assert run_command(harc.cli.app, [*schema, str(place)]) == 1
        line = capsys.readouterr().err
        assert said in line and line.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["bogus"], "harc: no such command 'bogus'; see `harc --help`"),
        (["step"], "harc step: missing argument 'step'; see `harc step --help`"),
        (["step", "--bogus"], "harc step: no such option: --bogus; see `harc step --help`"),
        (["step", "score", "--seed", "x"], "harc step: invalid value for '--seed': "),
        (["evaluate", "--out", "x"], "harc evaluate: missing option '--suite'; see `harc evaluate --help`"),
        (["config", "show", "extra"], "harc config show: "),
        (["data", "build", "--out"], "harc: option '--out' requires an argument"),
        (["data", "\x1b[2J\n"], "harc data: no such command '\\x1b[2J"),
        (
            ["evaluate", "--suite", "a.csv", "--out", "x", "--device", "a", "--device=b"],
            "harc evaluate: invalid value for '--device': given more than once, and takes one value; see ",
        ),
        (["step", "score", "--seed", "1", "--seed", "2"], "harc step: invalid value for '--seed': given more than"),
        (["train", "--model", "", "--config", "a", "--out", "b"], "harc train: invalid value for '--model': an empty"),
        (["evaluate", "--out", "x", "--suite", "a.csv", "--suite", ""], "harc evaluate: invalid value for '--suite': "),
    ],
)  # fmt: skip
def test_a_wrong_line_is_one_line_and_status_2(words: list[str], said: str, capsys):
    assert run_command(harc.cli.app, words) == 2
    line = capsys.readouterr().err
    assert line.startswith(f"error: {said}") and line.count("\n") == 1


@pytest.mark.parametrize("words", [[], ["data"], ["--help"], ["train", "--help"], ["--version"]])
def test_help_and_version_are_no_errors(words: list[str], capsys):
    assert run_command(harc.cli.app, words) == 0
    said = capsys.readouterr()
    assert said.err == "" and said.out.startswith("harc " if words == ["--version"] else "Usage: harc")


def test_a_reader_that_leaves_is_no_error():
    read, write = os.pipe()
    os.close(read)
    code = "import sys; from harc.cli import main; sys.argv[1:] = ['config', 'describe']; main()"
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=write, stderr=subprocess.PIPE, check=False, timeout=60
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")


def test_the_line_is_escaped_and_known_errors_keep_their_class():
    problem = describe_system_problem(OSError(errno.EACCES, "x", "a\x1b[2Jb"), "harc")
    assert isinstance(problem, HarcError) and str(problem).startswith("a\\x1b[2Jb: ")


def test_a_folder_of_other_files_is_not_replaced_by_rows(tmp_path: Path, capsys):
    (tmp_path / "mine.txt").write_text("mine")
    assert run_command(harc.cli.app, ["data", "build", "--out", str(tmp_path)]) == 1
    assert "expected a new folder, or one that `harc data build` wrote" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
