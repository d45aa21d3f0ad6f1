"""Columns of the committed figures, apart from the code that computes them."""

SOURCE_COLUMNS = ("source", "revision", "sha256")
RATES = ("human_any", "human_full", "judge", "agreement_any", "agreement_full")
KAPPAS = ("kappa_any", "kappa_full")
DIFFERENCES = ("difference_any", "difference_full")
"""The judge's rate minus people's, over the same answers."""
OVER_REFUSAL = (
    "completion_model", "prompts", "judge_name", "judge_version", "developed_on", "n", "unjudged",
    *(f"{name}{end}" for name in (*RATES, *KAPPAS, *DIFFERENCES) for end in ("", "_low", "_high")),
    *SOURCE_COLUMNS,
)  # fmt: skip
