"""The paper without a run: tables, figures, PDF and report of the committed study, with no model, in seconds.

Inputs: results/reference/<profile>, which is only read. Outputs: results/from_reference/<profile>, paper/main.pdf.
"""

SHOWN = locate_reference(PROFILE.name)
try:
    STUDY = load_profile(find_profile(SHOWN))
except HarcError as problem:
    sys.exit(str(problem))

# The options that name the study, wherever a rule's command names its profile.
STUDY_OPTIONS = f"{STUDY.source} --reference {PROFILE.name}"
SHOWN_TABLES = make_tables.list_outputs(create_job("make_tables", STUDY, PROFILE.name))
SHOWN_FIGURES = [
    SHOWN.figures / f"{name}.{kind}"
    for name in STUDY.figures
    for kind in ("pdf", "png")
]


ruleorder: build_paper > build_paper_from_reference


use rule make_tables as make_tables_from_reference with:
    input:
        list_read(create_job("make_tables", STUDY, PROFILE.name)),
    output:
        files=[*map(show_table, SHOWN_TABLES[1:])],
        sidecar=sidecar_path(SHOWN.tables),
    log:
        SHOWN.root / "logs/make_tables.log",
    benchmark:
        SHOWN.root / "benchmarks/make_tables.tsv"
    params:
        fingerprint=fingerprint("make_tables", STUDY),
        profile=STUDY_OPTIONS,


use rule make_figure as make_figure_from_reference with:
    input:
        lambda wildcards: list_read(
            create_job("make_figure", STUDY, PROFILE.name, **wildcards)
        ),
    output:
        pdf=SHOWN.figures / "{figure}.pdf",
        png=report(
            SHOWN.figures / "{figure}.png",
            caption="../report/figure.rst",
            category="Figures",
            labels={"figure": "{figure}"},
        ),
        sidecar=sidecar_path(SHOWN.figures / "{figure}.pdf"),
    log:
        SHOWN.root / "logs/make_figure/{figure}.log",
    benchmark:
        SHOWN.root / "benchmarks/make_figure/{figure}.tsv"
    wildcard_constraints:
        figure="|".join(STUDY.figures),
    params:
        fingerprint=fingerprint("make_figure", STUDY),
        profile=STUDY_OPTIONS,


use rule seal_results as seal_results_from_reference with:
    input:
        seal_results.list_sealed(create_job("seal_results", STUDY, PROFILE.name)),
    output:
        root_hash=SHOWN.root_hash,
        sidecar=sidecar_path(SHOWN.root_hash),
    log:
        SHOWN.root / "logs/seal_results.log",
    benchmark:
        SHOWN.root / "benchmarks/seal_results.tsv"
    params:
        fingerprint=fingerprint("seal_results", STUDY),
        profile=STUDY_OPTIONS,


use rule build_paper as build_paper_from_reference with:
    input:
        sources=build_paper.list_sources(),
        tables=SHOWN_TABLES[1:],
        figures=SHOWN_FIGURES,
        compute=build_paper.list_compute(create_job("build_paper", STUDY, PROFILE.name)),
        root_hash=SHOWN.root_hash,
    output:
        pdf=PAPER_PDF,
        sidecar=sidecar_path(PAPER_PDF),
    log:
        SHOWN.root / "logs/build_paper.log",
    benchmark:
        SHOWN.root / "benchmarks/build_paper.tsv"
    params:
        fingerprint=fingerprint("build_paper", STUDY),
        profile=STUDY_OPTIONS,


use rule build_report as build_report_from_reference with:
    input:
        list_read(create_job("build_report", STUDY, PROFILE.name)),
    output:
        html=SHOWN.report,
        sidecar=sidecar_path(SHOWN.report),
    log:
        SHOWN.root / "logs/build_report.log",
    benchmark:
        SHOWN.root / "benchmarks/build_report.tsv"
    params:
        fingerprint=fingerprint("build_report", STUDY),
        profile=STUDY_OPTIONS,


# Named by their rules: the run's own rules make the same PDF.
SHOWN_TARGETS = [
    *(
        [rules.build_paper_from_reference.output.pdf]
        if build_paper.find_latex()
        else [*SHOWN_TABLES[1:], *SHOWN_FIGURES, SHOWN.root_hash]
    ),
    rules.build_report_from_reference.output.html,
]
