"""Paper and report: every number, table and figure as generated; no result is typed.

Inputs: tables, figures, paper/*.tex. Outputs: paper/main.pdf (where LaTeX is present), results/<profile>/report.html.
"""

# The PDF, or without LaTeX everything that it would be set from.
PAPER_TARGETS = [PDF] if find_latex() else read_by("build_paper")({})


rule tabulate_compute:
    """What each kind of step cost: times differ from run to run, so the root hash does not cover it."""
    input:
        read_by("tabulate_compute"),
    output:
        written_by("tabulate_compute"),
    log:
        LAYOUT.root / "logs/tabulate_compute.log",
    benchmark:
        LAYOUT.root / "benchmarks/tabulate_compute.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=10,
    params:
        fingerprint=fingerprint("tabulate_compute"),
        profile=PROFILE_SOURCE,
    shell:
        run_step("tabulate_compute")


rule seal_results:
    """The root hash, which the paper prints: of everything that the paper is made from."""
    input:
        read_by("seal_results"),
    output:
        written_by("seal_results"),
    log:
        LAYOUT.root / "logs/seal_results.log",
    benchmark:
        LAYOUT.root / "benchmarks/seal_results.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=10,
    params:
        fingerprint=fingerprint("seal_results"),
        profile=PROFILE_SOURCE,
    shell:
        run_step("seal_results")


rule build_paper:
    input:
        read_by("build_paper"),
    output:
        written_by("build_paper"),
    log:
        LAYOUT.root / "logs/build_paper.log",
    benchmark:
        LAYOUT.root / "benchmarks/build_paper.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=10,
    params:
        fingerprint=fingerprint("build_paper"),
        profile=PROFILE_SOURCE,
    shell:
        run_step("build_paper")


rule build_report:
    input:
        read_by("build_report"),
    output:
        written_by("build_report"),
    log:
        LAYOUT.root / "logs/build_report.log",
    benchmark:
        LAYOUT.root / "benchmarks/build_report.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        fingerprint=fingerprint("build_report"),
        profile=PROFILE_SOURCE,
    shell:
        run_step("build_report")


FROM_REFERENCE = stands_in(PROFILE.name, LAYOUT.root)
if FROM_REFERENCE:

    include: "reference.smk"


rule paper:
    """Alias: PDF and report, from the committed study where the profile has no run of its own."""
    input:
        SHOWN_TARGETS if FROM_REFERENCE else [*PAPER_TARGETS, LAYOUT.report],
