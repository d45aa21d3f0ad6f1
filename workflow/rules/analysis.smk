"""Analysis: tables, the numbers used in the text, and figures, each figure from just the files that it reads.

Inputs: scores, directions, projections, training logs. Outputs: results/<profile>/{tables,figures}.
"""

from harc.pipeline import FIGURES, TABLES, list_figure_inputs, list_table_inputs


rule make_tables:
    input:
        list_table_inputs(PROFILE, LAYOUT),
    output:
        files=files_in(LAYOUT.tables, TABLES),
        sidecar=sidecar_path(LAYOUT.tables),
    params:
        fingerprint=fingerprint("make_tables"),
    log:
        LAYOUT.root / "logs/make_tables.log",
    benchmark:
        LAYOUT.root / "benchmarks/make_tables.tsv"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    shell:
        run_step("make_tables")


rule make_figure:
    input:
        lambda wildcards: list_figure_inputs(PROFILE, LAYOUT, wildcards.figure),
    output:
        pdf=LAYOUT.figures / "{figure}.pdf",
        png=report(
            LAYOUT.figures / "{figure}.png",
            caption="../report/{figure}.rst",
            category="Figures",
            labels={"figure": "{figure}"},
        ),
        sidecar=sidecar_path(LAYOUT.figures / "{figure}.pdf"),
    wildcard_constraints:
        figure="|".join(FIGURES),
    params:
        fingerprint=fingerprint("make_figure"),
    log:
        LAYOUT.root / "logs/make_figure/{figure}.log",
    benchmark:
        LAYOUT.root / "benchmarks/make_figure/{figure}.tsv"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    shell:
        run_step("make_figure", "figure")
