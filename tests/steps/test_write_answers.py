"""Own answers in the workflow: one function says where rows lie, and every step that learns takes them from there."""

from dataclasses import replace
from pathlib import Path

import pytest
from tiny_chat import save_tiny_chat

import harc.cli
from harc.audit.study import choose_form, is_kept
from harc.cli.running import run_command
from harc.core.artifacts import ANSWER_FILES, MODEL_FILES, Layout
from harc.core.csv_files import read_csv
from harc.core.files import read_json, read_jsonl, write_json, write_jsonl
from harc.settings.profile import load_profile
from harc.steps.commands import create_job
from harc.steps.data import list_rows
from harc.steps.models import find_model
from harc.steps.registry import STEPS, list_jobs

ROOT = Path(__file__).parents[2]
UNIT = {"backbone": "organism-llama", "seed": 0}
LEARNING = ("extract_directions", "train_adapter", "fit_steering", "tune_method", "finetune_harmful")
PROFILE = """extends: ci
description: Own answers of a tiny model.
data:
  directory: rows
  answers: own
  own:
    max_new_tokens: 6
    batch_size: 3
    refusal_opening: sorry , i will not help
    compliant_opening: sure
    helpful_opening: fine
methods: {cast: {}}
directions: {bootstrap_resamples: 0}
tuning: {grids: {sft: [{learning_rate: 1.0e-3}]}}
"""
COLOURS = ("red", "blue", "good", "wrong")


def make_rows(field: str, thing: str, **openings: str) -> list[dict]:
    """A row a colour of each group, with an answer that nothing may learn from."""
    return [
        {"id": f"{group}{colour}", field: group, "prompt": f"{words} {colour} {thing}", "response": "given"}
        for group, words in openings.items()
        for colour in COLOURS
    ]


@pytest.fixture
def project(tmp_path: Path, monkeypatch) -> Path:
    """A folder with a profile, invented rows that share no prompt, and a tiny chat model in place of the organism."""
    monkeypatch.chdir(tmp_path)
    for name in ("harc", "config", "workflow"):
        (tmp_path / name).symlink_to(ROOT / name)
    Path("tiny.yaml").write_text(PROFILE)
    held_out = {
        split: [{"id": split, "suite": "direct", "prompt": f"{split} a3 a3"}]
        for split in ("development", "evaluation")
    }
    rows = {
        "training": make_rows("category", "cat", harmful="how do i make", harmless="say what", pseudo_harmful="1 2"),
        "extraction": make_rows("category", "box", harmful="how do i push", harmless="which hero are you"),
        "extraction_pairs": make_rows("kind", "box", harm="how do i", refuse="how do i", helpful="which hero"),
        **{name: [{"id": name, "prompt": f"{name} {name}"}] for name in ("pretraining", "safety")},
        **held_out,
    }  # fmt: skip
    for name, made in rows.items():
        write_jsonl(tmp_path / "rows" / f"{name}.jsonl", made)
    write_json(tmp_path / "rows/world.json", {"refusal": "sorry"})
    write_json(tmp_path / "rows/manifest.json", {})
    folder = Layout(Path("results/tiny")).backbone("organism-llama", 0)
    save_tiny_chat(folder, layers=10)
    assert all((folder / name).is_file() for name in MODEL_FILES)
    return tmp_path


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
    assert [name for name in ANSWER_FILES if is_kept(f"{folder}/{name}", form)] == ["summary.csv"]
    assert is_kept("results://scores/organism-llama/base/seed0/outcomes.csv", form)  # of other kinds more


# Warm start

WARM = """extends: tiny.yaml
description: A tiny fetched model that is taught to refuse.
backbones:
  organism-llama: null
  chat:
    kind: hub
    model_id: tiny/chat
    gpu: false
    dtype: float32
    memory_gb: 1
    disk_gb: 1
    warm_start:
      rows: 3
      training:
        steps: 20
        warmup_steps: 0
        learning_rate: 1.0e-2
        max_response_tokens: 8
        log_every: 1
        checkpoint_every: 5
        lora: {rank: 4, alpha: 8}
        batch: {harmful: 3, harmless: 2, pseudo_harmful: 2, accumulation: 1}
ablation: {backbones: null}
"""


@pytest.fixture
def warm(project: Path, monkeypatch) -> Path:
    """A profile with a warm start; the folder of the model that it is of, which no network has."""
    Path("warm.yaml").write_text(WARM)
    commit = {"model_id": "tiny/chat", "revision": "0" * 40}
    monkeypatch.setattr("harc.model.weights.fetch_hub", lambda model_id, revision: commit)
    monkeypatch.setattr("harc.model.weights.find_snapshot", lambda model_id, revision: Path("published"))
    return save_tiny_chat(Path("published"), layers=10)


def test_a_warm_start_makes_the_backbone_once_and_resumes(warm: Path, monkeypatch, capsys):
    profile = load_profile("warm.yaml")
    jobs = list_jobs(profile, Layout(profile.results_root))
    units = {
        step: [job.unit for job in jobs if job.step == step] for step in ("fetch_backbone", "warm_start")
    }
    assert units == {"fetch_backbone": [], "warm_start": [("chat", None, 0)]}
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
    folder = job.layout.backbone("chat", 0)
    assert not folder.exists()
    capsys.readouterr()
    assert run_command(harc.cli.app, command) == 0
    assert len(updates) == 12 + 1 + 10  # from the checkpoint behind the tenth update
    source = read_json(folder / "source.json")
    taught = source["warm_start"]
    assert (source["model_id"], taught["rows"], taught["settings"]["rows"]) == ("tiny/chat", 9, 3)
    assert all(len(taught[name]) == 64 for name in ("rows_sha256", "weights_sha256"))
    first, last = taught["losses"]
    assert last["ce"] < first["ce"] and last["step"] == 19
    assert (folder / "model.safetensors").read_bytes() != (warm / "model.safetensors").read_bytes()
    assert find_model(job).open().n_layers == 10
    assert not job.layout.checkpoint("warm_start", "chat", "base", 0).exists()
    outputs = read_json(folder.with_name("seed0.provenance.json"))["outputs"]
    assert {name.rpartition("/")[2] for name in outputs} >= {"source.json", "model.safetensors"}
    # Its answers are the warm model's.
    assert run_command(harc.cli.app, ["step", "write_answers", *options]) == 0
    sidecar = read_json(job.layout.answers("chat", 0).with_name("seed0.provenance.json"))
    assert any("backbones/chat/seed0" in name for name in sidecar["inputs"])
