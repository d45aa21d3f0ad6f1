"""Probes: a step run again on a small part of its work, and what that part must agree in with the stored whole.

A probe runs the step's own code with a smaller profile in a shadow tree; it knows nothing of how the step works. The
tolerances allow for another machine's last digits, not for another result.
"""

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from harc.audit.tensors import FAMILIES, Problem, read_tensors
from harc.core.artifacts import BASE, Layout
from harc.core.files import read_json, read_jsonl, write_json, write_jsonl
from harc.steps.job import Job

COSINE_TOLERANCE = 1e-4  # of a direction, at every slot
NORM_TOLERANCE = 1e-3  # of its length before scaling, relative
LOSS_TOLERANCE = (1e-2, 1e-4)  # of a logged number: relative, absolute
PROMPTS = 4  # generations asked for again
SAME_RESPONSES = 3  # of them; a near-tie between two tokens may fall the other way on another machine
FIRST_STEPS = 12  # most steps of training that are run again


@dataclass(frozen=True)
class Probe:
    """How a step is made small, and how its small result is compared.

    Attributes:
        shrink: the same job in a shadow tree, with less to do.
        compare: problems of the stored tree, given the small job and the stored one.
    """

    shrink: Callable[[Job, Path, Random], Job]
    compare: Callable[[Job, Job], Iterator[Problem]]


def _update(job: Job, shadow: Path, **changes: Any) -> Job:
    return replace(job, layout=Layout(shadow), profile=job.profile.model_copy(update=changes))


def _few_resamples(job: Job) -> Any:
    return job.profile.directions.model_copy(update={"bootstrap_resamples": 2})


def _shrink_extraction(job: Job, shadow: Path, random: Random) -> Job:
    """All prompts, since a mean over a few is another direction, but hardly any bootstrap."""
    return _update(job, shadow, directions=_few_resamples(job))


def _compare_extraction(small: Job, job: Job) -> Iterator[Problem]:
    """Every direction and its length, slot by slot."""
    ours, theirs = (
        read_tensors(each.layout.directions(each.backbone, BASE, each.seed) / "directions.safetensors")
        for each in (small, job)
    )
    for name in FAMILIES:
        if (name in ours) != (name in theirs):
            yield f"{name} in both", "in one"
        if name not in ours or name not in theirs:
            continue
        cosine = (ours[name].astype(np.float64) * theirs[name]).sum(axis=-1)
        norms = ours[f"norm_{name}"], theirs[f"norm_{name}"]
        there = np.linalg.norm(ours[name], axis=-1) > 0
        wrong = there & (cosine < 1 - COSINE_TOLERANCE)
        wrong |= np.abs(norms[0] - norms[1]) > NORM_TOLERANCE * np.abs(norms[0]) + 1e-6
        if wrong.any():
            slot = int(np.flatnonzero(wrong)[0])
            yield (
                f"{name} at slot {slot} as computed again (length {norms[0][slot]:.6g})",
                f"cosine {cosine[slot]:.6f} with it, length {norms[1][slot]:.6g}",
            )


def _shrink_training(job: Job, shadow: Path, random: Random) -> Job:
    """The first steps, up to the second row of the log where that is not far."""
    profile, backbone = job.profile, job.profile.backbones[job.backbone]
    settings: Any = profile.choose_training(
        job.backbone, job.method
    )  # groups of methods are declared by their files
    steps = min(settings.log_every + 1, FIRST_STEPS, settings.steps)
    breakers = settings.circuit_breakers  # its schedule must stay that of the whole run
    schedule = breakers.schedule_steps or 2 * settings.steps
    shorter = {"steps": steps, "circuit_breakers": breakers.model_copy(update={"schedule_steps": schedule})}
    methods = {**profile.methods, job.method: profile.find_method(job.method).model_copy(update=shorter)}
    backbones = dict(profile.backbones)
    if training := getattr(backbone, "training", None):  # a backbone's own values come last
        own = {**training, "steps": steps}
        backbones[job.backbone] = backbone.model_copy(update={"training": own})
    return _update(job, shadow, methods=methods, backbones=backbones, directions=_few_resamples(job))


