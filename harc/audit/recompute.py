"""Running steps of a results tree again: a seeded random sample in part, or the whole profile beside it."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from harc.audit.comparison import Comparison, compare_trees
from harc.audit.recompute_probes import PROBES
from harc.audit.report import AuditReport, Finding
from harc.audit.sidecars import Sidecar
from harc.audit.step_state import stop_at_odd_profile
from harc.audit.tree import read_tree
from harc.core.artifacts import Layout
from harc.core.errors import ArtifactError, HarcError
from harc.core.files import sha256_file
from harc.core.fingerprint import fingerprint_code
from harc.settings.profile import Profile
from harc.steps.commands import parse_command, recreate_job
from harc.steps.job import Job
from harc.steps.registry import STEPS, list_jobs
from harc.steps.running import hash_settings, list_code, run_job


def _is_repeatable(sidecar: Sidecar, job: Job) -> bool:
    """Whether a step's code, settings and files are as recorded, so that a difference would mean something."""
    record = sidecar.record
    if record["code"] != fingerprint_code(list_code(job)):
        return False
    if record["settings_hash"] != hash_settings(STEPS[job.step].select_settings(job)):
        return False
    files = [
        (path, record[side][name])
        for side in ("inputs", "outputs")
        for name, path in getattr(sidecar, side).items()
    ]
    return all(path.is_file() and sha256_file(path) == digest for path, digest in files)


def list_candidates(root: Path) -> dict[str, list[tuple[Sidecar, Job]]]:
    """Steps of a tree that have a probe and can be repeated, by step."""
    found: dict[str, list[tuple[Sidecar, Job]]] = {step: [] for step in PROBES}
    for sidecar in read_tree(root)[0]:
        try:
            stop_at_odd_profile(parse_command(sidecar.command)[1].get("profile", ""))
            job = replace(recreate_job(sidecar.command), layout=Layout(root))
            repeatable = job.step in PROBES and _is_repeatable(sidecar, job)
        except Exception:  # a finding of the audit itself
            continue
        if repeatable:
            found[job.step].append((sidecar, job))
    return found


def choose_sample(
    candidates: dict[str, list[tuple[Sidecar, Job]]], count: int, random: Random
) -> Iterator[tuple[Sidecar, Job]]:
    """At most `count` of the candidates: at random within a step, the steps in turn, so that none is left out."""
    shuffled = [random.sample(members, len(members)) for _, members in sorted(candidates.items())]
    turns = [member for turn in zip_longest(*shuffled) for member in turn if member is not None]
    yield from turns[:count]


def _link_inputs(sidecar: Sidecar, root: Path, shadow: Path) -> None:
    for path in sidecar.inputs.values():
        if path.is_relative_to(root):
            link = shadow / path.relative_to(root)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path.absolute())


def run_probe(sidecar: Sidecar, job: Job, random: Random) -> list[Finding]:
    """Run a step's small version and compare; a step that cannot run is a finding too."""
    import torch

    probe = PROBES[job.step]
    threads = sidecar.record.get("device", {}).get("threads")
    torch.set_num_threads(threads or 1)  # sums in another order give other last digits
    with TemporaryDirectory() as folder:
        shadow = Path(folder)
        _link_inputs(sidecar, job.layout.root, shadow)
        try:
            small = probe.shrink(job, shadow, random)
            STEPS[job.step].run(small)
            problems = list(probe.compare(small, job))
        except Exception as problem:  # whatever stops a step on files that anyone may have made is a finding
            found = str(problem) if isinstance(problem, HarcError) else f"{type(problem).__name__}: {problem}"
            problems = [("the step to run again", found)]
    repair = f"{sidecar.repair}, and what follows from it"
    return [Finding(str(sidecar.artifact), "run again", *problem, repair) for problem in problems]


def recompute_sample(report: AuditReport, root: Path, count: int, seed: int) -> AuditReport:
    """An audit's report with the findings of a random sample of probes.

    Args:
        report: of the same tree.
        root: the results tree.
        count: probes to run; fewer if there are not as many.
        seed: of the choice of steps, suites and rows.

    Raises:
        ArtifactError: if no step of the tree can be run again.
    """
    random, candidates = Random(seed), list_candidates(root)
    if not any(candidates.values()):
        raise ArtifactError(
            str(root),
            expected=f"steps to run again ({', '.join(candidates)})",
            found="none whose code, settings and files are as recorded",
            fix="audit it without --recompute, or the whole tree with the code that made it",
        )
    findings, done = [], 0
    for sidecar, job in choose_sample(candidates, count, random):
        findings += run_probe(sidecar, job, random)
        done += 1
    counts = {**report.counts, f"steps run again in part (seed {seed})": done}
    return replace(report, counts=counts, findings=tuple(sorted({*report.findings, *findings})))


READ_ROWS = (
    "pull_data",
    "train_backbone",
    "extract_directions",
    "train_adapter",
    "evaluate",
    "finetune_harmful",
    "erode_refusal",
    "suppress_refusal",
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
