"""The step on judges: train_judge fits the refusal classifier to people's labels, for profiles whose judges name it."""

from pathlib import Path

from harc.core.artifacts import JUDGE_FILES
from harc.judges.registry import TRAINED_JUDGES
from harc.settings.profile import Profile
from harc.steps.data import list_registry
from harc.steps.job import Job, Resources, Step, within


def list_training_units(profile: Profile) -> list[tuple]:
    """One for the whole profile, if a judge is trained at all: of evaluations, or of the model's own answers."""
    own = () if profile.data.answers == "given" else (profile.data.own.judge,)
    return [()] if set(TRAINED_JUDGES) & {*profile.evaluation.judges, *own} else []


def find_parameters(job: Job, *judges: str) -> Path | None:
    """The trained judge's parameters, as a job that judges reads them; None where no judge needs any.

    Args:
        job: the job.
        judges: that it asks; the evaluation's by default.
    """
    needed = set(TRAINED_JUDGES) & set(judges or job.profile.evaluation.judges)
    return job.layout.judges / JUDGE_FILES[0] if needed else None


def list_parameters(job: Job, *judges: str) -> list[Path]:
    """The same as inputs."""
    found = find_parameters(job, *judges)
    return [] if found is None else [found]


def run_train_judge(job: Job) -> None:
    """Fetch the labelled completions, train on them, and measure on held-out models.

    Raises:
        DataError: if a file is not the registered one, or its labels cannot be learnt.
        EnvironmentProblem: if a file cannot be fetched.
    """
    from harc.core.csv_files import write_csv
    from harc.data.fetch import fetch_for
    from harc.data.registry import choose_registry
    from harc.evaluation import calibrate_refusal_classifier as calibration
    from harc.evaluation.train_judge import make_examples, read_labelled, train_classifier
    from harc.judges.refusal_classifier import write_parameters

    data = job.profile.data
    fetch_for(data, ("xstest",), job.mirror)
    rows, sources = read_labelled(data.public_dir, choose_registry(data))
    parameters = train_classifier(make_examples(rows), sources)
    judges, reliability = calibration.measure_classifier(rows, sources)
    parameters_file, judges_file, reliability_file = (job.layout.judges / name for name in JUDGE_FILES)
    write_csv(judges_file, calibration.COLUMNS, judges)
    write_csv(reliability_file, calibration.RELIABILITY_COLUMNS, reliability)
    write_parameters(parameters_file, parameters)


TRAIN_JUDGE = Step(
    "train_judge",
    f"{__name__}:run_train_judge",
    list_outputs=lambda job: within(job.layout.judges, JUDGE_FILES),
    list_units=list_training_units,
    list_inputs=list_registry,
    resources=Resources(1000, runtime=10),
    needs=("public rows",),
)
