"""The committed study follows from its own generations with today's code."""

import csv
import io
import re
import shutil
from pathlib import Path

import pytest
from pyarrow import parquet

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
from harc.steps.reference import unpack_study
from harc.steps.reference_pack import write_pack

PROJECT = Path(__file__).parents[1]
PACK = PROJECT / "results/reference/organism"
SCORE_SHARES = {f"share_{name}" for name in SHARE_ROWS}
# What stands beside rates now, and did not when the study was committed: in these tables.
WIDENED = {"table1", "controls", "ablations", "margin_kl", "scale", "finetuning", "subsets"}
# Tables that there are now, and were not when the study was committed.
ADDED = {"suppression", "steering", "erosion", "removal_rounds", "stability", "contrasts", "draws"}
# The table of settings names a package that lay elsewhere when the study was committed.
RENAMED = ("harc.results.figures", "harc.analysis.figures")
# Settings that there were, and tables with errors from a rounded normal quantile, when the study was committed.
DROPPED = (
    "evaluation.bootstrap_resamples", "evaluation.bootstrap_seed", "evaluation.prefill.opening",
    "tuning.over_refusal_allowance",
)  # fmt: skip
ROUNDED = {"geometry", "margin_kl"}
# Columns of differences that have another estimator now: runs, goals and templates are drawn, a seed that both
# backbones share is one draw, one seed tests nothing; a seed's 0 is not below 0, whatever rounding makes of it. The
# differences themselves are the same.
MOVED = {
    "comparisons": ("low", "high", "p", "p_holm", "mde", "verdict", "seeds_lower"),
    "ablations": tuple(f"difference_{name}" for name in ("low", "high", "p", "p_holm")),
    "margin_kl": tuple(f"difference_{name}" for name in ("low", "high", "p", "p_holm")),
    "faults": tuple(f"_{name}" for name in ("low", "high", "p", "p_holm")),
}
POOLED_MOVED = ("seeds",)
NEW_COLUMNS = {"comparisons": {"degrees", "p_flip", "question"}, "table1": {"safe_answered"}}
# Settings have come since, and descriptions have changed; the values of those that there were have not.
SETTINGS = "hyperparameters"
RELOCATED = "analysis.tuning_points"  # the same points under another name: the old one is of the next study
# The note of one says that answers are drawn too, which they were not; the other has shorter heads.
REWORDED = {"geometry", "separability"}
# Verdicts that were: two-sided tests, families by question, none from one seed or from what never occurs.
MOVED_VERDICTS = {
    "keeps-refusable-benign": ("supported", "not testable"),
    "couples-response-side": ("inconclusive", "supported"),
    "composes-with-dpo": ("inconclusive", "not supported"),
    "finetuning-undoes-harc": ("supported", "not testable"),
    "gain-not-band-local": ("not supported", "inconclusive"),
    "gain-half-label-free": ("not supported", "not testable"),
    "direct-refusal-rises": ("inconclusive", "not testable"),
    "outlasts-finetuning": ("inconclusive", "not testable"),
}
# Of these the pooled finding was not made, or took seeds for draws that not every backbone had.
REPOOLED = ("finetuning-undoes-harc", "outlasts-finetuning", "gain-not-band-local")
UNITS = [("organism-llama", "base", 0), ("organism-qwen2", "harc", 0)]


@pytest.fixture(scope="module")
def profile():
    return load_profile("organism_study")


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The study's tree, every file of which is what its sidecar says."""
    tree = tmp_path_factory.mktemp("unpacked") / "organism"
    unpack_study(PACK, tree)
    return tree


@pytest.mark.parametrize(("backbone", "method", "seed"), UNITS)
def test_scores_follow_from_generations(tmp_path, profile, reference, backbone, method, seed):
    unit = Path(backbone) / method / f"seed{seed}"
    score_generations(reference / "generations" / unit, tmp_path, profile.evaluation)
    committed = reference / "scores" / unit
    outcomes = read_cells(tmp_path / "outcomes.csv")
    assert outcomes[0][-1] == "template", "the study was committed before outcomes named their wording"
    assert [row[:-1] for row in outcomes] == read_cells(committed / "outcomes.csv")
    made, held = (read_scores(folder / "scores.csv") for folder in (tmp_path, committed))
    assert [row for row in made if row in held] == held
    added = {row[1] for row in made if row not in held}
    assert added == SCORE_SHARES, "the study was committed before these stood beside its rates"


