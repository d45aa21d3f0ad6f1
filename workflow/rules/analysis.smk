"""Analysis: tables, the numbers used in the text, and figures, each figure from just the files that it reads.

Inputs: scores, directions, projections, training logs. Outputs: results/<profile>/{tables,figures}.
"""

TABLES = make_tables.list_outputs(create_job("make_tables", PROFILE))


rule make_tables:
    input:
        make_tables.list_inputs(create_job("make_tables", PROFILE)),
    output:
        files=[*map(show_table, TABLES[1:])],
        sidecar=sidecar_path(LAYOUT.tables),
    log:
        LAYOUT.root / "logs/make_tables.log",
    benchmark:
        LAYOUT.root / "benchmarks/make_tables.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        fingerprint=fingerprint("make_tables"),
        profile=PROFILE_SOURCE,
    shell:
        run_step("make_tables")


rule make_figure:
    input:
        lambda wildcards: make_figure.list_inputs(
            create_job("make_figure", PROFILE, **wildcards)
        ),
    output:
        pdf=LAYOUT.figures / "{figure}.pdf",
        png=report(
            LAYOUT.figures / "{figure}.png",
            caption="../report/figure.rst",
            category="Figures",
            labels={"figure": "{figure}"},
        ),
        sidecar=sidecar_path(LAYOUT.figures / "{figure}.pdf"),
    log:
        LAYOUT.root / "logs/make_figure/{figure}.log",
    benchmark:
        LAYOUT.root / "benchmarks/make_figure/{figure}.tsv"
    wildcard_constraints:
        figure="|".join(PROFILE.figures),
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        fingerprint=fingerprint("make_figure"),
        profile=PROFILE_SOURCE,
    shell:
        run_step("make_figure", "figure")
