"""The paper without a run: tables, figures, PDF and report of the committed study, with no model, in seconds.

Inputs: results/reference/<profile>, which is only read. Outputs: its tree, once for all, under
results/unpacked/<profile>; results/from_reference/<profile>, paper/main.pdf.
"""

SHOWN = locate_reference(PROFILE.name)
try:
    STUDY = load_profile(find_profile(PROFILE.name))
except HarcError as problem:
    sys.exit(str(problem))

# The options that name the study, wherever a rule's command names its profile.
STUDY_OPTIONS = f"{shlex.quote(STUDY.source)} --reference {PROFILE.name}"


rule unpack_reference:
    """Of the tree, whose files no rule names, stands for the whole what says which pack it is of."""
    input:
        list_packed(PROFILE.name),
    output:
        locate_stamp(SHOWN.runs),
    log:
        SHOWN.root / "logs/unpack_reference.log",
    benchmark:
        SHOWN.root / "benchmarks/unpack_reference.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        fingerprint=fingerprint_code(["harc.steps.reference_pack:unpack"]),
    shell:
        "harc reference unpack {PROFILE.name} 2>&1 | tee {log}"


ruleorder: build_paper > build_paper_from_reference


use rule make_tables as make_tables_from_reference with:
    input:
        read_by("make_tables", STUDY, PROFILE.name),
    output:
        written_by("make_tables", STUDY, PROFILE.name),
    log:
        SHOWN.root / "logs/make_tables.log",
    benchmark:
        SHOWN.root / "benchmarks/make_tables.tsv"
    params:
        fingerprint=fingerprint("make_tables", STUDY, PROFILE.name),
        profile=STUDY_OPTIONS,


use rule make_figure as make_figure_from_reference with:
    input:
        read_by("make_figure", STUDY, PROFILE.name),
    output:
        written_by("make_figure", STUDY, PROFILE.name),
    log:
        SHOWN.root / "logs/make_figure/{figure}.log",
    benchmark:
        SHOWN.root / "benchmarks/make_figure/{figure}.tsv"
    wildcard_constraints:
        figure="|".join(STUDY.figures),
    params:
        fingerprint=fingerprint("make_figure", STUDY, PROFILE.name),
        profile=STUDY_OPTIONS,


use rule seal_results as seal_results_from_reference with:
    input:
        read_by("seal_results", STUDY, PROFILE.name),
    output:
        written_by("seal_results", STUDY, PROFILE.name),
    log:
        SHOWN.root / "logs/seal_results.log",
    benchmark:
        SHOWN.root / "benchmarks/seal_results.tsv"
    params:
        fingerprint=fingerprint("seal_results", STUDY, PROFILE.name),
        profile=STUDY_OPTIONS,


use rule build_paper as build_paper_from_reference with:
    input:
        read_by("build_paper", STUDY, PROFILE.name),
    output:
        written_by("build_paper", STUDY, PROFILE.name),
    log:
        SHOWN.root / "logs/build_paper.log",
    benchmark:
        SHOWN.root / "benchmarks/build_paper.tsv"
    params:
        fingerprint=fingerprint("build_paper", STUDY, PROFILE.name),
        profile=STUDY_OPTIONS,


use rule build_report as build_report_from_reference with:
    input:
        read_by("build_report", STUDY, PROFILE.name),
    output:
        written_by("build_report", STUDY, PROFILE.name),
    log:
        SHOWN.root / "logs/build_report.log",
    benchmark:
        SHOWN.root / "benchmarks/build_report.tsv"
    params:
        fingerprint=fingerprint("build_report", STUDY, PROFILE.name),
        profile=STUDY_OPTIONS,


# Named by its rule: the run's own rule makes the same PDF.
SHOWN_TARGETS = [
    *(
        [rules.build_paper_from_reference.output[0]]
        if find_latex()
        else read_by("build_paper", STUDY, PROFILE.name)({})
    ),
    SHOWN.report,
]
