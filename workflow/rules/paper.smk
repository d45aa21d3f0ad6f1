"""Paper and report: every number, table and figure as generated; no result is typed.

Inputs: tables, figures, paper/*.tex. Outputs: paper/main.pdf (where LaTeX is present), results/<profile>/report.html.
"""

FIGURES = [
    LAYOUT.figures / f"{name}.{kind}"
    for name in PROFILE.figures
    for kind in ("pdf", "png")
]
COMPUTE = tabulate_compute.list_outputs(create_job("tabulate_compute", PROFILE))
PAPER_PDF = "paper/main.pdf"
PAPER_TARGETS = (
    [PAPER_PDF]
    if build_paper.find_latex()
    else [*TABLES[1:], *FIGURES, *COMPUTE[1:], LAYOUT.root_hash]
)


rule tabulate_compute:
    """What each kind of step cost: times differ from run to run, so the root hash does not cover it."""
    input:
        seal_results.list_sealed(create_job("tabulate_compute", PROFILE)),
    output:
        files=[*map(show_table, COMPUTE[1:])],
        sidecar=sidecar_path(COMPUTE[0]),
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
        seal_results.list_sealed(create_job("seal_results", PROFILE)),
    output:
        root_hash=LAYOUT.root_hash,
        sidecar=sidecar_path(LAYOUT.root_hash),
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
        sources=build_paper.list_sources(),
        tables=TABLES[1:],
        figures=FIGURES,
        compute=COMPUTE[1:],
        root_hash=LAYOUT.root_hash,
    output:
        pdf=PAPER_PDF,
        sidecar=sidecar_path(PAPER_PDF),
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
        build_report.list_inputs(create_job("build_report", PROFILE)),
    output:
        html=LAYOUT.report,
        sidecar=sidecar_path(LAYOUT.report),
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
