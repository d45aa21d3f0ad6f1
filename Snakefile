"""HARC end to end: `snakemake --cores all` (profile organism), `--config profile=smol`, `-n` to see the plan."""

from snakemake.utils import min_version

min_version("9.27")


configfile: "config/config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/backbones.smk"
include: "workflow/rules/directions.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/tuning.smk"
include: "workflow/rules/evaluation.smk"
include: "workflow/rules/robustness.smk"
include: "workflow/rules/helpfulness.smk"
include: "workflow/rules/analysis.smk"
include: "workflow/rules/paper.smk"
include: "workflow/rules/audit.smk"


localrules:
    all,
    paper,
    tune,


rule all:
    default_target: True
    input:
        PAPER_TARGETS,
        LAYOUT.report,
        LAYOUT.audit,


onstart:
    stop_if_lacking(workflow)


onsuccess:
    shell("harc summary --profile {PROFILE_SOURCE} --started {STARTED}")


onerror:
    shell("harc summary --profile {PROFILE_SOURCE} --started {STARTED} --failed")
