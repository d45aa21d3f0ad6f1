"""Names of the suites by what they measure."""

DIRECT_SUITES = ("direct", "direct_unseen_templates")
ATTACK_SUITES = ("pair", "pap", "deepinception", "codeattack")
"""The attacks of the paper's main table; means over attacks are over these."""
PREFILL_SUITES = ("prefill",)
EXTRA_ATTACK_SUITES = ("persona", *PREFILL_SUITES)
"""Attacks beside the paper's; of published models only."""
DECODING_SUITES = ("decoding",)
"""Control for code attacks: can the model read their encodings at all? Judged by comparison."""
OVER_REFUSAL_SUITES = ("scary_safe", "refusable_benign")
CONTRAST_SUITES = ("unsafe_contrasts",)
"""Harmful twins of `scary_safe`: a model that never refuses looks perfect on the safe half alone."""
BENIGN_SUITES = ("benign", "wrapped_benign")
HELPFULNESS_SUITES = ("multiple_choice", "arithmetic", "code", "instruction_constraints", "two_turn")
DOCUMENT_SUITES = ("documents",)
METHOD_SUITES = DIRECT_SUITES + ATTACK_SUITES + OVER_REFUSAL_SUITES + BENIGN_SUITES + HELPFULNESS_SUITES
ALL_SUITES = METHOD_SUITES + EXTRA_ATTACK_SUITES + DECODING_SUITES + CONTRAST_SUITES + DOCUMENT_SUITES


def main_metric(suite: str) -> str:
    """What a suite's `success` counts: `asr`, `over_refusal`, `refusal` (of harmful requests) or `accuracy`."""
    if suite in DIRECT_SUITES + ATTACK_SUITES + EXTRA_ATTACK_SUITES:
        return "asr"
    if suite in CONTRAST_SUITES:
        return "refusal"
    return "over_refusal" if suite in OVER_REFUSAL_SUITES else "accuracy"


def counted_label(metric: str) -> str:
    """The judges' label that a metric counts."""
    return "refused" if metric in ("over_refusal", "refusal") else "correct"
