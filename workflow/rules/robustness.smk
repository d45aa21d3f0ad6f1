"""Robustness: answers read again token by token, and models fine-tuned on harmful answers.

Inputs: a backbone, an adapter (none for base); the base directions and the generations, or the training and evaluation
splits. Outputs: a trajectory per answer; answers and training losses by number of harmful examples.
"""


rule trace_responses:
    input:
        read_by("trace_responses"),
    output:
        written_by("trace_responses"),
    log:
        LAYOUT.root / "logs/trace_responses/{backbone}-{method}-seed{seed}.log",
    benchmark:
        LAYOUT.root / "benchmarks/trace_responses/{backbone}-{method}-seed{seed}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=memory_of,
        gpu=gpus_of,
        runtime=60,
    params:
        fingerprint=fingerprint("trace_responses"),
        profile=PROFILE_SOURCE,
    shell:
        run_step("trace_responses", "backbone", "method", "seed")


rule finetune_harmful:
    input:
        read_by("finetune_harmful"),
    output:
        written_by("finetune_harmful"),
    log:
        LAYOUT.root / "logs/finetune_harmful/{backbone}-{method}-seed{seed}.log",
    benchmark:
        LAYOUT.root / "benchmarks/finetune_harmful/{backbone}-{method}-seed{seed}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=memory_of,
        gpu=gpus_of,
        runtime=240,
    params:
        fingerprint=fingerprint("finetune_harmful"),
        profile=PROFILE_SOURCE,
    shell:
        run_step("finetune_harmful", "backbone", "method", "seed")
