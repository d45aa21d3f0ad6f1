"""The guard as a step: clean splits pass and are tabulated; one planted twin, in any earlier split, fails the run."""

from pathlib import Path

import pytest

from harc.core.csv_files import read_csv
from harc.core.errors import DataError
from harc.core.files import read_jsonl, write_jsonl
from harc.settings.profile import load_profile
from harc.steps.commands import create_job
from harc.steps.data import HELD_OUT, list_splits
from harc.steps.running import run_job
from harc.world.corpora import build_world_data

PROFILE = load_profile("ci")
EARLY = ("pretraining", "safety", "extraction", "extraction_pairs", "training", "development")


@pytest.fixture(scope="module")
def rows(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("world") / "rows"
    build_world_data(folder, PROFILE.world)
    return folder


@pytest.fixture
def job(rows, tmp_path, monkeypatch):
    """The ci profile's step in an empty folder, over a copy of its rows."""
    monkeypatch.chdir(tmp_path)
    job = create_job("check_contamination", PROFILE)
    for path in list_splits(job).values():
        write_jsonl(path, read_jsonl(rows / path.name))
    return job


def plant(path: Path, text: str) -> None:
    members = read_jsonl(path)
    victim = members[0]
    if "prompt" in victim:
        victim["prompt"] = text
    else:
        next(turn for turn in victim["messages"] if turn["role"] == "user")["content"] = text
    write_jsonl(path, members)


def test_the_splits_are_in_the_order_of_their_use(job):
    assert tuple(list_splits(job)) == (*EARLY, "evaluation")


def test_clean_splits_pass_and_every_comparison_is_in_the_table(job):
    run_job(job)
    table = read_csv(job.layout.contamination)
    suites = {row["suite"] for row in read_jsonl(list_splits(job)["evaluation"])}
    compared = {(row["split"], row["suite"], row["reference"]) for row in table}
    assert {("evaluation", suite, name) for suite in suites for name in EARLY} <= compared
    assert not [row for row in compared if row[0] == "development" and row[2] in HELD_OUT]
    assert sum(row["exact"] for row in table) == 0
    assert job.layout.contamination.with_name("contamination.csv.provenance.json").is_file()


@pytest.mark.parametrize("split", ["pretraining", "training", "development"])
def test_a_planted_twin_fails_the_step_and_is_in_the_table(job, split):
    stolen = next(row for row in read_jsonl(list_splits(job)["evaluation"]) if row["suite"] == "pap")
    plant(list_splits(job)[split], stolen["messages"][-1]["content"].upper() + " !")
    with pytest.raises(DataError, match=rf"suite pap: expected no prompt of {split}; found 1 exact"):
        run_job(job)
    (row,) = [row for row in read_csv(job.layout.contamination) if row["exact"]]
    assert (row["split"], row["suite"], row["reference"], row["example"]) == (
        "evaluation", "pap", split, stolen["id"],
    )  # fmt: skip
    assert not job.layout.contamination.with_name("contamination.csv.provenance.json").exists()


def test_a_goal_in_plain_words_is_looked_for_behind_its_wrapper(job):
    path = list_splits(job)["evaluation"]
    members = read_jsonl(path)
    members[0]["goal"] = "draw a quiet map of the seven northern towers by hand"
    write_jsonl(path, members)
    run_job(job)
    plant(list_splits(job)["training"], members[0]["goal"])
    with pytest.raises(DataError, match="suite goals: expected no prompt of training; found 1 exact"):
        run_job(job)
