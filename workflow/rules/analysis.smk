"""Analysis: tables, the numbers used in the text, and figures, each figure from just the files that it reads.

Inputs: scores, directions, projections, training logs. Outputs: results/<profile>/{tables,figures}.
"""


rule make_tables:
    input:
        read_by("make_tables"),
    output:
        written_by("make_tables"),
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
        read_by("make_figure"),
    output:
        written_by("make_figure"),
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
