"""Shared by all rules: the chosen profile, its paths, and what each step depends on.

Inputs: config/config.yaml (or --config profile=...), config/profiles/*.yaml.
"""

import os
import shlex
import sys
import time
from dataclasses import replace
from pathlib import Path

from harc.core.artifacts import BASE, Layout
from harc.settings.profile import load_profile
from harc.settings.workflow import read_workflow_settings
from harc.core.errors import HarcError
from harc.core.fingerprint import fingerprint_code
from harc.steps.pipeline import (
    create_job,
    fingerprint_step,
    list_guards,
    list_made,
    list_needed,
)
from harc.steps.preflight import Machine, find_profile_lacks, raise_first
from harc.steps.reference import (
    find_profile,
    list_packed,
    locate_reference,
    locate_stamp,
    stands_in,
)
from harc.results.catalogue import write_captions
from harc.steps.build_paper import PDF, find_latex

# `harc` comes from the environment that runs Snakemake, also where that environment is not activated.
shell.prefix(f'set -euo pipefail; export PATH="{Path(sys.executable).parent}:$PATH"; ')

STARTED = int(time.time())

try:
    PROFILE = load_profile(read_workflow_settings(config).profile)
except HarcError as problem:
    sys.exit(str(problem))

PROFILE_SOURCE = shlex.quote(PROFILE.source)  # a word of shell commands
LAYOUT = Layout(Path("results") / PROFILE.name)
BACKBONES = PROFILE.all_backbones
TRAINED_BACKBONES = [
    name for name, backbone in BACKBONES.items() if backbone.kind == "organism"
]
FETCHED_BACKBONES = [name for name in BACKBONES if name not in TRAINED_BACKBONES]
ADAPTED = PROFILE.adapted
FITTED = [name for name, method in ADAPTED.items() if method.objective == "cast"]


wildcard_constraints:
    backbone="|".join(BACKBONES),
    method="|".join([BASE, *ADAPTED]),
    seed=r"\d+",


def stop_if_lacking(workflow):
    """Before any work, but not in dry runs: one line on what the due steps need and the machine lacks, exit 1."""
    due = {job.rule.name for job in workflow.dag.needrun_jobs()}
    mirror = os.environ.get("HARC_DATA_MIRROR")
    lacks = find_profile_lacks(
        PROFILE,
        Machine(LAYOUT.root),
        steps=due,
        here=workflow.local_exec,
        mirror=Path(mirror) if mirror else None,
    )
    try:
        raise_first(lacks, f"harc preflight --profile {PROFILE_SOURCE}")
    except HarcError as problem:
        sys.exit(str(problem))


def one_of(names):
    """A wildcard's constraint: one of the names; with none, nothing matches."""
    return "|".join(names) or "(?!)"


def fingerprint(step, profile=PROFILE, reference=None):
    """Hash of the code and settings behind a step, for `params`: when it changes, and only then, the step reruns."""

    def of_job(wildcards):
        return fingerprint_step(
            profile,
            step,
            reference=reference,
            **{k: v for k, v in wildcards.items() if k != "seed"},
        )

    return of_job


def run_step(step, *wildcards):
    """Shell command of a step: the line that a person can run by hand, its output shown and kept."""
    options = "".join(f" --{name} {{wildcards.{name}}}" for name in wildcards)
    planned = "HARC_PLANNED={params.fingerprint}"
    return f"{planned} harc step {step} --profile {{params.profile}}{options} 2>&1 | tee {{log}}"


def read_by(step, profile=PROFILE, reference=None):
    """A rule's input: the files whose change makes its step stale, and those that must be there, of whatever age."""

    def of_job(wildcards):
        unit = {**wildcards}
        if "seed" in unit:
            unit["seed"] = int(unit["seed"])
        job = create_job(step, profile, reference, **unit)
        return [*list_needed(job), *(ancient(str(path)) for path in list_guards(job))]

    return of_job


def written_by(step, profile=PROFILE, reference=None):
    """A rule's output: the files that its step leaves, as patterns over the unit that the step is for."""
    unit = {name: f"{{{name}}}" for name in ("backbone", "method", "seed", "figure")}
    job = replace(create_job(step, profile, reference), **unit)
    return [show(step, path) for path in list_made(job)]


def gpus_of(wildcards):
    """GPUs that a job on a backbone asks for."""
    backbone = BACKBONES[wildcards.backbone]
    return getattr(backbone, "gpus", 1) if getattr(backbone, "gpu", False) else 0


def memory_of(wildcards):
    """Main memory of a job on a backbone, MB: an organism's is small, a published model's is declared."""
    return int(1000 * getattr(BACKBONES[wildcards.backbone], "memory_gb", 2.5))


CAPTIONS = Path(".snakemake/captions").resolve()
write_captions(CAPTIONS)


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
