"""Evaluation: one process per backbone, method and seed writes all suites; scores follow from generations alone.

Inputs: a backbone, an adapter (none for base), the base directions, the evaluation split.
Outputs: generations per suite, projections onto the base directions, outcomes and scores.
"""


rule evaluate:
    input:
        read_by("evaluate"),
    output:
        written_by("evaluate"),
    log:
        LAYOUT.root / "logs/evaluate/{backbone}-{method}-seed{seed}.log",
    benchmark:
        LAYOUT.root / "benchmarks/evaluate/{backbone}-{method}-seed{seed}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=memory_of,
        gpu=gpus_of,
        runtime=240,
    params:
        fingerprint=fingerprint("evaluate"),
        profile=PROFILE_SOURCE,
    shell:
        run_step("evaluate", "backbone", "method", "seed")


rule score:
    input:
        read_by("score"),
    output:
        written_by("score"),
    log:
        LAYOUT.root / "logs/score/{backbone}-{method}-seed{seed}.log",
    benchmark:
        LAYOUT.root / "benchmarks/score/{backbone}-{method}-seed{seed}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=10,
    params:
        fingerprint=fingerprint("score"),
        profile=PROFILE_SOURCE,
    shell:
        run_step("score", "backbone", "method", "seed")
