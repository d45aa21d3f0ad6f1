"""Shared by all rules: the chosen profile, its paths, and what each step depends on.

Inputs: config/config.yaml (or --config profile=...), config/profiles/*.yaml.
"""

import sys
import time
from pathlib import Path

from harc.artifacts import (
    ADAPTER_FILES,
    BACKBONE_FILES,
    BASE,
    DIRECTION_FILES,
    PROJECTION_FILES,
    SCORE_FILES,
    Layout,
    sidecar_path,
)
from harc.config.profile import load_profile
from harc.errors import HarcError
from harc.pipeline import create_job, fingerprint_step
from harc.steps import build_paper, build_report, make_figure, make_tables, pull_data
from harc.steps.pull_data import ROW_FILES

# `harc` comes from the environment that runs Snakemake, also where that environment is not activated.
shell.prefix(f'set -euo pipefail; export PATH="{Path(sys.executable).parent}:$PATH"; ')

STARTED = int(time.time())
PROFILE_SOURCE = config["profile"]

try:
    PROFILE = load_profile(PROFILE_SOURCE)
except HarcError as problem:
    sys.exit(str(problem))

LAYOUT = Layout(Path("results") / PROFILE.name)
BACKBONES = list(PROFILE.backbones)
METHODS = [BASE, *PROFILE.methods]
SEEDS = PROFILE.seeds
DATA = PROFILE.data_dir


wildcard_constraints:
    backbone="|".join(BACKBONES),
    method="|".join(METHODS),
    seed=r"\d+",


def fingerprint(step):
    """Hash of the code and settings behind a step, for `params`: when it changes, and only then, the step reruns."""

    def of_job(wildcards):
        return fingerprint_step(
            PROFILE, step, **{k: v for k, v in wildcards.items() if k != "seed"}
        )

    return of_job


def run_step(step, *wildcards):
    """Shell command of a step: the line that a person can run by hand, its output shown and kept."""
    options = "".join(f" --{name} {{wildcards.{name}}}" for name in wildcards)
    return f"harc step {step} --profile {{params.profile}}{options} 2>&1 | tee {{log}}"


def files_in(folder, names):
    """The named files of an artifact's folder, as paths that may hold wildcards."""
    return [folder / name for name in names]


def every(pattern, methods=METHODS):
    """A path pattern, filled with every backbone, method and seed of the profile."""
    return expand(pattern, backbone=BACKBONES, method=methods, seed=SEEDS)


def adapter_of(wildcards):
    """The adapter's files; none for the base."""
    if wildcards.method == BASE:
        return []
    return files_in(
        LAYOUT.adapter(wildcards.backbone, wildcards.method, wildcards.seed),
        ADAPTER_FILES,
    )
