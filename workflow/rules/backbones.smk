"""Backbones: the chat models under study; organisms are trained here, published models are fetched.

Inputs: the corpora of splits pretraining, safety and development; nothing for a published model.
Outputs: weights, tokenizer, acceptance figures; source.json, which says what a published model is.
"""


rule train_backbone:
    input:
        read_by("train_backbone"),
    output:
        written_by("train_backbone"),
    log:
        LAYOUT.root / "logs/train_backbone/{backbone}-seed{seed}.log",
    benchmark:
        LAYOUT.root / "benchmarks/train_backbone/{backbone}-seed{seed}.tsv"
    wildcard_constraints:
        backbone=one_of(TRAINED_BACKBONES),
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=2500,
        runtime=30,
    params:
        fingerprint=fingerprint("train_backbone"),
        profile=PROFILE_SOURCE,
    shell:
        run_step("train_backbone", "backbone", "seed")


rule fetch_backbone:
    input:
        read_by("fetch_backbone"),
    output:
        written_by("fetch_backbone"),
    log:
        LAYOUT.root / "logs/fetch_backbone/{backbone}-seed{seed}.log",
    benchmark:
        LAYOUT.root / "benchmarks/fetch_backbone/{backbone}-seed{seed}.tsv"
    wildcard_constraints:
        backbone=one_of(FETCHED_BACKBONES),
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=memory_of,
        runtime=240,
    params:
        fingerprint=fingerprint("fetch_backbone"),
        profile=PROFILE_SOURCE,
    shell:
        run_step("fetch_backbone", "backbone", "seed")
