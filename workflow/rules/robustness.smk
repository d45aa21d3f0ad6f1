"""Robustness: answers read again token by token, and models fine-tuned on harmful answers.

Inputs: a backbone, an adapter (none for base); the base directions and the generations, or the training and evaluation
splits. Outputs: a trajectory per answer; answers and training losses by number of harmful examples.
"""

TRAJECTORIES = LAYOUT.trajectories("{backbone}", "{method}", "{seed}")
FINETUNING = LAYOUT.finetuning("{backbone}", "{method}", "{seed}")
TRACED_FILES = [
    f"{suite}.jsonl" for suite in list_trace_suites(PROFILE.evaluation.suites)
]


rule trace_responses:
    input:
        backbone=backbone_of,
        adapter=adapter_of,
        directions=files_in(BASE_DIRECTIONS, DIRECTION_FILES),
        own=files_in(GENERATIONS, TRACED_FILES),
        base=files_in(LAYOUT.generations("{backbone}", BASE, "{seed}"), TRACED_FILES),
    output:
        files=files_in(TRAJECTORIES, TRAJECTORY_FILES),
        sidecar=sidecar_path(TRAJECTORIES),
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
        backbone=backbone_of,
        adapter=adapter_of,
        data=files_in(
            DATA,
            ["training.jsonl", f"{PROFILE.evaluation.split}.jsonl", "world.json"],
        ),
    output:
        files=files_in(FINETUNING, FINETUNING_FILES),
        sidecar=sidecar_path(FINETUNING),
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
