"""Audit: does every artifact follow from its inputs, and was any touched since?

Inputs: everything that `rule all` asks for. Outputs: results/<profile>/audit/audit.json; exit 1 on any finding.
"""


rule audit:
    input:
        PAPER_TARGETS,
        LAYOUT.report,
        every(sidecar_path(GENERATIONS)),
        every(sidecar_path(SCORES)),
    output:
        LAYOUT.audit,
    params:
        fingerprint=fingerprint("audit"),
    log:
        LAYOUT.root / "logs/audit.log",
    benchmark:
        LAYOUT.root / "benchmarks/audit.tsv"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    shell:
        run_step("audit")
