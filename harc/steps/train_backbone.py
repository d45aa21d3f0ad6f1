"""Step train_backbone: an organism from scratch."""

from pathlib import Path

from harc.core.artifacts import BACKBONE_FILES
from harc.steps.pipeline import Job

ROWS = ("world.json", "pretraining.jsonl", "safety.jsonl", "extraction.jsonl", "development.jsonl")


def select_settings(job: Job) -> dict:
    """The backbone's own settings, and how organisms are trained."""
    return {
        "backbone": job.profile.all_backbones[job.backbone].model_dump(mode="json"),
        "organism": job.profile.organism.model_dump(mode="json"),
    }


def list_inputs(job: Job) -> list[Path]:
    """Corpora of the early splits, and development, which the stages' stop criteria read."""
    return [job.profile.data_dir / name for name in ROWS]


def list_outputs(job: Job) -> list[Path]:
    """The backbone's folder, and its files."""
    folder = job.layout.backbone(job.backbone, job.seed)
    return [folder, *(folder / name for name in BACKBONE_FILES)]


def run(job: Job) -> None:
    """Train the organism stage by stage; a kill costs at most the running stage."""
    from harc.world.backbone import train_organism_backbone

    backbone = job.profile.all_backbones[job.backbone]
    train_organism_backbone(
        job.profile.data_dir,
        job.layout.backbone(job.backbone, job.seed),
        backbone.architecture,
        job.profile.organism,
        job.seed,
        checkpoint_dir=job.layout.checkpoint("backbone", job.backbone, "base", job.seed),
    )
