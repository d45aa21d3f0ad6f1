"""HARC with one part changed: the control for its coupling, and the arms of the ablation."""

from harc.settings.methods import Look

PRESETS = {
    # The control for the coupling terms, which are logged; a profile may tune it like any method.
    "no_coupling": {"loss": {"couple": 0.0, "couple_resp": 0.0}},
    # The same as an arm: at whatever values HARC has.
    "neither_side": {"loss": {"couple": 0.0, "couple_resp": 0.0}},
    "prompt_only": {"loss": {"couple_resp": 0.0}},
    "response_only": {"loss": {"couple": 0.0}},
    "random_direction": {"directions": {"null": "random"}},
    "permuted_label": {"directions": {"null": "permuted_labels"}},
    "fixed_last_k": {"directions": {"rule": "last"}},
}
LOOKS = {
    "no_coupling": Look("no coupling", 60, ("#0072B2", "^", "-.")),
    "prompt_only": Look("prompt side alone"),
    "response_only": Look("response side alone"),
    "neither_side": Look("neither side"),
    "random_direction": Look("random directions"),
    "permuted_label": Look("permuted labels"),
    "fixed_last_k": Look("last eligible slots"),
}
