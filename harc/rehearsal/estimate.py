"""What a profile on published models will need, before anyone pays: time by step, memory of a device, disk.

Work is counted from the profile's settings and its models' shapes, job by job, and timed at rates that were measured
once (`harc.rehearsal.measured`).
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from harc.core.artifacts import Layout
from harc.core.errors import ConfigError
from harc.rehearsal import counts_asking as asking
from harc.rehearsal import counts_learning as learning
from harc.rehearsal.measured import CPU, GPU, HIGH, LOW, PLAIN_SECONDS, Rates
from harc.rehearsal.shapes import BYTES, find_shape, name_published
from harc.rehearsal.space import Peak, Place, list_peaks, list_places
from harc.rehearsal.work import Subject, Work, bound_work, time_work
from harc.settings.backbones import OrganismBackbone
from harc.settings.profile import Profile
from harc.steps.job import Job
from harc.steps.registry import STEPS, list_jobs

COUNTERS: dict[str, Callable[[Job, Subject], list[Work]]] = {
    "warm_start": learning.count_warm_start,
    "merge_warm_start": learning.count_merge,
    "write_answers": learning.count_write_answers,
    "extract_directions": learning.count_extract_directions,
    "train_adapter": learning.count_train_adapter,
    "fit_steering": learning.count_fit_steering,
    "tune_method": asking.count_tune_method,
    "evaluate": asking.count_evaluate,
    "trace_responses": asking.count_trace_responses,
    "finetune_harmful": partial(asking.count_finetuned, name="finetuning"),
    "erode_refusal": partial(asking.count_finetuned, name="erosion"),
    "suppress_refusal": asking.count_suppress_refusal,
    "measure_helpfulness": asking.count_measure_helpfulness,
}
"""What each step that runs on a model does there, by name."""
TRAINED = ("train_adapter", "warm_start")  # their frozen weights have the training's precision
PLAIN = "no model (CPU)"
HOUR = 3600.0


class Line(NamedTuple):
    """One step: its jobs, and hours of devices in use (a GPU's, or one thread's of a CPU), between least and most."""

    step: str
    jobs: int
    expected: float
    least: float
    most: float


class Estimate(NamedTuple):
    """What a profile needs.

    Attributes:
        profile: its name.
        unit: of what hours there are.
        lines: the steps, in the order in which they run.
        peaks: memory.
        places: disk.
        unmeasured: what no measurement stands behind.
    """

    profile: str
    unit: str
    lines: list[Line]
    peaks: list[Peak]
    places: list[Place]
    unmeasured: list[str]

    @property
    def total(self) -> Line:
        """All steps."""
        sums = (sum(getattr(line, name) for line in self.lines) for name in ("expected", "least", "most"))
        return Line("total", sum(line.jobs for line in self.lines), *sums)


def check_models(profile: Profile) -> None:
    """Refuse a profile that has other than published models.

    Raises:
        ConfigError: for organisms, or a model whose shape is not known.
    """
    place = f"estimate of {profile.name}"
    if any(isinstance(backbone, OrganismBackbone) for backbone in profile.all_backbones.values()):
        raise ConfigError(
            place,
            expected="a profile on published models",
            found="one of organisms, which costs minutes",
            fix="estimate small, paper, large, smol or smollm2; what organisms cost stands in README.md",
        )
    for backbone in profile.all_backbones.values():
        find_shape(place, name_published(backbone))


def make_subject(job: Job) -> Subject:
    """The job's model, in the precision of its step."""
    backbone: Any = job.profile.all_backbones[job.backbone]
    taught = backbone.training_dtype if job.step in TRAINED else None
    model = find_shape(f"estimate of {job.profile.name}", name_published(backbone))
    return Subject(model, BYTES[taught or backbone.dtype], not backbone.gpu)


def choose_rates(profile: Profile, backbone: str) -> Rates:
    """Rates of the device that a backbone's jobs run on."""
    return GPU if getattr(profile.all_backbones[backbone], "gpu", False) else CPU


def count_work(job: Job) -> list[Work]:
    """Work of a job that runs on a model."""
    return COUNTERS[job.step](job, make_subject(job))


def time_job(job: Job) -> tuple[float, float, float]:
    """(expected, least, most) hours of devices; a step without a model has a mean of its own."""
    if job.step not in COUNTERS:
        seconds = PLAIN_SECONDS.get(job.step, 0.0)
        return seconds / HOUR, seconds * LOW / HOUR, seconds * HIGH / HOUR
    rates, works = choose_rates(job.profile, job.backbone), count_work(job)
    gpus = max(1, STEPS[job.step].count_gpus(job.profile, job.backbone))
    bounds = [bound_work(work, rates, derived=gpus > 1) for work in works]
    least, most = (sum(side) for side in zip(*bounds, strict=True))
    expected = sum(time_work(work, rates) * (1 + work.least) / 2 for work in works)
    return expected * gpus / HOUR, least * gpus / HOUR, most * gpus / HOUR


def list_lines(profile: Profile) -> list[Line]:
    """A line for each step that runs on a model, one for all the others."""
    layout = Layout(profile.results_root)
    jobs = [*list_jobs(profile, layout), *list_jobs(profile, layout, "end")]
    times: dict[str, list[tuple[float, float, float]]] = {}
    for job in jobs:
        times.setdefault(job.step if job.step in COUNTERS else PLAIN, []).append(time_job(job))
    ordered = [step for step in STEPS if step in times] + [PLAIN] * (PLAIN in times)
    return [
        Line(step, len(times[step]), *(sum(side) for side in zip(*times[step], strict=True)))
        for step in ordered
    ]


def list_unmeasured(profile: Profile) -> list[str]:
    """What an estimate of this profile takes from no measurement."""
    backbones: list[Any] = list(profile.all_backbones.values())
    unmeasured = []
    if any(backbone.gpu for backbone in backbones):
        unmeasured.append(
            "decoding on the GPU (from its memory's data sheet and the time to start a kernel); GPUs other than "
            f"{GPU.name.removeprefix('one ')}"
        )
    if any(getattr(backbone, "gpus", 1) > 1 for backbone in backbones):
        unmeasured.append(
            "several GPUs (their blocks run one after the other, so each is idle most of the time)"
        )
    if any(not backbone.gpu for backbone in backbones):
        unmeasured.append(
            "other CPUs: a thread of the one in benchmarks/measured/speed_smollm2_cpu.md took two to four times as long"
        )
    endpoint = profile.evaluation.attacker_endpoint
    if endpoint is not None and endpoint.kind == "openai":
        unmeasured.append(f"the attacker's server ({endpoint.model}), which needs a device of its own")
    if "pair" in profile.evaluation.suites:
        unmeasured.append(
            "how early PAIR reaches its goals: between its first round's queries and all of them"
        )
    unmeasured.append("downloads, and waiting for a machine")
    unmeasured.append(
        "lengths: prompts and answers are those of results/reference/smollm2, some others assumed"
    )
    return unmeasured


def estimate_profile(profile: Profile) -> Estimate:
    """Count and time everything.

    Raises:
        ConfigError: for a profile of organisms, or a model whose shape is not known.
    """
    check_models(profile)
    devices = dict.fromkeys(choose_rates(profile, name).name for name in profile.all_backbones)
    unit = f"hours of {' and of '.join(devices)}"
    return Estimate(
        profile.name,
        unit,
        list_lines(profile),
        list_peaks(profile),
        list_places(profile),
        list_unmeasured(profile),
    )
