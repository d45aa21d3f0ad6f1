"""Training: one LoRA adapter per backbone, method and seed.

Inputs: a backbone, its base directions, the training and extraction splits. Outputs: the adapter and its logs,
and the directions measured again under the adapter (in the same process: the weights are loaded already).
"""

TRAINED = "|".join(PROFILE.methods)
ADAPTER = LAYOUT.adapter("{backbone}", "{method}", "{seed}")


rule train_adapter:
    input:
        backbone=backbone_of,
        directions=files_in(BASE_DIRECTIONS, DIRECTION_FILES),
        data=files_in(
            DATA, ["training.jsonl", "extraction.jsonl", "extraction_pairs.jsonl"]
        ),
    output:
        files=files_in(ADAPTER, ADAPTER_FILES),
        directions=files_in(METHOD_DIRECTIONS, DIRECTION_FILES),
        sidecar=sidecar_path(ADAPTER),
    log:
        LAYOUT.root / "logs/train_adapter/{backbone}-{method}-seed{seed}.log",
    benchmark:
        LAYOUT.root / "benchmarks/train_adapter/{backbone}-{method}-seed{seed}.tsv"
    wildcard_constraints:
        method=TRAINED,
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=memory_of,
        gpu=gpus_of,
        runtime=120,
    params:
        fingerprint=fingerprint("train_adapter"),
        profile=PROFILE_SOURCE,
    shell:
        run_step("train_adapter", "backbone", "method", "seed")
