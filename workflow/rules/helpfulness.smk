"""Helpfulness on public benchmarks, in profiles on published models.

Inputs: a backbone, an adapter (none for base), the registry of public files. Outputs: every sample, and scores.
"""

HELPFULNESS = LAYOUT.helpfulness("{backbone}", "{method}", "{seed}")


rule measure_helpfulness:
    input:
        backbone=backbone_of,
        adapter=adapter_of,
        registry="harc/data/registry.yaml",
    output:
        files=files_in(HELPFULNESS, list_output_names(PROFILE.helpfulness)),
        sidecar=sidecar_path(HELPFULNESS),
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
