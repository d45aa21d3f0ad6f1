"""Backbones: the chat models under study; organisms are trained here, published models are fetched.

Inputs: the corpora of splits pretraining, safety and development; nothing for a published model.
Outputs: weights, tokenizer, acceptance figures; source.json, which says what a published model is.
"""

BACKBONE = LAYOUT.backbone("{backbone}", "{seed}")


rule train_backbone:
    input:
        pull_data.list_row_files(PROFILE),
    output:
        files=files_in(BACKBONE, BACKBONE_FILES),
        sidecar=sidecar_path(BACKBONE),
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
    output:
        source=BACKBONE / SOURCE_FILE,
        sidecar=sidecar_path(BACKBONE),
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
