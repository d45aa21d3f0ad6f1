"""Tuning: every method's grid on development prompts, and the choice by the declared criterion; `snakemake tune`.

Inputs: backbones, base directions, the training, extraction and development splits. Outputs: results/<profile>/tuning.
No part of `rule all`: profiles hold what was chosen (config/tuned).
"""

TUNED = list(PROFILE.tuning.grids)
TUNING_ROWS = files_in(DATA, tune_method.ROWS)


rule tune_method:
    input:
        backbone=backbone_of,
        directions=files_in(BASE_DIRECTIONS, DIRECTION_FILES),
        data=TUNING_ROWS,
        start=choice_of,
    output:
        points=LAYOUT.points("{backbone}", "{method}", "{seed}"),
        sidecar=sidecar_path(LAYOUT.points("{backbone}", "{method}", "{seed}")),
    log:
        LAYOUT.root / "logs/tune_method/{backbone}-{method}-seed{seed}.log",
    benchmark:
        LAYOUT.root / "benchmarks/tune_method/{backbone}-{method}-seed{seed}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=memory_of,
        gpu=gpus_of,
        runtime=600,
    params:
        fingerprint=fingerprint("tune_method"),
        profile=PROFILE_SOURCE,
    shell:
        run_step("tune_method", "backbone", "method", "seed")


rule choose_point:
    input:
        lambda wildcards: choose_point.list_inputs(
            create_job("choose_point", PROFILE, **wildcards)
        ),
    output:
        choice=LAYOUT.choice("{method}"),
        sidecar=sidecar_path(LAYOUT.choice("{method}")),
    log:
        LAYOUT.root / "logs/choose_point/{method}.log",
    benchmark:
        LAYOUT.root / "benchmarks/choose_point/{method}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=5,
    params:
        fingerprint=fingerprint("choose_point"),
        profile=PROFILE_SOURCE,
    shell:
        run_step("choose_point", "method")


rule collect_points:
    input:
        collect_points.list_inputs(create_job("collect_points", PROFILE)),
    output:
        tuned=LAYOUT.tuning / "tuned.yaml",
        points=LAYOUT.tuning / "points.csv",
        sidecar=sidecar_path(LAYOUT.tuning / "tuned.yaml"),
    log:
        LAYOUT.root / "logs/collect_points.log",
    benchmark:
        LAYOUT.root / "benchmarks/collect_points.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=5,
    params:
        fingerprint=fingerprint("collect_points"),
        profile=PROFILE_SOURCE,
    shell:
        run_step("collect_points")


rule tune:
    """Alias: every point, and what the criterion chooses."""
    input:
        LAYOUT.tuning / "tuned.yaml",
