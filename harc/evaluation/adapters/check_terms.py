"""Checks of what an adapter may be used for: licences of both, and a card that says what it is."""

from harc.evaluation.adapters.checks import FAIL, PASS, WARN, Said, Subject, check
from harc.evaluation.adapters.folder import CARD, TEMPLATE
from harc.evaluation.adapters.licences import find_licence, parse_front_matter


@check("licence of the base")
def check_base_licence(subject: Subject) -> Said:
    """The base declares a licence that allows changed versions."""
    licence = subject.base_licence
    if licence is None:
        where = "no base was given" if subject.base is None else "its folder declares none"
        return (
            WARN,
            f"unknown ({where}): it goes along with whatever is made of the base; name it with --licence",
        )
    if licence.terms is None:
        return WARN, f"{licence.name} (from {licence.source}), which is not known here: read its text"
    if not licence.terms.redistribution:
        return FAIL, f"{licence.terms.title} (from {licence.source}): changed versions may not be passed on"
    return PASS, f"{licence.terms.title} (from {licence.source})"


@check("licence of the adapter")
def check_own_licence(subject: Subject) -> Said:
    """The adapter declares a licence that allows no more than the base's."""
    own, base = find_licence(subject.adapter), subject.base_licence
    if own is None:
        return WARN, "unknown: nobody else may use it; name one in the card's front matter"
    if own.terms is None:
        return WARN, f"{own.name} (from {own.source}), which is not known here: read its text"
    if base is not None and base.terms is not None and own.name != base.name:
        if own.terms.commercial and not base.terms.commercial:
            return FAIL, f"{own.name} allows commercial use, which the base's {base.name} does not"
        if base.terms.prefix or base.name in ("gemma", "qwen", "qwen-research"):
            return WARN, f"{own.name}, while the base's {base.name} asks that its terms go along"
    return PASS, f"{own.terms.title} (from {own.source})"


@check("model card")
def check_card(subject: Subject) -> Said:
    """There is a card whose front matter names the base and the licence."""
    card = subject.adapter.read_text(CARD)
    if not card:
        return WARN, f"no {CARD}: nobody else knows what it is for; `harc adapter card` writes one"
    try:
        front = parse_front_matter(card)
    except ValueError as problem:
        return WARN, f"{CARD}: {problem}"
    if TEMPLATE in card:
        return WARN, f"{CARD} is the template that PEFT writes, not filled in; `harc adapter card` writes one"
    missing = [name for name in ("base_model", "license", "library_name") if not front.get(name)]
    if missing:
        return WARN, f"{CARD} without {', '.join(missing)} in its front matter"
    return PASS, CARD
