"""Rows of a public goal in each suite: attacks with fixed wording hold their prompts, the others the goal."""

from collections.abc import Sequence
from typing import Any

from harc.settings.suites import AttackForms
from harc.suites.benign import FORMS
from harc.suites.pap import Technique
from harc.suites.records import make_user_turn
from harc.suites.registry import SUITES, Suite


def wrap_goal(suite: Suite, goal: str, split: str, index: int, forms: AttackForms) -> tuple[str, str]:
    """(prompt, form) of a goal under an attack with fixed wording.

    Args:
        suite: one with `wrap`.
        goal: the request.
        split: development and evaluation have different wording.
        index: the goal's number; variants are taken in turn.
        forms: the attacks' settings; an attack without a group of its own gets all of them.
    """
    return suite.wrap(goal, split, index, getattr(forms, suite.settings or suite.name, forms))


def make_prompts(
    suite: str, goal: str, split: str, index: int, forms: AttackForms, techniques: Sequence[Technique]
) -> list[dict[str, Any]]:
    """What the rows of one goal in one suite hold besides their names: several rows for PAP, else one."""
    own, plain = SUITES[suite], make_user_turn(goal)
    if own.spread:
        return own.spread(plain, techniques)
    if own.plain:
        return [{"messages": plain, "template": suite}]
    form = SUITES[FORMS[index % len(FORMS)]] if suite == "wrapped_benign" else own
    if form.wrap is None:
        return [{"messages": plain}]
    text, template = wrap_goal(form, goal, split, index, forms)
    row: dict[str, Any] = {"messages": make_user_turn(text), "template": template}
    return [row | ({"read_outputs": True} if form.read_outputs else {})]
