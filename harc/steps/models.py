"""The model behind a job: an organism's folder, a GGUF file's model in the cache, or a snapshot of a hub repository."""

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
        ModelError: if a hub model is no longer in the hub's cache, or a GGUF file's model is another than before.
        EnvironmentProblem, DataError: if a GGUF file is no longer in the cache and cannot be had.
    """
    folder = job.layout.backbone(job.backbone, job.weights_seed)
    made = None if method == BASE else job.layout.adapter(job.backbone, method, job.seed)
    if not is_fetched(job):
        return ModelHandle(folder, made, name=str(folder))
    return find_fetched(job, read_json(folder / SOURCE_FILE), folder, made)


def find_fetched(job: Job, source: dict, folder: Path, made: Path | None = None) -> ModelHandle:
    """A fetched model by what is said of it, with what a method made of it.

    Args:
        job: names the backbone.
        source: of source.json.
        folder: holds the weights that a warm start made; without one they lie in a cache.
        made: folder of an adapter or a steering.

    Raises:
        ModelError, EnvironmentProblem, DataError: see find_model.
    """
    chat = job.profile.all_backbones[job.backbone].chat
    common = {"method": made, "dtype": source["dtype"], "device": source["device"], "chat": chat}
    common |= {"training_dtype": source["training_dtype"], "name": source["model_id"]}
    if "warm_start" in source:
        return ModelHandle(folder, **common)
    if source["kind"] == "gguf":
        return ModelHandle(_find_converted(job, source), **common)
    from harc.model.weights import find_snapshot

    snapshot = find_snapshot(source["model_id"], source["revision"])
    if snapshot is None:
        raise _refuse(job, f"{source['model_id']} at {source['revision']} in the hub's cache", "nothing")
    return ModelHandle(snapshot, revision=source["revision"], **common)


def _find_converted(job: Job, source: dict) -> Path:
    """Folder of a GGUF file's model, made again where the cache lost it: the files that source.json tells of."""
    from harc.model.weights import prepare_gguf

    folder, digest = prepare_gguf(job.profile.all_backbones[job.backbone].gguf)
    if digest != source["sha256"]:
        expected = f"the files of {source['model_id']} with sha256 {source['sha256']}, as when it was fetched"
        raise _refuse(job, expected, f"{digest}: another GGUF file, or another version of transformers")
    return folder


def _refuse(job: Job, expected: str, found: str) -> ModelError:
    return ModelError(
        f"backbone {job.backbone}",
        expected=expected,
        found=found,
        fix=f"run `harc step fetch_backbone --profile {job.profile.source} --backbone {job.backbone} "
        f"--seed {job.weights_seed}`",
    )
