"""Names of suites, methods and backbones as readers see them, and their order; unknown names pass through."""

import re
from collections.abc import Sequence

from harc.settings.methods import list_looks
from harc.suites import registry as suites

ATTACKS = suites.ATTACK_SUITES
OVER_REFUSAL = suites.OVER_REFUSAL_SUITES
HELPFULNESS = suites.HELPFULNESS_SUITES
DIRECT = suites.DIRECT_SUITES
CONTROLS = suites.BENIGN_SUITES
CONTRASTS = suites.CONTRAST_SUITES
SUITE_LABELS = {rate.name: rate.label for rate in suites.RATES}

METHOD_ORDER = tuple(name for name, look in list_looks().items() if look.place is not None)

POOLED = "pooled"  # in place of a backbone's name: all runs of all backbones and seeds
ALL_FAMILIES = "all_families"  # in place of a backbone's name: what is of all model families together
BACKBONE_LABELS = {
    ALL_FAMILIES: "all families",
    "organism-llama": "organism (Llama)",
    "organism-qwen2": "organism (Qwen2)",
    "organism-mistral": "organism (Mistral)",
    "organism-gemma": "organism (Gemma)",
    "organism-phi3": "organism (Phi-3)",
    "smollm2-135m": "SmolLM2-135M",
    "qwen2.5-coder-0.5b": "Qwen2.5-Coder-0.5B",
    POOLED: "pooled over backbones and seeds",
}
FAMILIES = ("Llama", "Qwen", "SmolLM")


def name_suite(suite: str) -> str:
    """Label of a suite for readers."""
    return SUITE_LABELS.get(suite, suite.replace("_", " "))


def name_attacks(mean_attacks: Sequence[str]) -> str:
    """Attacks behind a mean that is not the paper's, as in `PAP, persona`; empty where it is."""
    return "" if suites.is_published_mean(mean_attacks) else ", ".join(map(name_suite, mean_attacks))


def note_attacks(mean_attacks: Sequence[str], what: str = "mean ASR") -> list[str]:
    """What a table says of a mean that is not the paper's; nothing where it is."""
    names = name_attacks(mean_attacks)
    paper = ", ".join(map(name_suite, ATTACKS))
    return [f"{what[0].upper()}{what[1:]}: over {names}; not the paper's mean ({paper})."] if names else []


def name_method(method: str) -> str:
    """Label of a method for readers."""
    if point := re.fullmatch(
        r"margin([\dp]+)_kl([\dpem]+)", method
    ):  # as harc.settings.ablation names a grid's cells
        margin, weight = (text.replace("p", ".").replace("m", "-") for text in point.groups())
        return f"margin {margin} with KL {weight}"
    look = list_looks().get(method)
    return look.label if look else method.replace("_", " ")


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
    """`Llama`, `Qwen` or `SmolLM` if the backbone's name says so, else None."""
    return next((family for family in FAMILIES if family.lower() in backbone.lower()), None)


def camel(name: str) -> str:
    """A name as part of a LaTeX macro: letters only, words capitalised, digits spelled out."""
    digits = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")
    spelled = re.sub(r"\d", lambda match: f" {digits[int(match.group())]} ", name)
    return "".join(word[0].upper() + word[1:] for word in re.split(r"[^A-Za-z]+", spelled) if word)
