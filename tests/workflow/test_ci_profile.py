"""The whole workflow on the smallest profile: complete, idle when nothing changed, and rebuilding only what changed."""

import os
import shutil

import pytest
import yaml
from fixtures.step_reads import check_reads

from harc.core.artifacts import Layout
from harc.core.files import read_json
from harc.settings.profile import load_profile

pytestmark = pytest.mark.xdist_group("workflow")


def append(path, text):
    with path.open("a") as handle:
        handle.write(text)


def test_every_artifact_is_there(finished):
    layout = Layout(finished.root / "results/ci")
    assert layout.report.is_file()
    assert read_json(layout.audit)["ok"]
    assert (layout.figures / "figure1.pdf").read_bytes().startswith(b"%PDF")
    assert (layout.tables / "numbers.tex").is_file()


def test_nothing_to_do_after_a_run(finished):
    assert finished.list_reruns() == []


def test_new_dates_alone_change_nothing_in_the_audit(finished):
    for path in (finished.root / "results/ci").rglob("*.csv"):
        os.utime(path)
    audit = finished.run("harc", "audit", "--profile", "ci")
    assert audit.status == 0, audit.text


def test_the_audit_sees_one_edited_score(finished):
    path = next((finished.root / "results/ci/scores").rglob("scores.csv"))
    text = path.read_text()
    path.write_text(text.replace("0.", "0.1", 1))
    try:
        audit = finished.run("harc", "audit", "--profile", "ci")
    finally:
        path.write_text(text)
    assert audit.status == 1
    assert "scores.csv" in audit.text


def test_the_audit_sees_changed_code_and_a_changed_setting(finished):
    module, profile = finished.root / "harc/training/loop.py", finished.root / "config/profiles/ci.yaml"
    kept = module.read_text(), profile.read_text()
    before, name, after = kept[0].partition("def learning_rate(")
    module.write_text(f"{before}{name}{after.replace('return ', 'return  ', 1)}\nUNUSED = 1\n")
    profile.write_text(kept[1].replace("safety_benign_rows: 500", "safety_benign_rows: 499"))
    try:
        audit = finished.run("harc", "audit", "--profile", "ci")
    finally:
        module.write_text(kept[0])
        profile.write_text(kept[1])
    assert audit.status == 1
    lines = audit.text.splitlines()
    stale = {line.split(": ")[1] for line in lines if line.startswith("stale code: ")}
    # CAST is fitted: no rate of learning is in reach of it. Arms and fine-tunings on harmful answers are trained.
    trained = ("sft", "harc", "harc_dpo", "permuted_label", "released_kl_first_token", "margin0p5_kl1")
    adapters = {f"results/ci/adapters/organism-llama/{method}/seed0" for method in trained}
    assert stale == adapters | {
        f"results/ci/finetuning/organism-llama/{name}/seed0" for name in ("base", "harc")
    }
    assert any(line.startswith("stale settings: results/ci/data/verified.json: ") for line in lines)


def test_tuning_tries_the_points_and_chooses_one(finished):
    """`snakemake tune` on a profile with a grid of its own, whose backbone and directions are there already."""
    profile = finished.root / "config/profiles/ci.yaml"
    text = profile.read_text()
    assert "tuning: null" in text
    inherited = load_profile("organism").tuning.grids
    grids = {
        "sft": [{"steps": 2}, {"steps": 3}],
        **dict.fromkeys(name for name in inherited if name != "sft"),
    }
    grid = yaml.safe_dump({"tuning": {"grids": grids}}, default_flow_style=True, width=1000).strip()[1:-1]
    profile.write_text(text.replace("tuning: null", grid))
    try:
        run = finished.snakemake("tune")
        assert run.status == 0, run.text[-3000:]
        assert "rule train_backbone:" not in run.text
        folder = finished.root / "results/ci/tuning"
        chosen = yaml.safe_load((folder / "tuned.yaml").read_text())["methods"]
        assert chosen["sft"] in ({"steps": 2}, {"steps": 3})
        rows = (folder / "points.csv").read_text().splitlines()
        assert len(rows) == 1 + 1 + 2  # header, base, two points
        assert check_reads(finished, "ci", "tune") == {"misread": [], "unhashed": [], "unread": []}
    finally:
        profile.write_text(text)
        shutil.rmtree(finished.root / "results/ci/tuning", ignore_errors=True)


def test_a_figure_rebuilds_alone(finished):
    module = finished.root / "harc/results/figures/figure1.py"
    text = module.read_text()
    append(module, "\nUNUSED = 1\n")
    try:
        plan = finished.snakemake("--dry-run")
        rules = finished.list_reruns()
    finally:
        module.write_text(text)
    assert set(rules) - {"build_paper"} == {"all", "audit", "build_report", "make_figure"}
    assert plan.text.count("rule make_figure:") == 1


def test_a_comment_rebuilds_nothing(finished):
    module = finished.root / "harc/world/backbone.py"
    text = module.read_text()
    append(module, "# A remark changes no result.\n")
    try:
        assert finished.list_reruns() == []
    finally:
        module.write_text(text)


def test_a_changed_setting_reruns_its_step_and_what_follows(finished):
    profile = finished.root / "config/profiles/ci.yaml"
    text = profile.read_text()
    append(profile, "analysis: {plane_points: 33}\n")
    try:
        rules = finished.list_reruns()
    finally:
        profile.write_text(text)
    assert "make_figure" in rules
    assert not {"train_backbone", "train_adapter", "evaluate", "score"} & set(rules)
