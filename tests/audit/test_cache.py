"""Pins and records of pushed results: their form, their place, and what is refused."""

from pathlib import Path

import pytest

from harc.audit.cache_pin import Pin, install_records, read_pin, read_records, stop_if_running, write_pin
from harc.core.errors import ArtifactError, DataError
from harc.core.files import read_json, write_json

PIN = Pin(
    "ci", "a" * 64, None, {"md5": f"{'b' * 32}.dir", "size": 1, "nfiles": 1}, {"md5": "c" * 32, "size": 1}
)
RECORD = {"rule": "score", "params": [], "input": [], "input_checksums": {}, "record_format_version": 6}


def test_a_pin_comes_back(tmp_path: Path):
    write_pin(PIN, tmp_path / "pin.json")
    assert read_pin(tmp_path / "pin.json") == PIN


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"format": 2}, "something else"),
        ({"extra": 1}, "fields extra missing or unknown"),
        ({"tree": {"md5": "../../etc"}}, "no MD5 of tree"),
        ({"root_hash": ""}, "no root hash"),
    ],
)
def test_a_damaged_pin_is_refused(tmp_path: Path, change: dict, found: str):
    write_pin(PIN, tmp_path / "pin.json")
    write_json(tmp_path / "pin.json", read_json(tmp_path / "pin.json") | change)
    with pytest.raises(DataError, match=f"expected a pin of pushed results, format 1; found {found}"):
        read_pin(tmp_path / "pin.json")


def test_records_travel_under_names_of_any_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    names = ["results/ci/a.csv", f"results/ci/{'deep/' * 60}b.csv", "results/ci/audit/audit.json"]
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text("x")
    folders, state = [Path("results/ci")], Path("state")
    assert install_records([{"target": name, "record": RECORD} for name in names], folders, state) == 3
    rows = list(read_records(folders, left_out=[Path("results/ci/audit")], state=state))
    assert [row["target"] for row in rows] == names[:2]
    assert all(row["record"] == RECORD for row in rows)


def test_where_the_system_names_no_longest_name_it_is_255(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("os.pathconf", lambda folder, name: 0)
    install_records([{"target": f"results/ci/{'a' * 300}", "record": RECORD}], [Path("results/ci")], tmp_path)
    (first,) = (tmp_path / "metadata").iterdir()
    assert len(first.name) == 255


def test_records_lie_where_snakemake_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from types import SimpleNamespace

    from snakemake.persistence.file import FilePersistence

    monkeypatch.chdir(tmp_path)
    reader = SimpleNamespace(_max_len=None)
    reader._fetch_max_len = lambda subject: FilePersistence._fetch_max_len(reader, subject)
    for target in ("results/ci/a.csv", f"results/ci/{'deep/' * 60}b.csv"):
        install_records([{"target": target, "record": RECORD}], [Path("results/ci")], Path("state"))
        assert Path(FilePersistence._record_path(reader, "state/metadata", target)).is_file()


@pytest.mark.parametrize(
    "row",
    [
        {"target": "results/other/a", "record": RECORD},
        {"target": "results/ci/../../etc/a", "record": RECORD},
        {"target": "results/ci/a", "record": {"rule": "score"}},
        {"target": "results/ci/a", "record": {**RECORD, "params": 3}},
        {"target": "results/ci/a", "record": [RECORD]},
        {"target": "results/ci/a"},
    ],
)
def test_foreign_records_are_refused_and_none_is_written(tmp_path: Path, row: dict):
    good = {"target": "results/ci/a", "record": RECORD}
    with pytest.raises(ArtifactError, match="push the results again"):
        install_records([good, row], [Path("results/ci")], tmp_path)
    assert not (tmp_path / "metadata").exists()


def test_a_running_workflow_is_not_disturbed(tmp_path: Path):
    stop_if_running(tmp_path)
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks/0.input.lock").write_text("")
    with pytest.raises(ArtifactError, match="expected no workflow running here; found a lock"):
        stop_if_running(tmp_path)
