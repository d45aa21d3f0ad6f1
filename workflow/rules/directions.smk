"""Directions: difference of means per layer on the base, prompt side and response side, and the layer scores.

Inputs: a backbone, the extraction split, the guard's table. Outputs: directions.safetensors, layers.json.
"""


rule extract_directions:
    input:
        read_by("extract_directions"),
    output:
        written_by("extract_directions"),
    log:
        LAYOUT.root / "logs/extract_directions/{backbone}-seed{seed}.log",
    benchmark:
        LAYOUT.root / "benchmarks/extract_directions/{backbone}-seed{seed}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=memory_of,
        gpu=gpus_of,
        runtime=60,
    params:
        fingerprint=fingerprint("extract_directions"),
        profile=PROFILE_SOURCE,
    shell:
        run_step("extract_directions", "backbone", "seed")
