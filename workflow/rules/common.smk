"""Shared by all rules: the chosen profile, the study that may stand in for its run, and what rules take from steps.

Inputs: config/config.yaml (or --config profile=...), config/profiles/*.yaml, harc/steps/registry.py.
"""

import os
import shlex
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

from harc.cli.worker import WORTHWHILE, start_worker, stop_worker
from harc.core.artifacts import Layout
from harc.core.errors import HarcError
from harc.core.fingerprint import fingerprint_code
from harc.results.catalogue import write_captions
from harc.settings.profile import Profile, load_profile
from harc.settings.loading import read_workflow_settings
from harc.steps.commands import create_job
from harc.steps.files import list_guards, list_made, list_needed
from harc.steps.job import PARTS
from harc.steps.paper import find_latex, locate_pdf
from harc.steps.machine import Machine
from harc.steps.preflight import find_profile_lacks, find_remarks, raise_first
from harc.steps.reference import (
    find_profile,
    find_real_study,
    list_packed,
    locate_reference,
    locate_stamp,
    stands_in,
)
from harc.steps.registry import STEPS, list_jobs_of
from harc.steps.running import fingerprint_job
from harc.steps.job import Step

# `harc` comes from the environment that runs Snakemake, also where that environment is not activated.
shell.prefix(f'set -euo pipefail; export PATH="{Path(sys.executable).parent}:$PATH"; ')

STARTED = int(time.time())


@dataclass(frozen=True)
class View:
    """What a rule takes from its step, for the profile's own run or for the committed study that is read in its place."""

    step: Step
    profile: Profile
    layout: Layout
    suffix: str = ""

    def create_job(self, **unit):
        """A job of the step."""
        reference = self.layout.reference and self.layout.reference.name
        return create_job(self.step.name, self.profile, reference, **unit)

    def find_files(self, wildcards):
        """Input: the files whose change makes the step stale, and those that must be there, of whatever age."""
        unit = {**wildcards}
        if "seed" in unit:
            unit["seed"] = int(unit["seed"])
        job = self.create_job(**unit)
        return [*list_needed(job), *(ancient(str(path)) for path in list_guards(job))]

    def find_fingerprint(self, wildcards):
        """Hash of the code and settings behind a job: when it changes, and only then, the step reruns."""
        return fingerprint_job(
            self.create_job(**{k: v for k, v in wildcards.items() if k != "seed"})
        )

    @property
    def outputs(self):
        """The files that the step leaves, as patterns over the unit that it is for."""
        unit = {name: f"{{{name}}}" for name in PARTS}
        job = replace(self.create_job(), **unit)
        return [show(self.step.name, path) for path in list_made(job)]

    @property
    def log(self):
        """A log for every unit of the step."""
        unit = "-".join(
            "seed{seed}" if name == "seed" else f"{{{name}}}" for name in self.step.unit
        )
        name = f"{self.step.name}/{unit}" if unit else self.step.name
        return self.layout.root / "logs" / f"{name}.log"

    @property
    def constraints(self):
        """Values of the wildcards: those of the profile's units, and any seed; where it has none, nothing matches."""
        jobs = list_jobs_of(self.step, self.profile, self.layout)
        values = {
            name: sorted({getattr(job, name) for job in jobs})
            for name in self.step.unit
            if name != "seed"
        }
        return {name: "|".join(found) or "(?!)" for name, found in values.items()}

    @property
    def resources(self):
        """Memory and time, more with every attempt; GPUs of a step that runs models, which depend on the backbone."""
        asked = self.step.resources

        def count_memory(wildcards, attempt):
            memory = asked.memory_mb or self.step.count_memory(
                self.profile, wildcards.backbone
            )
            return attempt * memory

        found = {
            "mem_mb": count_memory,
            "runtime": lambda wildcards, attempt: attempt * asked.runtime,
        }
        if asked.gpu:
            found["gpu"] = lambda wildcards: self.step.count_gpus(
                self.profile, wildcards.backbone
            )
        return found

    @property
    def options(self):
        """The options that name the profile, and the committed study, in shell commands."""
        words = [self.profile.source]
        if self.layout.reference:
            words += ["--reference", self.layout.reference.name]
        return shlex.join(words)

    def find_words(self, wildcards):
        """Step and options of a job, as a person can give them to `harc step`."""
        unit = "".join(
            f" --{name} {getattr(wildcards, name)}" for name in self.step.unit
        )
        return f"{self.step.name} --profile {self.options}{unit}"


