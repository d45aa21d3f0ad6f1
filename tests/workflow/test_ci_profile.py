"""The whole workflow on the smallest profile: complete, idle when nothing changed, and rebuilding only what changed."""

import os
import shutil
import signal
import subprocess
import sys
import time

import yaml
from fixtures.project_copy import Copy
from fixtures.snakemake_plans import edit_file
from fixtures.step_reads import check_reads

from harc.core.artifacts import Layout
from harc.core.files import read_json
from harc.settings.profile import load_profile

TIMED = ("compute.tex", "provenance.tex")  # what steps took, and the hashes that hold it; the PDF shows both
SAME = (".csv", ".tex", ".pdf", ".png")  # what two runs on one machine must give byte for byte


def test_every_artifact_is_there(finished):
    layout = Layout(finished.root / "results/ci")
    assert layout.report.is_file()
    assert read_json(layout.audit)["ok"]
    assert (layout.figures / "figure1.pdf").read_bytes().startswith(b"%PDF")
    assert (layout.tables / "numbers.tex").is_file()


UNUSED = "\nUNUSED = 1\n"
FIGURE = "harc/results/figures/figure1.py"


def test_after_a_run_only_what_changed_is_to_do(finished):
    """Nothing after nothing and after a remark; a figure alone; after a setting its step and what follows."""
    nothing, remark, figure, setting = finished.list_reruns(
        {},
        {"edit": ["harc/world/backbone.py", "", "# A remark changes no result.\n"]},
        {"edit": [FIGURE, "", UNUSED]},
        {"edit": ["config/profiles/ci.yaml", "analysis: {", "analysis: {plane_points: 33, "]},
    )
    assert nothing == remark == {}
    assert set(figure) - {"build_paper"} == {"all", "audit", "build_report", "make_figure"}
    assert figure["make_figure"] == 1
    assert setting["make_figure"] > 1
    assert not {"train_backbone", "train_adapter", "evaluate", "score"} & set(setting)


def test_a_dry_run_says_the_same(finished):
    with edit_file(finished.root / FIGURE, "", UNUSED):
        plan = finished.snakemake("--dry-run")
    assert plan.status == 0, plan.text
    assert plan.text.count("rule make_figure:") == 1
    assert "rule make_tables:" not in plan.text and "rule train_adapter:" not in plan.text


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
        f"results/ci/{place}/organism-llama/{name}/seed0"
        for place, name in (("finetuning", "base"), ("finetuning", "harc"), ("erosion", "harc"))
    }
    assert any(line.startswith("stale settings: results/ci/data/verified.json: ") for line in lines)


def test_tuning_tries_the_points_and_chooses_one(finished, warm):
    """`snakemake tune` on a profile with a grid of its own, whose backbone and directions are there already."""
    profile = finished.root / "config/profiles/ci.yaml"
    text = profile.read_text()
    assert "tuning: null" in text
    inherited = load_profile("organism_draws").tuning.grids
    grids = {
        "sft": [{"steps": 2}, {"steps": 3}],
        **dict.fromkeys(name for name in inherited if name != "sft"),
    }
    grid = yaml.safe_dump(
        {"tuning": {"seeds": [0], "shared": {"harc_released": None}, "grids": grids}},
        default_flow_style=True,
        width=1000,
    ).strip()[1:-1]
    profile.write_text(text.replace("tuning: null", grid))
    try:
        run = finished.snakemake("tune", **warm(finished))
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


def test_killed_run_continues_and_ends_as_an_uninterrupted_one(finished, tmp_path):
    """kill -9 of Snakemake and of its jobs while a method is trained; the next run finishes with the same scores."""
    again = Copy(tmp_path / "project")
    shutil.copytree(finished.root, again.root, symlinks=True)
    (again.root / "sitecustomize.py").unlink()  # the tracing
    kinds = ("adapters", "directions", "generations", "scores")
    gone = [again.root / "results/ci" / kind / "organism-llama/harc" for kind in kinds]
    log = again.root / "results/ci/logs/train_adapter/organism-llama-harc-seed0.log"
    for folder in (*gone, again.root / "results/ci/audit"):  # which is asked for, and asks for all the rest
        shutil.rmtree(folder)
    log.unlink()
    process = subprocess.Popen(
        [sys.executable, "-m", "snakemake", "--cores", "2", "--config", "profile=ci"],
        cwd=again.root,
        env={**os.environ, "PYTHONPATH": str(again.root)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 900
    while not log.exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.1)
    time.sleep(5)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert log.exists()
    locked = again.snakemake()
    assert locked.status != 0
    assert "unlock" in locked.text
    assert again.snakemake("--unlock").status == 0
    run = again.snakemake()
    assert run.status == 0, run.text[-3000:]
    assert "train_adapter organism-llama harc" in run.text
    for place in ("results/ci/scores", "results/ci/tables", "results/ci/figures", "paper/generated"):
        paths = [
            path
            for path in sorted((finished.root / place).rglob("*"))
            if path.suffix in SAME and path.name not in TIMED
        ]
        assert paths
        for path in paths:
            other = again.root / path.relative_to(finished.root)
            assert other.read_bytes() == path.read_bytes(), path
    roots = [(project.root / "results/ci/root_hash.json").read_bytes() for project in (again, finished)]
    assert roots[0] == roots[1]