def read_scores(path: Path) -> list[list[str]]:
    """Rows of scores; of means over suites up to the rate: they had another interval when the study was committed."""
    rows = [line.split(",") for line in path.read_text().splitlines()]
    return [row[:6] if row[2] == "mean of suites" else row for row in rows]


@pytest.fixture(scope="module")
def tables(tmp_path_factory, profile, reference) -> list[Path]:
    """The study's tables as they are made now."""
    return write_tables(view_study(profile, Layout(reference)), tmp_path_factory.mktemp("tables"))


def test_tables_follow_from_scores(tables, reference):
    paths = [path for path in tables if path.stem not in ADDED]
    made = [path for path in paths if path.stem not in ("judges", "claims")]  # the next tests
    assert made
    widened = set()
    for path in made:
        committed = reference / "tables" / path.name
        if path.suffix == ".csv":
            held = [row for row in read_cells(committed) if row[0] not in DROPPED]
            rows = read_cells(path, *RENAMED)
            if path.stem == SETTINGS:
                names = {row[0] for row in held} - {RELOCATED}
                rows, held = ([row[:2] for row in table if row[0] in names] for table in (rows, held))
            added = {name for name in rows[0] if name not in held[0]} - NEW_COLUMNS.get(path.stem, set())
            widened |= {path.stem} if added else set()
            assert all(name.endswith(SHARES) for name in added), path.name
            rows = keep_cells(rows, [name for name in rows[0] if name in held[0]])
            if path.stem in MOVED:
                same = [name for name in held[0] if not name.endswith(MOVED[path.stem])]
                rows, held = keep_cells(rows, same), keep_cells(held, same)
            if path.stem in ROUNDED:
                rows, held = ([[round_cell(cell) for cell in row] for row in table] for table in (rows, held))
            assert rows == held, path.name
    assert widened == WIDENED
    for path in made:
        if path.suffix != ".csv" and path.stem not in widened | {*MOVED, SETTINGS, *REWORDED}:
            held = (reference / "tables" / path.name).read_text().splitlines()
            lines = [line for line in held if not plain_words(line).startswith(DROPPED)]
            assert path.read_text().splitlines() == lines, path.name


def keep_cells(rows: list[list[str]], names: list[str]) -> list[list[str]]:
    """Columns by name; of rows that pool over backbones, those that count what was pooled are left empty."""
    kept = [rows[0].index(name) for name in names]
    pooled = [n for n, name in enumerate(names) if name in POOLED_MOVED]
    found = [[row[n] for n in kept] for row in rows]
    for row in found:
        if row[0] == "pooled":
            for n in pooled:
                row[n] = ""
    return found


def test_claims_follow_from_scores(tables, reference):
    """Every committed claim is still tested as it was declared, on the same numbers; which verdicts move is listed."""
    held = read_table(reference / "tables/claims.csv")
    (path,) = [path for path in tables if path.name == "claims.csv"]
    rows = read_table(path)
    made = {(row["claim"], row["backbone"]): row for row in rows}
    declared = ("origin", "words", "source", "metric", "arguments", "comparison", "threshold", "correction")
    moved = {}
    for row in held:
        own = made[row["claim"], row["backbone"]]
        pooled = row["backbone"] == "pooled"
        found = () if pooled and row["claim"] in REPOOLED else ("estimate", "n", "unit")
        for name in (*declared, *found, *(() if pooled else ("seeds",))):
            assert own[name] == row[name], (row["claim"], row["backbone"], name)
        if own["overall"] != row["overall"]:
            moved[row["claim"]] = (row["overall"], own["overall"])
    assert moved == MOVED_VERDICTS
    assert {row["claim"] for row in rows} > {row["claim"] for row in held}


