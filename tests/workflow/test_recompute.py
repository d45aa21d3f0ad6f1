"""Steps of a finished run done again: in part by a sample, in whole beside the tree."""

import re
import shutil

import pytest

from harc.core.artifacts import sidecar_path
from harc.core.files import read_json, sha256_file, write_json
from harc.core.provenance import seal_record

ADAPTER = "results/ci/adapters/organism-llama/harc/seed0"


def test_a_log_that_training_would_not_give_is_found_under_a_forged_sidecar(finished):
    log, sidecar = finished.root / ADAPTER / "training_log.jsonl", sidecar_path(finished.root / ADAPTER)
    kept = log.read_bytes(), sidecar.read_bytes()
    text = log.read_text()
    start = text.index('"total": ') + len('"total": ')
    log.write_text(text[:start] + "7" + text[start:])
    record = read_json(sidecar)
    record["outputs"]["results://" + f"{ADAPTER}/training_log.jsonl".removeprefix("results/ci/")] = (
        sha256_file(log)
    )
    write_json(sidecar, seal_record(record))
    try:
        audit = finished.run("harc", "audit", "--profile", "ci", "--recompute", "99")
    finally:
        log.write_bytes(kept[0])
        sidecar.write_bytes(kept[1])
    assert audit.status == 1
    assert f"run again: {ADAPTER}: expected total = " in audit.text
    # The twin: every other step whose inputs are as recorded agrees when run again in the same way; what reads the
    # forged log is left out.
    assert int(re.search(r"steps run again in part \(seed 0\)\s+(\d+)", audit.text)[1]) > 7
    assert audit.text.count("run again:") == 1


@pytest.mark.slow
def test_everything_run_again_is_the_same(finished):
    audit = finished.run("harc", "audit", "--profile", "ci", "--full")
    shutil.rmtree(finished.root / "results/ci_again")
    assert audit.status == 0, audit.text[-4000:]


@pytest.mark.slow
def test_a_run_of_the_default_profile_compares_with_the_committed_study(fresh):
    """What both hold of seed 0: the same where packages and machine are the same, within intervals elsewhere."""
    from fixtures.project_copy import PROJECT

    assert fresh.snakemake(profile="organism").status == 0
    reference = PROJECT / "results/reference/organism"
    out = fresh.root / "compared.json"
    arguments = ("results/organism", str(reference), "--common", "--intervals", "--out", str(out))
    compared = fresh.run("harc", "compare", *arguments)
    found = read_json(out)
    both = found["same"] + [file["name"] for file in found["different"]]
    assert len([name for name in both if name.startswith("scores/") and "/seed0/" in name]) == 20
    assert "data/verified.json" in found["same"]
    overlaps = [one["intervals_overlap"] for file in found["different"] for one in file["differences"]]
    assert compared.status == int(False in overlaps)
