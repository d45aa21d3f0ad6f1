"""A rehearsal from end to end: hub, files and attacker behind real servers on loopback, every rule, no network."""

import json

import pytest
from fixtures.project_copy import copy_project

from harc.core.csv_files import read_csv_rows
from harc.core.files import read_jsonl
from harc.results.marks import MARK

PROFILE = """
extends: small
description: A corner of `small` with its attacker behind a server, for tests.
backbones: {llama3.2-1b: null}
methods: {no_coupling: null, harc_released: null, dpo: null, cb: null, repbend: null, cast: null, harc_dpo: null}
suppression: null
erosion: null
trajectories: null
figures: [figure1]
evaluation:
  suites: [direct, pair, pap, scary_safe, benign]
  mean_attacks: [pair, pap]
  judges: [refusal_classifier, refusal_rules]
  attacker_endpoint: {kind: openai, model: mistralai/Mixtral-8x7B-Instruct-v0.1, base_url: "http://127.0.0.1:8000/v1"}
  attacker_replies: {opens_reply: false}
helpfulness: {benchmarks: [gsm8k]}
"""
DEAD = "http://127.0.0.1:9"  # where nobody listens


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory):
    """(copy of the project, what the rehearsal printed); no way leads out of the machine."""
    copy = copy_project(tmp_path_factory.mktemp("rehearsed") / "project")
    (copy.root / "corner.yaml").write_text(PROFILE)
    outside = {"HTTP_PROXY": DEAD, "HTTPS_PROXY": DEAD, "HF_TOKEN": "", "HF_ENDPOINT": DEAD}
    return copy, copy.run("harc", "rehearse", "corner.yaml", "--cores", "2", **outside)


def test_every_job_passes_and_the_last_screen_says_so(rehearsed):
    _, run = rehearsed
    assert run.status == 0, run.text[-6000:]
    assert MARK in run.text and "not passed" not in run.text
    (line,) = [line for line in run.text.splitlines() if line.startswith("rehearsal of corner: ")]
    passed, count = line.split()[3], line.split()[5]
    assert passed == count and int(count) > 20


def test_the_hub_s_own_library_fetched_the_model_and_the_pairs(rehearsed):
    copy, _ = rehearsed
    source = json.loads(
        (copy.root / "results/rehearsal/corner/backbones/qwen2.5-1.5b/seed0/source.json").read_text()
    )
    assert source["model_id"] == "Qwen/Qwen2.5-1.5B-Instruct" and len(source["revision"]) == 40
    snapshot = (
        copy.root / "results/rehearsal/corner.stand_ins/hub_cache/hub/models--Qwen--Qwen2.5-1.5B-Instruct"
    )
    assert (snapshot / "snapshots" / source["revision"] / "model.safetensors.index.json").exists()
    manifest = json.loads((copy.root / "results/rehearsal/corner/data/rows/manifest.json").read_text())
    assert manifest["preference_dataset"]["pairs"] > 50


def test_the_attacker_behind_the_server_wrote_prompts(rehearsed):
    copy, _ = rehearsed
    folder = copy.root / "results/rehearsal/corner/generations/qwen2.5-1.5b/base/seed0"
    asked = [row for suite in ("pair", "pap") for row in read_jsonl(folder / f"{suite}.jsonl", ("id",))]
    assert asked and all(sum(row["attack"]["proposals"].values()) > 0 for row in asked)
    assert any("box" in turn["content"] for row in asked for turn in row["messages"])


def test_its_tables_say_what_they_are(rehearsed):
    copy, _ = rehearsed
    tables = copy.root / "results/rehearsal/corner/tables"
    rows = read_csv_rows(tables / "table1.csv")[1]
    assert rows and {row["rehearsal"] for row in rows} == {MARK}
    assert MARK in (tables / "table1.tex").read_text()
    assert not (copy.root / "results/corner").exists()