def _differs(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        relative, absolute = LOSS_TOLERANCE
        return not math.isclose(a, b, rel_tol=relative, abs_tol=absolute)
    return a != b


def _compare_training(small: Job, job: Job) -> Iterator[Problem]:
    """Rows of the training log that both have, field by field."""
    ours, theirs = (
        {row["step"]: row for row in read_jsonl(_adapter(each) / "training_log.jsonl", ("step",))}
        for each in (small, job)
    )
    common = sorted(ours.keys() & theirs.keys())
    if not common:
        yield "a row of the log at a first step", f"steps {sorted(theirs)[:3]}"
    for step in common:
        for name in sorted(ours[step].keys() | theirs[step].keys()):
            a, b = ours[step].get(name), theirs[step].get(name)
            if _differs(a, b):
                yield f"{name} = {a} at step {step}, as computed again", str(b)
                return


def _adapter(job: Job) -> Path:
    return job.layout.adapter(job.backbone, job.method, job.seed)


def _shrink_evaluation(job: Job, shadow: Path, random: Random) -> Job:
    """A few rows of one suite, without projections."""
    from harc.suites.registry import HARNESS_SUITES, WRITTEN_SUITES

    settings, data = job.profile.evaluation, job.profile.data_dir
    # Written ones are a long search, or texts of an attacking model, not greedy answers to rows.
    suites = [name for name in settings.suites if name not in (*HARNESS_SUITES, *WRITTEN_SUITES)]
    suite = random.choice(suites)
    rows = [row for row in read_jsonl(data / f"{settings.split}.jsonl", ("suite",)) if row["suite"] == suite]
    folder = shadow / "rows"
    write_jsonl(folder / f"{settings.split}.jsonl", random.sample(rows, min(PROMPTS, len(rows))))
    write_json(
        folder / "world.json", read_json(data / "world.json") if (data / "world.json").is_file() else {}
    )
    return _update(
        job,
        shadow,
        evaluation=settings.model_copy(update={"suites": (suite,), "project": False}),
        data=job.profile.data.model_copy(update={"directory": str(folder)}),
    )


def _compare_evaluation(small: Job, job: Job) -> Iterator[Problem]:
    """The prompts' hashes exactly; the responses but for one."""
    (suite,) = small.profile.evaluation.suites
    ours, theirs = (
        {
            record["id"]: record
            for record in read_jsonl(
                each.layout.generations(each.backbone, each.method, each.seed) / f"{suite}.jsonl",
                ("id", "prompt_sha256", "response"),
            )
        }
        for each in (small, job)
    )
    other = [name for name, record in ours.items() if _field(theirs, name, "response") != record["response"]]
    for name, record in ours.items():
        if _field(theirs, name, "prompt_sha256") != record["prompt_sha256"] and suite != "two_turn":
            yield f"prompt {record['prompt_sha256']} at {name}", str(_field(theirs, name, "prompt_sha256"))
    if len(ours) - len(other) < min(SAME_RESPONSES, len(ours)):
        first = other[0]
        yield (
            f"{SAME_RESPONSES} of {len(ours)} responses of {suite} as generated again; "
            f"{first}: {json.dumps(ours[first]['response'])[:200]}",
            f"{len(other)} others; {first}: {json.dumps(_field(theirs, first, 'response'))[:200]}",
        )


def _field(records: dict[str, dict], name: str, key: str) -> Any:
    return records.get(name, {}).get(key)


PROBES: dict[str, Probe] = {
    "extract_directions": Probe(_shrink_extraction, _compare_extraction),
    "train_adapter": Probe(_shrink_training, _compare_training),
    "evaluate": Probe(_shrink_evaluation, _compare_evaluation),
}
