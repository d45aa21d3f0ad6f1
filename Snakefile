"""HARC end to end: `snakemake --cores all` (profile organism), `--config profile=smol`, `-n` to see the plan."""

from snakemake.utils import min_version

min_version("9.27")


configfile: "config/config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/steps.smk"


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
    begin_servers()
    stop_if_lacking(workflow)
    begin_worker(workflow)


onsuccess:
    end_worker()
    shell("harc summary --profile {PROFILE_SOURCE} --started {STARTED}")


onerror:
    end_worker()
    shell("harc summary --profile {PROFILE_SOURCE} --started {STARTED} --failed")
