"""Steps warm_start, merge_warm_start: a fetched model that hardly refuses learns to, once, before anything is measured.

warm_start trains an adapter, rounds it to bfloat16 and is done: it is small, so a study in several sittings keeps it.
merge_warm_start folds it into the weights as published, with the same bytes on every machine, and leaves the backbone.
"""

from pathlib import Path
from typing import Any

from harc.core.artifacts import BASE, LORA_FILES, SOURCE_FILE, WARM_START_FILES
from harc.core.errors import ModelError
from harc.settings.backbones import WarmStartSettings
from harc.steps.answers import FIELDS, open_writer, select_answering
from harc.steps.backbones import RUNNING, fetch_weights, list_fetched_models, list_folder, select_backbone
from harc.steps.job import MODEL, Job, Step, run_on_model, within
from harc.steps.judging import list_parameters
from harc.steps.models import find_fetched

ROWS = "training.jsonl"
WEIGHTS_FILE = "model.safetensors"
CARD, ADAPTER = "card.json", "adapter_model.safetensors"


def list_taught(job: Job) -> list[Path]:
    """The rows that are taught: those of the training split, which is free of held-out prompts."""
    return [job.profile.data_dir / ROWS]


def list_adapter(job: Job) -> list[Path]:
    """The adapter's folder, and its files."""
    return within(job.layout.warm_start(job.backbone, job.seed), WARM_START_FILES)


def find_settings(job: Job) -> WarmStartSettings:
    """The warm start of the job's backbone."""
    backbone: Any = job.profile.all_backbones[job.backbone]
    return backbone.warm_start


def run_warm_start(job: Job) -> None:
    """Fetch, let the model answer benign rows, train on these and on refusals, and write the adapter in bfloat16.

    Answers and checkpoints of training survive a kill.

    Raises:
        EnvironmentProblem, DataError, ModelError: see fetch_backbone; for a model that answers nothing.
    """
    import json
    import shutil

    from harc.core.files import (
        atomic_directory,
        read_jsonl,
        sha256_file,
        sha256_text,
        write_json,
        write_jsonl,
    )
    from harc.core.finished import KEPT
    from harc.data.answers import make_warm_rows
    from harc.data.warm_rows import choose_warm_rows
    from harc.model.adapters import round_adapter
    from harc.training.run import train_adapter

    work = job.layout.checkpoint("warm_start", job.backbone, BASE, job.seed)
    source, warm = fetch_weights(job), find_settings(job)
    raw = find_fetched(job, source, work)
    asked = choose_warm_rows(read_jsonl(list_taught(job)[0], FIELDS[ROWS]), warm.rows, warm.wrapped)
    rows = make_warm_rows(open_writer(job, raw, work / KEPT), asked)
    train_adapter(
        raw.for_training().open(), rows, [], [], None, warm.compose_training(), warm.seed,
        work / "adapter", work / "training", validation_rows=[],
    )  # fmt: skip
    log = read_jsonl(work / "adapter" / "training_log.jsonl", ("ce", "benign_ce"))
    with atomic_directory(job.layout.warm_start(job.backbone, job.seed)) as folder:
        round_adapter(work / "adapter", folder)
        write_jsonl(folder / "training_log.jsonl", log)
        taught = {
            "rows": len(rows),
            "rows_sha256": sha256_text(json.dumps(rows, sort_keys=True)),
            "settings": warm.model_dump(mode="json"),
            "losses": [
                {name: row[name] for name in ("step", "ce", "benign_ce")} for row in (log[0], log[-1])
            ],
            "adapter_sha256": sha256_file(folder / ADAPTER),
        }
        write_json(folder / CARD, {**source, "warm_start": taught})
    shutil.rmtree(work, ignore_errors=True)


def select_warm_start(job: Job) -> dict:
    """The backbone's settings, its warm start among them, and how it is asked."""
    return {**select_backbone(job, left_out=RUNNING), **select_answering(job)}


WARM_START = Step(
    "warm_start",
    f"{__name__}:run_warm_start",
    list_outputs=list_adapter,
    unit=MODEL,
    list_units=lambda profile: list_fetched_models(profile, warm=True),
    list_inputs=lambda job: [*list_taught(job), *list_parameters(job, job.profile.data.own.judge)],
    select_settings=select_warm_start,
    resources=run_on_model(240),
    needs=("hub",),
    guarded=True,
)


def check_adapter(job: Job, source: dict) -> dict:
    """What the card of a warm start says, if the adapter and the published model are those that it is of.

    Args:
        job: names the backbone.
        source: the model as it was fetched here.

    Raises:
        ModelError, DataError: naming what is another, or what cannot be read.
    """
    from harc.core.files import read_json, sha256_file

    folder = job.layout.warm_start(job.backbone, job.seed)
    card = read_json(folder / CARD)
    try:
        taught = dict(card["warm_start"])
        expected, taken = taught["adapter_sha256"], {name: card[name] for name in source}
    except (KeyError, TypeError, ValueError):
        raise _refuse(job, folder / CARD, "the card of a warm start", "something else") from None
    if (found := sha256_file(folder / ADAPTER)) != expected:
        raise _refuse(job, folder / ADAPTER, f"sha256 {expected}, as its card says", found)
    if other := [name for name in source if taken[name] != source[name]]:
        said, here = (", ".join(f"{name} {record[name]}" for name in other) for record in (taken, source))
        raise _refuse(job, folder, f"the model that it was trained on, {said}", here)
    return taught


def _refuse(job: Job, path: Path, expected: str, found: str) -> ModelError:
    return ModelError(
        str(path),
        expected=expected,
        found=found,
        fix="restore the study's pack and the model that it names, or begin a new study under another --name and run "
        f"`harc step warm_start --profile {job.profile.source} --backbone {job.backbone} --seed {job.seed}`",
    )


def run_merge_warm_start(job: Job) -> None:
    """Fetch the model that the adapter was trained on, merge, and write the weights and what they came from.

    Raises:
        EnvironmentProblem, DataError, ModelError: see fetch_backbone; for an adapter that is another than its card
            says, or was trained on another model.
    """
    from dataclasses import replace

    from harc.core.files import atomic_directory, write_json
    from harc.model.adapters import merge_exactly
    from harc.model.handle import hash_weights

    source = fetch_weights(job)
    taught = check_adapter(job, source)
    adapter = job.layout.warm_start(job.backbone, job.seed)
    # In float32 whatever precision it is asked in, so that a method's adapter can be folded in exactly.
    adapted = replace(find_fetched(job, source, adapter), method=adapter, dtype="float32").open()
    with atomic_directory(job.layout.backbone(job.backbone, job.seed)) as folder:
        merged = merge_exactly(adapted.model, str(adapter))
        merged.save_pretrained(folder, max_shard_size="1TB")  # one file, whose hash the sidecar holds
        adapted.tokenizer.save_pretrained(folder)
        taught["weights_sha256"] = hash_weights(folder)
        write_json(folder / SOURCE_FILE, {**source, "warm_start": taught})


MERGE_WARM_START = Step(
    "merge_warm_start",
    f"{__name__}:run_merge_warm_start",
    list_outputs=lambda job: list_folder(job, (SOURCE_FILE, WEIGHTS_FILE)),
    unit=MODEL,
    list_units=lambda profile: list_fetched_models(profile, warm=True),
    list_inputs=lambda job: within(job.layout.warm_start(job.backbone, job.seed), (*LORA_FILES, CARD))[1:],
    select_settings=lambda job: select_backbone(job, left_out=(*RUNNING, "warm_start")),
    resources=run_on_model(20),
    needs=("hub",),
    local=True,
)
