"""Where each objective lives: loaded by name, so that a change of one objective's code reruns its methods alone."""

# Each module has a factory `create_objective(context)`.
OBJECTIVE_MODULES = {
    "sft": "harc.training.objectives",
    "harc": "harc.training.coupling",
    "dpo": "harc.training.preference",
    "joint": "harc.training.joint",
    "cb": "harc.training.circuit_breakers",
    "repbend": "harc.training.repbend",
}
