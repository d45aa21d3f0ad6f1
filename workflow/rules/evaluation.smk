"""Evaluation: one process per backbone, method and seed writes all suites; scores follow from generations alone.

Inputs: a backbone, an adapter (none for base), the base directions, the evaluation split.
Outputs: generations per suite, projections onto the base directions, outcomes and scores.
"""

GENERATIONS = LAYOUT.generations("{backbone}", "{method}", "{seed}")
SCORES = LAYOUT.scores("{backbone}", "{method}", "{seed}")
GENERATION_FILES = [f"{suite}.jsonl" for suite in PROFILE.evaluation.suites]


rule evaluate:
    input:
        backbone=backbone_of,
        adapter=adapter_of,
        directions=files_in(BASE_DIRECTIONS, DIRECTION_FILES),
        data=files_in(DATA, [f"{PROFILE.evaluation.split}.jsonl", "world.json"]),
    output:
        generations=files_in(GENERATIONS, GENERATION_FILES),
        projections=files_in(METHOD_DIRECTIONS, PROJECTION_FILES),
        sidecar=sidecar_path(GENERATIONS),
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
        files_in(GENERATIONS, GENERATION_FILES),
    output:
        files=files_in(SCORES, SCORE_FILES),
        sidecar=sidecar_path(SCORES),
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
