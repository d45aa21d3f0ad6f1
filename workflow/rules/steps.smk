"""One rule for every step of harc/steps/registry.py, and one more for each that is made of a committed study too.

Inputs, outputs, resources: as the step declares them. `snakemake tune` is no part of `rule all`: profiles hold what was
chosen (config/tuned).
"""

for view in VIEWS:

    rule:
        name:
            view.step.name + view.suffix
        input:
            view.find_files,
        output:
            view.outputs,
        log:
            view.log,
        wildcard_constraints:
            **view.constraints,
        conda:
            "../../environment.yml"
        threads: 1
        resources:
            **view.resources,
        params:
            fingerprint=view.find_fingerprint,
            words=view.find_words,
        # A text alone: what is said here is read when a job starts, and `view` is the last one by then.
        shell:
            "HARC_PLANNED={params.fingerprint} harc step {params.words} 2>&1 | tee {log}"


for study, shown in UNPACKED.items():

    rule:
        name:
            f"unpack_{study}"
        # Of the tree, whose files no rule names, stands for the whole what says which pack it is of.
        input:
            list_packed(study),
        output:
            locate_stamp(shown.runs),
        log:
            shown.root / "logs/unpack_reference.log",
        conda:
            "../../environment.yml"
        threads: 1
        resources:
            mem_mb=2000,
            runtime=10,
        params:
            fingerprint=fingerprint_code(["harc.steps.reference_pack:unpack"]),
            study=study,
        shell:
            "harc reference unpack {params.study} 2>&1 | tee {log}"


# Named by its rule: the run's own rule makes the same PDF.
SHOWN_TARGETS = []
if FROM_REFERENCE:

    ruleorder: build_paper > build_paper_from_reference

    SHOWN_TARGETS = [
        *(
            [rules.build_paper_from_reference.output[0]]
            if find_latex()
            else list_paper_files(VIEW["build_paper_from_reference"])
        ),
        SHOWN.report,
    ]


rule paper:
    """Alias: PDF and report, from the committed study where the profile has no run of its own."""
    input:
        SHOWN_TARGETS or [*PAPER_TARGETS, LAYOUT.report],


rule tune:
    """Alias: every point of every method's grid, and what the criterion chooses."""
    input:
        LAYOUT.tuning / "tuned.yaml",