CAPTIONS = Path(".snakemake/captions").resolve()


def show(step, path):
    """A table or figure with its caption in Snakemake's report; any other file as it is."""
    if step == "make_figure" and path.suffix == ".png":
        return report(
            path,
            caption=str(CAPTIONS / "figure.rst"),
            category="Figures",
            labels={"figure": "{figure}"},
        )
    if step in ("make_tables", "tabulate_compute") and path.suffix == ".csv":
        return report(
            path,
            caption=str(CAPTIONS / f"{path.stem}.rst"),
            category="Tables",
            labels={"table": path.stem},
        )
    return path


def stop_if_lacking(workflow):
    """Before any work, but not in dry runs: one line on what the due steps need and the machine lacks, exit 1."""
    due = {job.rule.name for job in workflow.dag.needrun_jobs()}
    mirror = os.environ.get("HARC_DATA_MIRROR")
    machine = Machine(LAYOUT.root)
    if workflow.local_exec:
        for remark in find_remarks(PROFILE.all_backbones, machine):
            print(f"note: {remark}", file=sys.stderr)
    lacks = find_profile_lacks(
        PROFILE,
        machine,
        steps=due,
        here=workflow.local_exec,
        mirror=Path(mirror) if mirror else None,
    )
    try:
        raise_first(lacks, f"harc preflight --profile {PROFILE_SOURCE}")
    except HarcError as problem:
        sys.exit(str(problem))


WORKERS = []  # the process that runs this run's steps


def begin_servers():
    """The stand-ins of a rehearsal, for as long as the run."""
    if PROFILE.rehearsal:
        from harc.rehearsal.run import start_servers

        try:
            WORKERS.append(start_servers(PROFILE.name))
        except HarcError as problem:
            sys.exit(str(problem))


def begin_worker(workflow):
    """Load the libraries once for all jobs of a long run on this machine."""
    if workflow.local_exec and len(list(workflow.dag.needrun_jobs())) >= WORTHWHILE:
        WORKERS.append(start_worker())


def end_worker():
    """Whatever was started ends with the run."""
    while WORKERS:
        stop_worker(WORKERS.pop())


def list_paper_files(view):
    """The PDF, or without LaTeX everything that it would be set from."""
    return (
        [locate_pdf(view.profile)] if find_latex() else list_needed(view.create_job())
    )


def view_reference(profile, layout, suffix, steps=None):
    """The steps that are made from a committed study too."""
    made = [step for step in STEPS.values() if step.of_study]
    return [View(step, profile, layout, suffix) for step in steps or made]


def choose_profile(settings):
    """The profile, or its rehearsal on stand-ins."""
    if not settings.rehearse:
        return load_profile(settings.profile)
    from harc.rehearsal.run import prepare_rehearsal

    return prepare_rehearsal(settings.profile)


UNPACKED = {}  # committed studies that are read, by name

try:
    PROFILE = choose_profile(read_workflow_settings(config))
    LAYOUT = Layout(PROFILE.results_root)
    VIEWS = [View(step, PROFILE, LAYOUT) for step in STEPS.values()]
    # The paper without a run: what is drawn of the committed study, with no model, in seconds.
    FROM_REFERENCE = stands_in(PROFILE.name, LAYOUT.root)
    if FROM_REFERENCE:
        SHOWN = locate_reference(PROFILE.name)
        STUDY = load_profile(find_profile(PROFILE.name))
        VIEWS += view_reference(STUDY, SHOWN, "_from_reference")
        UNPACKED[PROFILE.name] = SHOWN
    write_captions(
        CAPTIONS, (STUDY if FROM_REFERENCE else PROFILE).evaluation.mean_attacks
    )
    # The committed study of published models, which the paper of another profile shows first.
    REAL_STUDY = find_real_study(PROFILE)
    if REAL_STUDY:
        made = [STEPS[name] for name in ("make_tables", "make_figure")]
        VIEWS += view_reference(*REAL_STUDY, "_of_real_study", made)
        UNPACKED[PROFILE.real_study] = REAL_STUDY[1]
except HarcError as problem:
    sys.exit(str(problem))

PROFILE_SOURCE = shlex.quote(PROFILE.source)  # a word of shell commands
VIEW = {view.step.name + view.suffix: view for view in VIEWS}
PAPER_TARGETS = list_paper_files(VIEW["build_paper"])


wildcard_constraints:
    seed=r"\d+",
