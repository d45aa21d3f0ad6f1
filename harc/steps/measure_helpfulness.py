"""Step measure_helpfulness: the public benchmarks on one model; finished ones survive a kill."""

from pathlib import Path

from harc.core.artifacts import BASE
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
    from harc.data.fetch import fetch_datasets
    from harc.evaluation.helpfulness import RecordStore, describe_run, make_settings, measure_helpfulness
    from harc.evaluation.run import EvaluationPaths, hash_weights, load_target
    from harc.steps.models import find_weights

    settings, data, weights = job.profile.helpfulness, job.profile.data, find_weights(job)
    if needed := list_datasets(settings):
        fetch_datasets(needed, data.public_dir, mirror=job.mirror or data.mirror, timeout=data.timeout)
    adapter = None if job.method == BASE else job.layout.adapter(job.backbone, job.method, job.seed)
    model = {"backbone": hash_weights(weights.folder), "adapter": adapter and hash_weights(adapter)}
    model["chat"] = weights.chat
    store = RecordStore(
        job.layout.checkpoint("helpfulness", job.backbone, job.method, job.seed),
        describe_run(settings, model, job.seed),
    )
    unused = Path()
    target = load_target(
        EvaluationPaths(weights.folder, adapter, unused, unused, None, unused, chat=weights.chat),
        make_settings(settings),
        dtype=weights.dtype,
        device=weights.device,
    )
    measure_helpfulness(target, settings, store, data.public_dir, list_outputs(job)[0], seed=job.seed)
