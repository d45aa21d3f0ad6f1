"""Running a whole profile again beside its results."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from harc.audit.comparison import Comparison, compare_trees
from harc.core.artifacts import Layout
from harc.core.errors import ArtifactError
from harc.settings.profile import Profile
from harc.steps.pipeline import Job, list_jobs, run_job

READ_ROWS = (
    "pull_data",
    "train_backbone",
    "extract_directions",
    "train_adapter",
    "evaluate",
    "finetune_harmful",
)
# Made from what is compared already, naming the tree's own path: steps, and their files.
LEFT_OUT = {"build_report": "report.html", "seal_results": "root_hash.json"}


def list_jobs_again(profile: Profile, other: Path) -> Iterator[Job]:
    """Every job of a profile in an order in which they can run, with `other` as its tree.

    Rows that are made in the run are made again too, under `other`; pinned rows are read where they are.
    """
    elsewhere = profile.data.model_copy(update={"directory": str(other / "data/rows")})
    moved = profile if profile.data.source == "dvc" else profile.model_copy(update={"data": elsewhere})
    for job in list_jobs(profile, Layout(other)):
        if job.step not in LEFT_OUT:
            yield replace(job, profile=moved) if job.step in READ_ROWS else job


def rerun_everything(profile: Profile, other: Path) -> Comparison:
    """Run every job again, one after the other, and compare the two trees.

    Args:
        profile: whose results are under results/<name>.
        other: folder of the second tree, beside the first.

    Raises:
        ArtifactError: if `other` is the tree itself, or lies outside results/.
        HarcError: whatever a job finds wrong.
    """
    import torch

    if other.parent != profile.results_root.parent or other == profile.results_root:
        raise ArtifactError(
            str(other),
            expected=f"a folder of its own in {profile.results_root.parent}",
            found="another place",
            fix=f"name it {profile.results_root}_again",
        )
    torch.set_num_threads(1)  # as the workflow's jobs: sums in another order give other last digits
    for job in list_jobs_again(profile, other):
        run_job(job)
    found = compare_trees(profile.results_root, other)
    return replace(found, only_a=tuple(name for name in found.only_a if name not in LEFT_OUT.values()))
