"""Training: one LoRA adapter per backbone, method and seed; arms of the ablation are trained like methods.

Inputs: a backbone, its base directions, the training and extraction splits, the adapter that a composed method starts
from. Outputs: the adapter and its logs (CAST: its vectors and condition), and the directions measured again with it on.
"""

TRAINED = [name for name in ADAPTED if name not in FITTED]


rule train_adapter:
    input:
        read_by("train_adapter"),
    output:
        written_by("train_adapter"),
    log:
        LAYOUT.root / "logs/train_adapter/{backbone}-{method}-seed{seed}.log",
    benchmark:
        LAYOUT.root / "benchmarks/train_adapter/{backbone}-{method}-seed{seed}.tsv"
    wildcard_constraints:
        method=one_of(TRAINED),
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


rule fit_steering:
    input:
        read_by("fit_steering"),
    output:
        written_by("fit_steering"),
    log:
        LAYOUT.root / "logs/fit_steering/{backbone}-{method}-seed{seed}.log",
    benchmark:
        LAYOUT.root / "benchmarks/fit_steering/{backbone}-{method}-seed{seed}.tsv"
    wildcard_constraints:
        method=one_of(FITTED),
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=memory_of,
        gpu=gpus_of,
        runtime=60,
    params:
        fingerprint=fingerprint("fit_steering"),
        profile=PROFILE_SOURCE,
    shell:
        run_step("fit_steering", "backbone", "method", "seed")
