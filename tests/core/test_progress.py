"""Progress says how far, how fast and how long still."""

import pytest

from harc.core import terminal as progress


def test_line_names_count_rate_and_time_left(monkeypatch):
    monkeypatch.setattr(progress.time, "monotonic", lambda: 100.0)
    bar = progress.Bar(40, "train harc")
    bar.advance(10, loss=0.25, layers="4 5")
    line = bar.render(105.0)
    assert line == "train harc [######..................] 10/40 2.0/s 15 s left loss=0.25 layers=4 5"


def test_nothing_done_has_no_time_left(monkeypatch):
    monkeypatch.setattr(progress.time, "monotonic", lambda: 0.0)
    assert "time left unknown" in progress.Bar(5, "wait").render(1.0)


def test_lines_are_spaced_where_there_is_no_terminal(monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with progress.track(4, "work") as bar:
        for second in (1.0, 11.0, 12.0, 22.0):
            now[0] = second
            bar.advance()
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_bar_is_closed_when_work_fails(monkeypatch, capsys):
    with pytest.raises(RuntimeError), progress.track(1, "work"):
        raise RuntimeError
    assert capsys.readouterr().err == ""