def plain_words(line: str) -> str:
    """A line of LaTeX without what breaks and sets its first word."""
    return re.sub(r"\\allowbreak\{\}|\\ttfamily |[\\{}]", "", line)


def round_cell(cell: str) -> str:
    """A number to four digits; another text as it is."""
    try:
        return f"{float(cell):.4g}"
    except ValueError:
        return cell


def read_cells(table: Path, new: str = "", old: str = "") -> list[list[str]]:
    """Header and rows of a table, with a new name as it was before."""
    return list(csv.reader(io.StringIO(table.read_text().replace(new, old) if new else table.read_text())))


def test_the_committed_study_is_sound_in_its_own_form(monkeypatch):
    """As `harc audit results/reference/organism` says; what it would find is in tests/faults/test_kept_form.py."""
    monkeypatch.chdir(PROJECT)
    report = audit_results(PACK.relative_to(PROJECT))
    assert report.findings == ()
    assert report.verdict == "sound (without weights)"
    assert report.root_hash == read_json(PACK / "root_hash.json")["root_hash"]
    assert report.counts["sidecars"] == 330 and report.counts["generation records"] > 140_000
    assert report.counts["files left out"] >= 133


def test_the_committed_study_is_small():
    """What the contract allows: 100 files, 15 MB; the figures that pages show are files of their own."""
    files = [path for path in PACK.rglob("*") if path.is_file()]
    assert len(files) <= 100 and sum(path.stat().st_size for path in files) <= 15e6
    names = {path.relative_to(PACK).as_posix() for path in files}
    assert {"kept.json", "root_hash.json", "tables/claims.csv", "figures/figure5.png"} <= names


def test_the_committed_study_is_packed_as_it_would_be_now(reference, tmp_path):
    """The pack is a function of the tree, and of the library that writes Parquet."""
    import pyarrow

    written = parquet.read_metadata(PACK / "sidecars.parquet").created_by
    if not written.endswith(pyarrow.__version__):
        pytest.skip(f"written by {written}")
    files = {p.relative_to(reference).as_posix(): p.read_bytes() for p in reference.rglob("*") if p.is_file()}
    write_pack(files, tmp_path)
    assert (tmp_path / "pack.json").read_bytes() == (PACK / "pack.json").read_bytes()


def test_the_committed_table_of_judges_still_follows_from_the_calibration():
    """Of the judges and columns that it knew: the calibration has grown since, and differences have new intervals."""
    held = read_table(PACK / "tables/judges.csv")
    named = ("completion_model", "prompts", "judge_name")
    rows = {
        tuple(row[name] for name in named): row
        for row in read_table(PROJECT / "config/calibration/over_refusal.csv")
    }
    assert len(held) == 42
    for row in held:
        now = rows[tuple(row[name] for name in named)]
        same = [
            name for name in row if not name.startswith("difference_") or name[-4:] not in ("_low", "high")
        ]
        assert {name: now[name] for name in same} == {name: row[name] for name in same}


def test_a_run_made_from_the_same_generations_compares_as_the_same(tmp_path, profile, reference):
    """What both hold, number by number; the same comparison finds one edited number."""
    unit = Path("organism-llama/harc/seed0")
    other = tmp_path.with_name(f"{tmp_path.name}-other")
    for tree in (tmp_path, other):
        score_generations(reference / "generations" / unit, tree / "scores" / unit, profile.evaluation)
    shutil.copy(reference / "root_hash.json", other)
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


def test_an_edited_generation_would_show(tmp_path, profile, reference):
    unit = Path("organism-llama/base/seed0")
    source = reference / "generations" / unit
    (tmp_path / "generations").mkdir()
    for path in source.glob("*.jsonl"):
        text = path.read_text()
        if path.stem == "direct":
            text = text.replace('"label": "refused"', '"label": "correct"', 1)
        (tmp_path / "generations" / path.name).write_text(text)
    score_generations(tmp_path / "generations", tmp_path / "scores", profile.evaluation)
    committed = reference / "scores" / unit / "scores.csv"
    assert (tmp_path / "scores/scores.csv").read_bytes() != committed.read_bytes()
