"""Step warm_start: a fetched model that hardly refuses learns to, once, and is the backbone of all that follows."""

from pathlib import Path
from typing import Any

from harc.core.artifacts import BASE, SOURCE_FILE
from harc.settings.backbones import WarmStartSettings
from harc.steps.answers import FIELDS, open_writer, select_answering
from harc.steps.backbones import RUNNING, fetch_weights, list_fetched_models, list_folder, select_backbone
from harc.steps.job import MODEL, Job, Step, run_on_model
from harc.steps.judging import list_parameters
from harc.steps.models import find_fetched

ROWS = "training.jsonl"
WEIGHTS_FILE = "model.safetensors"


def list_taught(job: Job) -> list[Path]:
    """The rows that are taught: those of the training split, which is free of held-out prompts."""
    return [job.profile.data_dir / ROWS]


def find_settings(job: Job) -> WarmStartSettings:
    """The warm start of the job's backbone."""
    backbone: Any = job.profile.all_backbones[job.backbone]
    return backbone.warm_start


def run_warm_start(job: Job) -> None:
    """Fetch, let the model answer benign rows, train on these and on refusals, merge, and write the weights.

    Answers and checkpoints of training survive a kill.

    Raises:
        EnvironmentProblem, DataError, ModelError: see fetch_backbone; for a model that answers nothing.
    """
    import json
    import shutil

    from harc.core.files import atomic_directory, read_jsonl, sha256_text, write_json
    from harc.core.finished import KEPT
    from harc.data.answers import make_warm_rows
    from harc.model.handle import hash_weights
    from harc.training.run import train_adapter

    work = job.layout.checkpoint("warm_start", job.backbone, BASE, job.seed)
    source, warm = fetch_weights(job), find_settings(job)
    raw = find_fetched(job, source, work)
    rows = make_warm_rows(
        open_writer(job, raw, work / KEPT), read_jsonl(list_taught(job)[0], FIELDS[ROWS]), warm.rows
    )
    train_adapter(
        raw.for_training().open(), rows, [], [], None, warm.compose_training(), warm.seed,
        work / "adapter", work / "training", validation_rows=[],
    )  # fmt: skip
    log = read_jsonl(work / "adapter" / "training_log.jsonl", ("ce", "benign_ce"))
    taught = {
        "rows": len(rows),
        "rows_sha256": sha256_text(json.dumps(rows, sort_keys=True)),
        "settings": warm.model_dump(mode="json"),
        "losses": [{name: row[name] for name in ("step", "ce", "benign_ce")} for row in (log[0], log[-1])],
    }
    with atomic_directory(job.layout.backbone(job.backbone, job.seed)) as folder:
        _merge(raw, work / "adapter", folder)
        taught["weights_sha256"] = hash_weights(folder)
        write_json(folder / SOURCE_FILE, {**source, "warm_start": taught})
    shutil.rmtree(work, ignore_errors=True)


def _merge(raw: Any, adapter: Path, folder: Path) -> None:
    """Write the model with an adapter folded into its weights."""
    from dataclasses import replace

    from harc.model.adapters import fold_adapter

    merged = fold_adapter(replace(raw, method=adapter).open())
    merged.model.save_pretrained(folder, max_shard_size="1TB")  # one file, whose hash the sidecar holds
    merged.tokenizer.save_pretrained(folder)


def select_warm_start(job: Job) -> dict:
    """The backbone's settings, its warm start among them, and how it is asked."""
    return {**select_backbone(job, left_out=RUNNING), **select_answering(job)}


WARM_START = Step(
    "warm_start",
    f"{__name__}:run_warm_start",
    list_outputs=lambda job: list_folder(job, (SOURCE_FILE, WEIGHTS_FILE)),
    unit=MODEL,
    list_units=lambda profile: list_fetched_models(profile, warm=True),
    list_inputs=lambda job: [*list_taught(job), *list_parameters(job, job.profile.data.own.judge)],
    select_settings=select_warm_start,
    resources=run_on_model(240),
    needs=("hub",),
    guarded=True,
    local=True,
)
