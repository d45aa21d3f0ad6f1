"""Where each objective lives: loaded by name, so that a change of one objective's code reruns its methods alone."""

from typing import Any

# Each module has a factory `create_objective(context)`.
OBJECTIVE_MODULES = {
    "sft": "harc.training.objectives",
    "harc": "harc.training.coupling",
    "dpo": "harc.training.preference",
    "joint": "harc.training.joint",
    "cb": "harc.training.circuit_breakers",
    "repbend": "harc.training.repbend",
}


def list_objective_code(*methods: Any) -> list[str]:
    """Where the code of methods' objectives begins, for fingerprints: no import leads there.

    Args:
        methods: settings of methods, or None; a fitted method (CAST) has no objective.
    """
    names = dict.fromkeys(method.objective for method in methods if method is not None)
    return [f"{OBJECTIVE_MODULES[name]}:create_objective" for name in names if name in OBJECTIVE_MODULES]
