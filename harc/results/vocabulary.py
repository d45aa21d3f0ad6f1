"""Names of suites, methods and backbones as readers see them, and their order; unknown names pass through."""

import re

from harc import suites

ATTACKS = suites.ATTACK_SUITES
OVER_REFUSAL = suites.OVER_REFUSAL_SUITES
HELPFULNESS = suites.HELPFULNESS_SUITES
DIRECT = suites.DIRECT_SUITES
CONTROLS = suites.BENIGN_SUITES
CONTRASTS = suites.CONTRAST_SUITES
SUITE_LABELS = {rate.name: rate.label for rate in (*suites.SUITES.values(), *suites.MEANS)}

METHOD_LABELS = {
    "base": "base",
    "sft": "SFT",
    "dpo": "DPO",
    "cb": "Circuit Breakers",
    "repbend": "RepBend",
    "cast": "CAST",
    "no_coupling": "no coupling",
    "harc": "HARC",
    "harc_released": "HARC (as released)",
    "harc_dpo": "HARC+DPO",
    "dpo_harc": "DPO+HARC",
    "joint": "HARC and DPO jointly",
}
METHOD_ORDER = tuple(METHOD_LABELS)
ARM_LABELS = {
    "prompt_only": "prompt side alone",
    "response_only": "response side alone",
    "fixed_last_k": "last eligible slots",
    "random_direction": "random directions",
    "permuted_label": "permuted labels",
    "released_truncation": "fault: truncation",
    "released_helpful_baseline": "fault: helpful baseline",
    "released_position_template": "fault: position template",
    "released_kl_first_token": "fault: first token of KL",
    "released_refresh_from": "fault: refresh from base",
    "released_step_unit": "fault: unit of steps",
    "released_xstest_in_training": "fault: XSTest in training",
}

POOLED = "pooled"  # in place of a backbone's name: all runs of all backbones and seeds
ALL_FAMILIES = "all_families"  # in place of a backbone's name: what is of all model families together
BACKBONE_LABELS = {
    ALL_FAMILIES: "all families",
    "organism-llama": "organism (Llama)",
    "organism-qwen2": "organism (Qwen2)",
    "organism-mistral": "organism (Mistral)",
    "organism-gemma": "organism (Gemma)",
    "organism-phi3": "organism (Phi-3)",
    POOLED: "pooled over backbones and seeds",
}
FAMILIES = ("Llama", "Qwen")


def name_suite(suite: str) -> str:
    """Label of a suite for readers."""
    return SUITE_LABELS.get(suite, suite.replace("_", " "))


def name_method(method: str) -> str:
    """Label of a method for readers."""
    if point := re.fullmatch(
        r"margin([\dp]+)_kl([\dpem]+)", method
    ):  # as harc.settings.ablation names a grid's cells
        margin, weight = (text.replace("p", ".").replace("m", "-") for text in point.groups())
        return f"margin {margin} with KL {weight}"
    return METHOD_LABELS.get(method) or ARM_LABELS.get(method, method.replace("_", " "))


def name_backbone(backbone: str) -> str:
    """Label of a backbone for readers."""
    return BACKBONE_LABELS.get(backbone, backbone)


def sort_methods(methods: list[str] | tuple[str, ...]) -> list[str]:
    """Methods in the order of the published table, unknown ones last in the order given."""
    rank = {method: number for number, method in enumerate(METHOD_ORDER)}
    return sorted(dict.fromkeys(methods), key=lambda method: rank.get(method, len(rank)))


def include_base(methods: list[str] | tuple[str, ...]) -> list[str]:
    """The methods with the untreated model first, in table order."""
    return sort_methods(["base", *methods])


def find_family(backbone: str) -> str | None:
    """`Llama` or `Qwen` if the backbone's name says so, else None."""
    return next((family for family in FAMILIES if family.lower() in backbone.lower()), None)


def camel(name: str) -> str:
    """A name as part of a LaTeX macro: letters only, words capitalised, digits spelled out."""
    digits = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")
    spelled = re.sub(r"\d", lambda match: f" {digits[int(match.group())]} ", name)
    return "".join(word[0].upper() + word[1:] for word in re.split(r"[^A-Za-z]+", spelled) if word)
