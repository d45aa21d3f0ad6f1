"""The committed study follows from its own generations with today's code."""

import csv
import shutil
from pathlib import Path

import pytest

from harc.audit import audit_results
from harc.audit.comparison import compare_trees
from harc.core.artifacts import Layout
from harc.core.files import read_json
from harc.evaluation.score import SHARES as SHARE_ROWS
from harc.evaluation.score import score_generations
from harc.results.catalogue import write_tables
from harc.results.outcomes import SHARES
from harc.results.printer import read_table
from harc.results.view import view_study
from harc.settings.profile import load_profile

PROJECT = Path(__file__).parents[1]
REFERENCE = PROJECT / "results/reference/organism"
SCORE_SHARES = {f"share_{name}" for name in SHARE_ROWS}
# What stands beside rates now, and did not when the study was committed: in these tables.
WIDENED = {"table1", "controls", "ablations", "margin_kl", "scale", "finetuning", "subsets"}
UNITS = [("organism-llama", "base", 0), ("organism-qwen2", "harc", 0)]


@pytest.fixture(scope="module")
def profile():
    return load_profile("organism_study")


@pytest.mark.parametrize(("backbone", "method", "seed"), UNITS)
def test_scores_follow_from_generations(tmp_path, profile, backbone, method, seed):
    unit = Path(backbone) / method / f"seed{seed}"
    score_generations(REFERENCE / "generations" / unit, tmp_path, profile.evaluation)
    committed = REFERENCE / "scores" / unit
    assert (tmp_path / "outcomes.csv").read_bytes() == (committed / "outcomes.csv").read_bytes()
    made = (tmp_path / "scores.csv").read_text().splitlines()
    held = (committed / "scores.csv").read_text().splitlines()
    assert [line for line in made if line in set(held)] == held
    added = {line.split(",")[1] for line in made if line not in set(held)}
    assert added == SCORE_SHARES, "the study was committed before these stood beside its rates"


def test_tables_follow_from_scores(tmp_path, profile):
    made = write_tables(view_study(profile, Layout(REFERENCE)), tmp_path)
    made = [path for path in made if path.stem != "judges"]  # follows from no score; the next test
    assert made
    widened = set()
    for path in made:
        committed = REFERENCE / "tables" / path.name
        if path.suffix == ".csv":
            held = read_cells(committed)
            rows = read_cells(path)
            added = {name for name in rows[0] if name not in held[0]}
            widened |= {path.stem} if added else set()
            assert all(name.endswith(SHARES) for name in added), path.name
            kept = [n for n, name in enumerate(rows[0]) if name not in added]
            assert [[row[n] for n in kept] for row in rows] == held, path.name
    assert widened == WIDENED
    for path in made:
        if path.suffix != ".csv" and path.stem not in widened:
            assert path.read_bytes() == (REFERENCE / "tables" / path.name).read_bytes(), path.name


def read_cells(table: Path) -> list[list[str]]:
    """Header and rows of a table."""
    with table.open(newline="") as handle:
        return list(csv.reader(handle))


def test_the_committed_study_is_sound_in_its_own_form(monkeypatch):
    """As `harc audit results/reference/organism` says; what it would find is in tests/faults/test_kept_form.py."""
    monkeypatch.chdir(PROJECT)
    report = audit_results(REFERENCE.relative_to(PROJECT))
    assert report.findings == ()
    assert report.verdict == "sound (without weights)"
    assert report.root_hash == read_json(REFERENCE / "root_hash.json")["root_hash"]
    assert report.counts["sidecars"] == 330 and report.counts["generation records"] > 140_000
    assert report.counts["files left out"] >= 133


def test_the_committed_table_of_judges_still_follows_from_the_calibration():
    """Of the judges and columns that it knew: the calibration has grown since."""
    held = read_table(REFERENCE / "tables/judges.csv")
    named = ("completion_model", "prompts", "judge_name")
    rows = {
        tuple(row[name] for name in named): row
        for row in read_table(PROJECT / "config/calibration/over_refusal.csv")
    }
    assert len(held) == 42
    for row in held:
        now = rows[tuple(row[name] for name in named)]
        assert {name: now[name] for name in row} == row


def test_a_run_made_from_the_same_generations_compares_as_the_same(tmp_path, profile):
    """What both hold, number by number; the same comparison finds one edited number."""
    unit = Path("organism-llama/harc/seed0")
    other = tmp_path.with_name(f"{tmp_path.name}-other")
    for tree in (tmp_path, other):
        score_generations(REFERENCE / "generations" / unit, tree / "scores" / unit, profile.evaluation)
    shutil.copy(REFERENCE / "root_hash.json", other)
    found = compare_trees(tmp_path, other)
    assert found.ok(common=True) and len(found.same) == 2 and found.only_a == ()
    assert not found.ok()
    scores = tmp_path / "scores" / unit / "scores.csv"
    lines = scores.read_text().splitlines()
    row = next(number for number, line in enumerate(lines) if line.startswith("benign,accuracy,"))
    cells = lines[row].split(",")
    cells[5:8] = ["0.5", "0.4", "0.6"]
    scores.write_text("\n".join([*lines[:row], ",".join(cells), *lines[row + 1 :]]) + "\n")
    found = compare_trees(tmp_path, other)
    (difference,) = found.different[0].differences
    assert difference.name == "benign accuracy: rate" and difference.overlaps is False
    assert not found.ok(common=True, intervals=True)


def test_an_edited_generation_would_show(tmp_path, profile):
    unit = Path("organism-llama/base/seed0")
    source = REFERENCE / "generations" / unit
    (tmp_path / "generations").mkdir()
    for path in source.glob("*.jsonl"):
        text = path.read_text()
        if path.stem == "direct":
            text = text.replace('"label": "refused"', '"label": "correct"', 1)
        (tmp_path / "generations" / path.name).write_text(text)
    score_generations(tmp_path / "generations", tmp_path / "scores", profile.evaluation)
    committed = REFERENCE / "scores" / unit / "scores.csv"
    assert (tmp_path / "scores/scores.csv").read_bytes() != committed.read_bytes()
