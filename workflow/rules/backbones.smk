"""Backbones: the chat models under study; organisms are trained here, stage by stage, from scratch.

Inputs: the corpora of splits pretraining, safety and development. Outputs: weights, tokenizer, acceptance figures.
"""

BACKBONE = LAYOUT.backbone("{backbone}", "{seed}")


rule train_backbone:
    input:
        files_in(DATA, ROW_FILES),
    output:
        files=files_in(BACKBONE, BACKBONE_FILES),
        sidecar=sidecar_path(BACKBONE),
    log:
        LAYOUT.root / "logs/train_backbone/{backbone}-seed{seed}.log",
    benchmark:
        LAYOUT.root / "benchmarks/train_backbone/{backbone}-seed{seed}.tsv"
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
