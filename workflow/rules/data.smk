"""Data: pulled by DVC at the pinned version, built, or assembled from registered public files; always checked.

Inputs: data.dvc and config/data_manifest.json, or the registry. Outputs: the row files; results/<profile>/data/verified.json;
results/<profile>/data/contamination.csv, without which nothing is read from a model or trained.
"""


rule pull_data:
    input:
        pull_data.list_inputs(create_job("pull_data", PROFILE)),
    output:
        files=pull_data.list_row_files(PROFILE),
        report=LAYOUT.data_report,
        sidecar=sidecar_path(LAYOUT.data_report),
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
        check_contamination.list_inputs(create_job("check_contamination", PROFILE)),
    output:
        table=LAYOUT.contamination,
        sidecar=sidecar_path(LAYOUT.contamination),
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
