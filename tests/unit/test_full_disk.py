"""A disk without room: one line that names the file or the command, exit status 1; other troubles keep their words."""

import errno

import pytest

import harc.cli
from harc.errors import describe_full_disk

ROOM = "expected room on the disk; found no space left on device; free some, then give the same command again"


def fail_with(monkeypatch: pytest.MonkeyPatch, problem: OSError) -> None:
    """Let the command fail with a trouble of the system."""

    def raise_problem() -> None:
        raise problem

    monkeypatch.setattr(harc.cli, "app", raise_problem)
    monkeypatch.setattr("sys.argv", ["harc", "step", "score"])


@pytest.mark.parametrize(
    ("problem", "place"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "harc step score"),
        (OSError(errno.ENOSPC, "No space left on device", "results/a.csv"), "results/a.csv"),
    ],
)
def test_full_disk_is_one_line(monkeypatch, capsys, problem, place):
    fail_with(monkeypatch, problem)
    with pytest.raises(SystemExit) as stopped:
        harc.cli.main()
    assert stopped.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith(f"error: {place}: {ROOM}")
    assert said.count("\n") == 1


def test_other_troubles_keep_their_own_words(monkeypatch):
    problem = PermissionError(errno.EACCES, "Permission denied", "results")
    assert describe_full_disk(problem, "harc step score") is None
    fail_with(monkeypatch, problem)
    with pytest.raises(PermissionError, match="results"):
        harc.cli.main()
