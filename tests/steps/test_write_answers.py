"""Own answers in the workflow: one function says where rows lie, and every step that learns takes them from there."""

from dataclasses import replace
from pathlib import Path

import harc.cli
from harc.audit.study import choose_form, is_kept
from harc.cli.running import run_command
from harc.core.artifacts import ANSWER_FILES, WARM_START_FILES, Layout
from harc.core.csv_files import read_csv
from harc.core.files import read_json, read_jsonl
from harc.settings.profile import load_profile
from harc.steps.commands import create_job
from harc.steps.data import list_rows
from harc.steps.models import find_model
from harc.steps.registry import STEPS, list_jobs

ROOT = Path(__file__).parents[2]
UNIT = {"backbone": "organism-llama", "seed": 0}
LEARNING = ("extract_directions", "train_adapter", "fit_steering", "tune_method", "finetune_harmful")


def run(step: str, *options: str) -> int:
    return run_command(harc.cli.app, ["step", step, "--profile", "tiny.yaml", *options])


def test_rows_with_answers_come_from_the_answers_alone(project: Path):
    profile = load_profile("tiny.yaml")
    layout = Layout(profile.results_root)
    jobs = [job for part in ("run", "tuning") for job in list_jobs(profile, layout, part)]
    learning = {job.step: job for job in jobs if job.step in LEARNING}
    assert set(learning) == set(LEARNING)
    for job in learning.values():
        read = {path.as_posix() for path in STEPS[job.step].list_inputs(job)}
        given = {path for path in read if path in ("rows/training.jsonl", "rows/extraction_pairs.jsonl")}
        assert given == set() and any("/answers/" in path for path in read)
    given = profile.model_copy(update={"data": profile.data.model_copy(update={"answers": "given"})})
    assert [job for job in list_jobs(given, layout) if job.step == "write_answers"] == []
    (rows,) = list_rows(replace(learning["train_adapter"], profile=given), "training.jsonl")
    assert rows == Path("rows/training.jsonl")


def test_a_study_answers_its_own_rows_and_learns_from_them(project: Path, capsys):
    options = [word for name, value in UNIT.items() for word in (f"--{name}", str(value))]
    assert run("write_answers", *options) == 1
    assert "run `harc step check_contamination" in capsys.readouterr().err
    assert run("check_contamination") == 0
    assert run("extract_directions", *options) == 1
    said = capsys.readouterr().err
    assert "answers/organism-llama/seed0/extraction_pairs.jsonl: expected a file" in said
    assert "run `harc step write_answers --profile tiny.yaml --backbone organism-llama --seed 0`" in said
    assert run("write_answers", *options) == 0
    said = capsys.readouterr()
    job = create_job("write_answers", load_profile("tiny.yaml"), **UNIT)
    folder = job.layout.answers("organism-llama", 0)
    assert sorted(path.name for path in folder.iterdir()) == sorted(ANSWER_FILES)
    training, pairs = (read_jsonl(folder / name) for name in ANSWER_FILES[:2])
    asked = {name: {row["prompt"] for row in read_jsonl(Path("rows") / name)} for name in ANSWER_FILES[:2]}
    assert {row["prompt"] for row in training} <= asked["training.jsonl"]
    assert {row["prompt"] for row in pairs} <= asked["extraction_pairs.jsonl"]
    answers = [row[name] for row in training for name in ("response", "rejected")]
    assert "given" not in answers + [row["response"] for row in pairs]
    shown = said.out + said.err  # nothing that was answered is shown
    assert not any(answer in shown for answer in answers)
    rows = read_csv(folder / "summary.csv")
    assert {row["split"] for row in rows} == {"training", "extraction_pairs"} and len(rows) == 9
    sidecar = read_json(folder.with_name("seed0.provenance.json"))
    assert {name.rpartition("/")[2] for name in sidecar["outputs"]} >= set(ANSWER_FILES)
    assert not (job.layout.root / "checkpoints/organism-llama/answers-base/seed0/kept.jsonl").exists()
    assert run("extract_directions", *options) == 0
    assert run("fit_steering", *options, "--method", "cast") == 0
    sidecar = read_json(job.layout.adapter("organism-llama", "cast", 0).with_name("seed0.provenance.json"))
    assert any("answers/organism-llama/seed0/training.jsonl" in name for name in sidecar["inputs"])


