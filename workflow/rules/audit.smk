"""Audit: does every artifact follow from its inputs, and was any touched since?

Inputs: everything that `rule all` asks for. Outputs: results/<profile>/audit/audit.{json,html}; exit 1 on any finding.
"""


rule audit:
    input:
        read_by("audit"),
    output:
        written_by("audit"),
    log:
        LAYOUT.root / "logs/audit.log",
    benchmark:
        LAYOUT.root / "benchmarks/audit.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        fingerprint=fingerprint("audit"),
        profile=PROFILE_SOURCE,
    shell:
        run_step("audit")
