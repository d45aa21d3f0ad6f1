"""Shared by the tests of this folder: tiny projects in which models answer their own rows."""

import shutil
from pathlib import Path

import pytest
from tiny_chat import save_tiny_chat

import harc.cli
from harc.audit.keep import keep_progress
from harc.audit.study import WITHOUT_ANSWERS
from harc.cli.running import run_command
from harc.core.artifacts import MODEL_FILES, Layout
from harc.core.files import write_json, write_jsonl
from harc.settings.profile import Profile, load_profile
from harc.steps.commands import create_job
from harc.steps.job import Job
from harc.steps.reference import restore_progress

ROOT = Path(__file__).parents[2]
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


def lay_out_project(folder: Path) -> None:
    """Fill the working folder with a profile, rows that share no prompt, and a tiny chat model for the organism."""
    for name in ("harc", "config", "workflow"):
        (folder / name).symlink_to(ROOT / name)
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
        write_jsonl(folder / "rows" / f"{name}.jsonl", made)
    write_json(folder / "rows/world.json", {"refusal": "sorry"})
    write_json(folder / "rows/manifest.json", {})
    model = save_tiny_chat(Layout(Path("results/tiny")).backbone("organism-llama", 0), layers=10)
    assert all((model / name).is_file() for name in MODEL_FILES)


@pytest.fixture
def project(tmp_path: Path, monkeypatch) -> Path:
    """A folder in which a tiny organism answers its own rows."""
    monkeypatch.chdir(tmp_path)
    lay_out_project(tmp_path)
    return tmp_path


WARM = """extends: tiny.yaml
description: A tiny fetched model that is taught to refuse.
backbones:
  organism-llama: null
  chat:
    kind: hub
    model_id: tiny/chat
    gpu: false
    dtype: bfloat16
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


def lay_out_warm(monkeypatch) -> Path:
    """Add a profile with a warm start; the folder of the model that it is of, which no network has."""
    Path("warm.yaml").write_text(WARM)
    stand_in(monkeypatch)
    return save_tiny_chat(Path("published"), layers=10)


def stand_in(monkeypatch) -> None:
    """Have the hub give the folder `published`."""
    commit = {"model_id": "tiny/chat", "revision": "0" * 40}
    monkeypatch.setattr("harc.model.weights.fetch_hub", lambda model_id, revision: commit)
    monkeypatch.setattr("harc.model.weights.find_snapshot", lambda model_id, revision: Path("published"))


@pytest.fixture
def warm(project: Path, monkeypatch) -> Path:
    """A profile with a warm start; the folder of the model that it is of."""
    return lay_out_warm(monkeypatch)


@pytest.fixture(scope="session")
def two_machines(tmp_path_factory) -> Path:
    """A folder with a study's pack, the tree of its first machine in `first_machine`, and the second's in `results`.

    What the second does not restore it made by itself; training was not possible there.
    """
    folder = tmp_path_factory.mktemp("machines")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("harc.audit.keep.choose_form", lambda public: WITHOUT_ANSWERS)
        lay_out_project(folder)
        lay_out_warm(patch)
        profile = load_profile("warm.yaml")
        for step in FIRST:
            run_step(profile, step)
        keep_progress(profile, "toy")
        profile.results_root.rename("first_machine")
        restore_progress("toy", profile.results_root)
        patch.setattr("harc.training.run.train_adapter", None)
        for step in LOCAL:
            run_step(profile, step)
    return folder


LOCAL = ("merge_warm_start", "write_answers")
FIRST = ("check_contamination", "warm_start", *LOCAL, "extract_directions", "fit_steering")
UNITS = {"check_contamination": (), "fit_steering": ("backbone", "method", "seed")}
VALUES = {"backbone": "chat", "method": "cast", "seed": 0}


def find_job(profile: Profile, step: str) -> Job:
    """A step of the tiny study."""
    return create_job(step, profile, **{name: VALUES[name] for name in UNITS.get(step, ("backbone", "seed"))})


def run_step(profile: Profile, step: str) -> None:
    """Run a step by its command."""
    assert run_command(harc.cli.app, find_job(profile, step).command.split()[1:]) == 0


@pytest.fixture
def moved(two_machines: Path, tmp_path: Path, monkeypatch) -> Profile:
    """The study of two machines, as the second stands once the steps are done that each does for itself."""
    copy = shutil.copytree(two_machines, tmp_path / "project", symlinks=True)
    monkeypatch.chdir(copy)
    monkeypatch.setattr("harc.audit.keep.choose_form", lambda public: WITHOUT_ANSWERS)
    stand_in(monkeypatch)
    return load_profile("warm.yaml")