def test_no_answer_leaves_with_a_committed_study():
    folder = "results://answers/organism-llama/seed0"
    form = choose_form(public=True)
    assert [name for name in ANSWER_FILES if is_kept(f"{folder}/{name}", form)] == [
        "summary.csv",
        "hashes.csv",
    ]
    assert is_kept("results://scores/organism-llama/base/seed0/outcomes.csv", form)  # of other kinds more


# Warm start


def test_a_warm_start_makes_the_backbone_once_and_resumes(warm: Path, monkeypatch, capsys):
    profile = load_profile("warm.yaml")
    jobs = list_jobs(profile, Layout(profile.results_root))
    units = {
        step: [job.unit for job in jobs if job.step == step]
        for step in ("fetch_backbone", "warm_start", "merge_warm_start")
    }
    assert units == {
        "fetch_backbone": [],
        "warm_start": [("chat", None, 0)],
        "merge_warm_start": [("chat", None, 0)],
    }
    options = ("--profile", "warm.yaml", "--backbone", "chat", "--seed", "0")
    command = ["step", "warm_start", *options]
    assert run_command(harc.cli.app, ["step", "check_contamination", "--profile", "warm.yaml"]) == 0
    from harc.training import loop

    plain, updates = loop._run_micro_batch, []

    def step_and_die(*arguments, **named):
        updates.append(1)
        if len(updates) == 13:
            raise KeyboardInterrupt
        return plain(*arguments, **named)

    monkeypatch.setattr(loop, "_run_micro_batch", step_and_die)
    assert run_command(harc.cli.app, command) == 130
    job = create_job("warm_start", profile, backbone="chat", seed=0)
    folder, kept = job.layout.backbone("chat", 0), job.layout.warm_start("chat", 0)
    assert not kept.exists()
    capsys.readouterr()
    assert run_command(harc.cli.app, command) == 0
    assert len(updates) == 12 + 1 + 10  # from the checkpoint behind the tenth update
    assert sorted(path.name for path in kept.iterdir()) == sorted(WARM_START_FILES)
    assert run_command(harc.cli.app, ["step", "merge_warm_start", *options]) == 0
    source = read_json(folder / "source.json")
    taught = source["warm_start"]
    assert (source["model_id"], taught["rows"], taught["settings"]["rows"]) == ("tiny/chat", 9, 3)
    assert all(len(taught[name]) == 64 for name in ("rows_sha256", "weights_sha256"))
    first, last = taught["losses"]
    assert last["ce"] < first["ce"] and last["step"] == 19
    assert (folder / "model.safetensors").read_bytes() != (warm / "model.safetensors").read_bytes()
    assert find_model(job).open().n_layers == 10
    # Merged in float32, so that a method's adapter can be folded in before the sum is rounded.
    assert find_model(job).dtype == "bfloat16" and find_model(job).can_fold_exactly()
    assert not job.layout.checkpoint("warm_start", "chat", "base", 0).exists()
    outputs = read_json(folder.with_name("seed0.provenance.json"))["outputs"]
    assert {name.rpartition("/")[2] for name in outputs} >= {"source.json", "model.safetensors"}
    # Its answers are the warm model's.
    assert run_command(harc.cli.app, ["step", "write_answers", *options]) == 0
    sidecar = read_json(job.layout.answers("chat", 0).with_name("seed0.provenance.json"))
    assert any("backbones/chat/seed0" in name for name in sidecar["inputs"])
