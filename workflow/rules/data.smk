"""Data: pulled by DVC at the pinned version, built, or assembled from registered public files; always checked.

Inputs: data.dvc and config/data_manifest.json, or the registry. Outputs: the row files; results/<profile>/data/verified.json;
results/<profile>/data/contamination.csv, without which nothing is read from a model or trained.
"""


rule pull_data:
    input:
        read_by("pull_data"),
    output:
        written_by("pull_data"),
    log:
        LAYOUT.root / "logs/pull_data.log",
    benchmark:
        LAYOUT.root / "benchmarks/pull_data.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=10,
    params:
        fingerprint=fingerprint("pull_data"),
        profile=PROFILE_SOURCE,
    shell:
        run_step("pull_data")


rule check_contamination:
    input:
        read_by("check_contamination"),
    output:
        written_by("check_contamination"),
    log:
        LAYOUT.root / "logs/check_contamination.log",
    benchmark:
        LAYOUT.root / "benchmarks/check_contamination.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=20,
    params:
        fingerprint=fingerprint("check_contamination"),
        profile=PROFILE_SOURCE,
    shell:
        run_step("check_contamination")
