"""Shared by all rules: the chosen profile, its paths, and what each step depends on.

Inputs: config/config.yaml (or --config profile=...), config/profiles/*.yaml.
"""

import os
import sys
import time
from pathlib import Path

from harc.artifacts import (
    ADAPTER_FILES,
    BACKBONE_FILES,
    BASE,
    DIRECTION_FILES,
    FINETUNING_FILES,
    PROJECTION_FILES,
    SCORE_FILES,
    SOURCE_FILE,
    STEERING_FILES,
    TRAJECTORY_FILES,
    Layout,
    sidecar_path,
)
from harc.config.profile import load_profile
from harc.errors import HarcError
from harc.evaluation.tracing import list_trace_suites
from harc.helpfulness.files import list_output_names
from harc.pipeline import create_job, fingerprint_step, list_method_files, list_read
from harc.preflight import Machine, find_profile_lacks, raise_first
from harc.reference import find_profile, locate_reference, stands_in
from harc.steps import (
    build_paper,
    build_report,
    check_contamination,
    choose_point,
    collect_points,
    make_figure,
    make_tables,
    pull_data,
    seal_results,
    tabulate_compute,
    tune_method,
)

# `harc` comes from the environment that runs Snakemake, also where that environment is not activated.
shell.prefix(f'set -euo pipefail; export PATH="{Path(sys.executable).parent}:$PATH"; ')

STARTED = int(time.time())
PROFILE_SOURCE = config["profile"]

try:
    PROFILE = load_profile(PROFILE_SOURCE)
except HarcError as problem:
    sys.exit(str(problem))

LAYOUT = Layout(Path("results") / PROFILE.name)
BACKBONES = PROFILE.all_backbones
TRAINED_BACKBONES = [
    name for name, backbone in BACKBONES.items() if backbone.kind == "organism"
]
FETCHED_BACKBONES = [name for name in BACKBONES if name not in TRAINED_BACKBONES]
ADAPTED = PROFILE.adapted
FITTED = [name for name, method in ADAPTED.items() if method.objective == "cast"]
UNITS = PROFILE.list_units()
DATA = PROFILE.data_dir


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


def fingerprint(step, profile=PROFILE):
    """Hash of the code and settings behind a step, for `params`: when it changes, and only then, the step reruns."""

    def of_job(wildcards):
        return fingerprint_step(
            profile, step, **{k: v for k, v in wildcards.items() if k != "seed"}
        )

    return of_job


def run_step(step, *wildcards):
    """Shell command of a step: the line that a person can run by hand, its output shown and kept."""
    options = "".join(f" --{name} {{wildcards.{name}}}" for name in wildcards)
    return f"harc step {step} --profile {{params.profile}}{options} 2>&1 | tee {{log}}"


def files_in(folder, names):
    """The named files of an artifact's folder, as paths that may hold wildcards."""
    return [folder / name for name in names]


def every(pattern):
    """A path pattern, filled with every model that the profile evaluates: backbone, method or arm, seed."""
    backbones, methods, seeds = zip(*UNITS)
    return expand(pattern, zip, backbone=backbones, method=methods, seed=seeds)


def backbone_of(wildcards):
    """The files that stand for a backbone: all of an organism's, the one record of a fetched model."""
    trained = wildcards.backbone in TRAINED_BACKBONES
    return files_in(
        LAYOUT.backbone(wildcards.backbone, wildcards.seed),
        BACKBONE_FILES if trained else [SOURCE_FILE],
    )


def gpus_of(wildcards):
    """GPUs that a job on a backbone asks for."""
    backbone = BACKBONES[wildcards.backbone]
    return getattr(backbone, "gpus", 1) if getattr(backbone, "gpu", False) else 0


def memory_of(wildcards):
    """Main memory of a job on a backbone, MB: an organism's is small, a published model's is declared."""
    return int(1000 * getattr(BACKBONES[wildcards.backbone], "memory_gb", 2.5))


def adapter_of(wildcards):
    """The adapter's files; none for the base."""
    if wildcards.method == BASE:
        return []
    return files_in(
        LAYOUT.adapter(wildcards.backbone, wildcards.method, wildcards.seed),
        list_method_files(PROFILE, wildcards.method),
    )


def choice_of(wildcards):
    """The tuned choice that a composed method's grid starts from; none for the others and for the base."""
    method = ADAPTED.get(wildcards.method)
    return (
        []
        if method is None or method.start_from is None
        else [LAYOUT.choice(method.start_from)]
    )


def start_of(wildcards):
    """The adapter that a composed method starts from; none for the others."""
    first = ADAPTED[wildcards.method].start_from
    if first is None:
        return []
    return files_in(
        LAYOUT.adapter(wildcards.backbone, first, wildcards.seed), ADAPTER_FILES
    )


def show_table(path):
    """A table's CSV file as it appears in Snakemake's report, with its caption; other files as they are."""
    if path.suffix != ".csv":
        return path
    caption, labels = f"../report/{path.stem}.rst", {"table": path.stem}
    shown = report(path, caption=caption, category="Tables", labels=labels)
    return shown
