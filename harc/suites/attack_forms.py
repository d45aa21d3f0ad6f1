"""Attacks with fixed wording by name, and the rows that each attack makes of a goal."""

from collections.abc import Callable, Sequence
from typing import Any

from harc.settings.attacks import AttackForms
from harc.suites.codeattack import wrap_code, wrap_decoding
from harc.suites.deepinception import wrap_inception
from harc.suites.pap import Technique, describe_technique
from harc.suites.persona import wrap_persona

WRAPPERS: dict[str, tuple[Callable[[str, str, int, Any], tuple[str, str]], str]] = {
    "deepinception": (wrap_inception, "deepinception"),
    "codeattack": (wrap_code, "codeattack"),
    "persona": (wrap_persona, "persona"),
    "decoding": (wrap_decoding, "codeattack"),
}
"""Suite to its form and the group of settings that it takes."""

BENIGN_FORMS = ("deepinception", "codeattack", "persona")
"""Forms that `wrapped_benign` puts around benign goals, in turn."""

GOAL_SUITES = ("pair", "pap", "prefill")
"""Attacks whose rows hold the plain goal: what they do with it depends on the target or on a model that writes."""


def wrap_goal(suite: str, goal: str, split: str, index: int, forms: AttackForms) -> tuple[str, str]:
    """(prompt, form) of a goal under an attack with fixed wording.

    Args:
        suite: a key of `WRAPPERS`.
        goal: the request.
        split: development and evaluation have different wording.
        index: the goal's number; variants are taken in turn.
        forms: the attacks' settings.
    """
    wrap, group = WRAPPERS[suite]
    return wrap(goal, split, index, getattr(forms, group))


def make_prompts(
    suite: str,
    goal: str,
    split: str,
    index: int,
    forms: AttackForms,
    techniques: Sequence[Technique],
) -> list[dict[str, Any]]:
    """What the rows of one goal in one suite hold besides their names: several rows for PAP, else one.

    Suites that are no attack get the goal as it is, without a template.
    """
    plain = [{"role": "user", "content": goal}]
    if suite == "pap":
        return [
            {
                "messages": plain,
                "template": f"pap:{technique.name}",
                "technique": describe_technique(technique),
            }
            for technique in techniques
        ]
    if suite in GOAL_SUITES:
        return [{"messages": plain, "template": suite}]
    form = BENIGN_FORMS[index % len(BENIGN_FORMS)] if suite == "wrapped_benign" else suite
    if form not in WRAPPERS:
        return [{"messages": plain}]
    text, template = wrap_goal(form, goal, split, index, forms)
    row: dict[str, Any] = {"messages": [{"role": "user", "content": text}], "template": template}
    return [row | ({"read_outputs": True} if form == "codeattack" else {})]
