"""Helpfulness on public benchmarks, in profiles on published models.

Inputs: a backbone, an adapter (none for base), the registry of public files. Outputs: every sample, and scores.
"""


rule measure_helpfulness:
    input:
        read_by("measure_helpfulness"),
    output:
        written_by("measure_helpfulness"),
    log:
        LAYOUT.root / "logs/measure_helpfulness/{backbone}-{method}-seed{seed}.log",
    benchmark:
        LAYOUT.root
        / "benchmarks/measure_helpfulness/{backbone}-{method}-seed{seed}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=memory_of,
        gpu=gpus_of,
        runtime=600,
    params:
        fingerprint=fingerprint("measure_helpfulness"),
        profile=PROFILE_SOURCE,
    shell:
        run_step("measure_helpfulness", "backbone", "method", "seed")
