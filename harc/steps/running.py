"""Running a job with its provenance recorded, under the fingerprint that the workflow knows it by.

The rules compare `fingerprint_job` between runs: a change of a step's code or settings reruns that step and what
follows from it.
"""

import hashlib
import json

from harc.core.errors import ArtifactError, ConfigError
from harc.core.fingerprint import fingerprint_code
from harc.steps.files import list_guards, list_read
from harc.steps.job import Job
from harc.steps.registry import STEPS


def hash_settings(settings: dict) -> str:
    """SHA-256 of settings as sorted JSON."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def list_code(job: Job) -> list[str]:
    """Where the code begins that a job's result depends on: its step, and what the step loads by name."""
    step = STEPS[job.step]
    return [step.code, *step.list_plugins(job)]


def fingerprint_job(job: Job) -> str:
    """Hash of the code and the settings that a job's result depends on."""
    settings = STEPS[job.step].select_settings(job)
    text = f"{fingerprint_code(list_code(job))} {hash_settings(settings)}"
    return hashlib.sha256(text.encode()).hexdigest()


def check_fingerprint(job: Job, planned: str | None) -> None:
    """Stop where code or settings are not those that the workflow was started with.

    The workflow would file the result under the old ones, and take it for theirs when they come back.

    Raises:
        ConfigError: naming the job.
    """
    if planned is not None and planned != fingerprint_job(job):
        raise ConfigError(
            job.label,
            expected=f"the code and the settings of {job.profile.source} that the run was started with",
            found="others: a file was changed meanwhile",
            fix="run the workflow again; finished jobs are kept",
        )


def check_guards(job: Job) -> None:
    """Stop before a step whose rows have not been checked.

    Raises:
        ArtifactError: naming what is missing.
    """
    for path in list_guards(job):
        if not path.is_file():
            raise ArtifactError(
                str(path),
                expected="the word that no held-out prompt is learnt from",
                found="none",
                fix=f"run `harc step check_contamination --profile {job.profile.source}`",
            )


def run_job(job: Job, planned: str | None = None) -> None:
    """Run a step and write its sidecar.

    Args:
        job: the step and its unit.
        planned: fingerprint under which the workflow will file the result; None for a run by hand.

    Raises:
        HarcError: whatever the step finds wrong; nothing is left half-written.
    """
    from harc.core.provenance import record_step
    from harc.steps.reference import unpack_reference

    check_fingerprint(job, planned)
    check_guards(job)
    if job.layout.reference is not None:
        unpack_reference(job.layout.reference.name)
    step = STEPS[job.step]
    settings, outputs = step.select_settings(job), step.list_outputs(job)
    with record_step(
        outputs[0],
        results_root=job.layout.root,
        command=job.command,
        inputs=list_read(job),
        outputs=outputs,
        code=fingerprint_code(list_code(job)),
        settings=settings,
        settings_hash=hash_settings(settings),
        seed=job.seed,
    ):
        step.run(job)
