"""Tuning: every method's grid on development prompts, and the choice by the declared criterion; `snakemake tune`.

Inputs: backbones, base directions, the training, extraction and development splits. Outputs: results/<profile>/tuning.
No part of `rule all`: profiles hold what was chosen (config/tuned).
"""


rule tune_method:
    input:
        read_by("tune_method"),
    output:
        written_by("tune_method"),
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
        read_by("choose_point"),
    output:
        written_by("choose_point"),
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
        read_by("collect_points"),
    output:
        written_by("collect_points"),
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
