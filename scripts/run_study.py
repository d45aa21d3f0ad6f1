"""Run a study that takes days, in as many sittings as it needs: what is finished is packed as it goes.

    python scripts/run_study.py smol                # goes on where it stopped; two models at a time
    python scripts/run_study.py smol --hours 2      # begins no further models after two hours
    python scripts/run_study.py smol --tune         # the points of every method's grid in place of the models
    python scripts/run_study.py smol --plan         # what is finished, in which order the rest comes
    python scripts/run_study.py smol --backbone qwen2.5-coder-0.5b  # the models of one backbone alone
    python scripts/run_study.py smol --method harc --method sft     # and, of the others, of some methods

First the rows; then what an earlier sitting packed under results/reference/NAME is restored; then what stays on the
machine that made it, backbones and own answers, is made and compared with what finished jobs were made of; then the
models in the order in which they decide the study's contrasts, each trained, asked and scored before the next; the pack
is written anew after each group. In the end the workflow makes the rest: tables, figures, paper, audit.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from harc.core.artifacts import BASE, Layout
from harc.core.errors import ConfigError, HarcError
from harc.core.terminal import show
from harc.settings.profile import Profile, load_profile
from harc.steps.job import RUN, Job
from harc.steps.progress import (
    Unit,
    find_other_code,
    format_progress,
    is_finished,
    list_targets,
    list_unit_jobs,
    list_units,
)
from harc.steps.registry import STEPS, list_jobs

NAMED = 3  # jobs that a message lists
AHEAD = 2  # models a core that are planned together: with one, a core waits for the other's model before each packing


def run_workflow(profile: Profile, cores: int, targets: Sequence[Path]) -> None:
    """Have targets made; without any, all that the workflow makes.

    Raises:
        SystemExit: with its status, if the workflow stops.
    """
    command = [str(Path(sys.executable).with_name("snakemake")), "--cores", str(cores), *map(str, targets)]
    done = subprocess.run([*command, "--config", f"profile={profile.source}"], check=False)
    if done.returncode:
        sys.exit(done.returncode)


def check_code(profile: Profile, layout: Layout) -> None:
    """Stop where finished jobs are of other code or settings: the study would be of two.

    Raises:
        ConfigError: naming some of them.
    """
    if others := find_other_code(profile, layout):
        raise ConfigError(
            f"profile {profile.name}",
            expected="finished jobs of the code and settings of now",
            found=f"{len(others)} of others: {', '.join(job.label for job in others[:NAMED])}",
            fix="check out the commit that made them (`git_commit` in their sidecars), or remove them",
        )


def list_due(profile: Profile, jobs: Sequence[Job]) -> list[list[Job]]:
    """The jobs of each model that is not finished, in order; with it, what starts from its adapter.

    Adapters stay on their machine: one that waits for another sitting would be trained again for what starts from it.
    """
    due: dict[Unit, list[Job]] = {}
    for backbone, method, seed in list_units(profile):
        group = list_unit_jobs(jobs, (backbone, method, seed))
        if not all(map(is_finished, group)):
            start = profile.adapted[method].start_from if method in profile.adapted else None
            first = (backbone, start or method, seed)
            due.setdefault(first if first in due else (backbone, method, seed), []).extend(group)
    return list(due.values())


def settle(profile: Profile, name: str, cores: int, jobs: Sequence[Job]) -> None:
    """Bring this machine to where the study stands: rows, what is restored, and what is made on each machine.

    Raises:
        HarcError: if what was finished earlier is damaged, or was made of other rows, weights or answers than those
            that this machine makes.
    """
    from harc.steps.machines import check_machine, date_machine
    from harc.steps.reference import restore_progress

    local = [job for job in jobs if STEPS[job.step].local]
    run_workflow(profile, cores, list_targets(job for job in local if job.backbone is None))
    restored = restore_progress(name, profile.results_root)
    show(f"restored {len(restored)} files of earlier sittings")
    check_machine(profile, name)
    date_machine(profile)  # else the rows look newer than the warm start that was restored
    run_workflow(profile, cores, list_targets(local))
    for line in check_machine(profile, name):
        show(line)
    date_machine(profile)


def choose_jobs(
    profile: Profile, jobs: Sequence[Job], backbones: Sequence[str], methods: Sequence[str] = ()
) -> list[Job]:
    """The jobs of some backbones and methods, and those that are of none; of all of them where none is named.

    Raises:
        ConfigError: for a backbone or a method that the profile lacks.
    """
    for option, given, known in (
        ("--backbone", backbones, profile.backbones),
        ("--method", methods, (BASE, *profile.adapted)),
    ):
        for name in given:
            if name not in known:
                raise ConfigError(
                    f"{option} {name}",
                    expected=f"one of {', '.join(known)}",
                    found="another name",
                    fix="correct the command",
                )
    return [
        job
        for job in jobs
        if (not backbones or job.backbone in (None, *backbones))
        and (not methods or STEPS[job.step].unit != RUN or job.method in methods)
    ]


def run_study(
    profile: Profile,
    name: str,
    cores: int,
    hours: float,
    *,
    tune: bool,
    backbones: Sequence[str] = (),
    methods: Sequence[str] = (),
) -> None:
    """Run what is left of a study, or of its tuning, as far as the hours go.

    Raises:
        HarcError: if what was finished earlier is damaged, or of other code.
    """
    from harc.audit.keep import keep_progress, record_kept

    layout, end = Layout(profile.results_root), time.monotonic() + 3600 * hours
    jobs = choose_jobs(profile, list_jobs(profile, layout), backbones, methods)
    settle(profile, name, cores, jobs)
    check_code(profile, layout)
    grids = [[job] for job in choose_jobs(profile, list_jobs(profile, layout, "tuning"), backbones)]
    while due := [group for group in grids if not is_finished(group[0])] if tune else list_due(profile, jobs):
        if time.monotonic() > end:
            show(f"the {hours:g} hours are over; run the command again to go on")
            return
        group = [job for unit in due[: AHEAD * cores] for job in unit if not is_finished(job)]
        run_workflow(profile, cores, list_targets(group))
        finished, count = keep_progress(profile, name)
        show(f"packed {finished} of {count} jobs under results/reference/{name}")
        show(format_progress(profile, layout, cores))
    if tune:
        show(
            f"next: `harc tuned --profile {profile.source} --name {profile.name}`, commit, and run the study"
        )
        return
    if len(jobs) < len(list_jobs(profile, layout)):
        show("the other models are left; run the command without --backbone and --method to go on")
        return
    if record_kept(profile):
        show("parts of this study lie on other machines: audited in its committed form, as kept.json says")
    run_workflow(profile, cores, [])


def main() -> None:
    """Parse options and run; errors are one line."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `... --plan | head` is no fault
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("profile", help="name of a profile, or path of a YAML file")
    parser.add_argument("--name", help="of the pack; by default the profile's")
    parser.add_argument("--cores", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--hours", type=float, default=float("inf"), help="begin no further models after so many"
    )
    parser.add_argument("--tune", action="store_true", help="run the tuning in place of the models")
    parser.add_argument(
        "--backbone",
        action="append",
        default=[],
        help="whose models are made; may be repeated; by default all",
    )
    parser.add_argument(
        "--method",
        action="append",
        default=[],
        help="whose models are made; may be repeated; by default all",
    )
    parser.add_argument(
        "--plan", action="store_true", help="say what is finished and what comes next, and stop"
    )
    options = parser.parse_args()
    try:
        profile = load_profile(options.profile)
        if not options.plan:
            run_study(
                profile,
                options.name or profile.name,
                options.cores,
                options.hours,
                tune=options.tune,
                backbones=options.backbone,
                methods=options.method,
            )
            return
        layout = Layout(profile.results_root)
        show(format_progress(profile, layout, options.cores))
        jobs = list_jobs(profile, layout)
        for group in list_due(profile, choose_jobs(profile, jobs, options.backbone, options.method)):
            show(f"  next: {' '.join(map(str, group[0].unit))}")
    except HarcError as problem:
        sys.exit(f"error: {problem}")


if __name__ == "__main__":
    main()
