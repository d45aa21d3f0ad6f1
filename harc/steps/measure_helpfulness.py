"""Step measure_helpfulness: the public benchmarks on one model; finished ones survive a kill."""

from pathlib import Path

from harc.steps.models import list_model_files
from harc.steps.pipeline import Job
from harc.suites.benchmarks import list_datasets, list_output_names


def select_settings(job: Job) -> dict:
    """Which benchmarks and how they are asked."""
    settings = job.profile.helpfulness
    return {"helpfulness": settings and settings.model_dump(mode="json", exclude={"batch_size"})}


def list_inputs(job: Job) -> list[Path]:
    """The model; the registry of the files behind local benchmarks is part of the code."""
    return list_model_files(job)


def list_outputs(job: Job) -> list[Path]:
    """The folder of records and scores, and its files."""
    folder = job.layout.helpfulness(job.backbone, job.method, job.seed)
    return [folder, *(folder / name for name in list_output_names(job.profile.helpfulness))]


def run(job: Job) -> None:
    """Fetch what is local and missing, then ask every benchmark.

    Raises:
        EnvironmentProblem: without a sandbox for HumanEval, or a file that cannot be fetched.
    """
    from harc.core.finished import KEPT, KeyedStore
    from harc.data.fetch import fetch_datasets
    from harc.evaluation.helpfulness import describe_run, make_settings, measure_helpfulness
    from harc.evaluation.run import load_target
    from harc.steps.models import find_model

    settings, data, model = job.profile.helpfulness, job.profile.data, find_model(job, job.method)
    if needed := list_datasets(settings):
        fetch_datasets(needed, data.public_dir, mirror=job.mirror or data.mirror, timeout=data.timeout)
    checkpoint = job.layout.checkpoint("helpfulness", job.backbone, job.method, job.seed)
    store = KeyedStore(checkpoint / KEPT, describe_run(settings, model.identify(), job.seed))
    target = load_target(model, make_settings(settings))
    measure_helpfulness(target, settings, store, data.public_dir, list_outputs(job)[0], seed=job.seed)
