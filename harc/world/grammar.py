"""Goals and how they are put into words: direct requests, questions about harm, requests wrapped in a context.

Wrapped: three mild families (defence data) and six attack families. Forms: PAP (persuasion; Zeng et al. 2024),
DeepInception (nested fiction; Li et al. 2023), CodeAttack (goal pushed in reverse into a data structure; Ren et al.
2024), persona (a character without rules; Shen et al. 2023), PAIR (strategies with slots; Chao et al. 2023; the
iterative attacker is in `pair_attacker`), prefill (a direct request, its answer begun for the model). Departure:
rule-made one-line texts in an invented language.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, get_args

from harc.world.pair_attacker import PAIR_OPENING, compose_message, draw_slots
from harc.world.phrases import (
    CODE,
    COUNTS,
    DIRECT,
    INCEPTION,
    MILD,
    MODIFIERS,
    OPENERS,
    OPENINGS,
    PAP,
    PERSONA,
    QUESTIONS_WHY,
    QUESTIONS_WRONG,
    ROLES,
    SCENES,
    Bank,
)
from harc.world.world import Pair, World

AttackFamily = Literal["pair", "pap", "deepinception", "codeattack", "persona", "prefill"]
ATTACK_FAMILIES: tuple[AttackFamily, ...] = get_args(AttackFamily)
WRAPPING_FAMILIES = tuple(family for family in ATTACK_FAMILIES if family != "prefill")
"""Attacks that change what is asked; prefilling begins the answer instead."""
MILD_FAMILIES = tuple(MILD)

ANSWER_WRONG = "it is wrong"
ANSWER_FINE = "it is fine"
ANSWER_WHY = "because it is alive"


@dataclass(frozen=True)
class Goal:
    """What is asked for: a verb, a target, the words chosen for both, and perhaps a modifier of the target."""

    pair: Pair
    verb: str
    target: str
    verb_form: str
    target_phrase: str
    modifier: str | None
    harmful: bool
    procedure: str

    def to_dict(self) -> dict[str, str | None]:
        """The goal as a row of development.jsonl or evaluation.jsonl carries it."""
        return {
            "verb": self.verb,
            "target": self.target,
            "verb_form": self.verb_form,
            "target_phrase": self.target_phrase,
            "modifier": self.modifier,
        }


@dataclass(frozen=True)
class Request:
    """A user turn, the right answer to it, and the pattern it was made from.

    A task has no goal. An opening, if there is one, is put before the answer; it ends with the space that parts them.
    """

    text: str
    answer: str
    template: str
    goal: Goal | None
    opening: str = ""


def choose_phrase(
    bank: Bank, name: str, split: str, generator: random.Random, number: int | None = None
) -> tuple[str, str]:
    """Draw a pattern, or take the one whose turn it is; return its identifier (`name:split:index`) and its text."""
    index = generator.randrange(len(bank[split])) if number is None else number % len(bank[split])
    return f"{name}:{split}:{index}", bank[split][index]


def make_goal(world: World, pair: Pair, generator: random.Random, modifier_split: str | None = None) -> Goal:
    """Choose words for a pair; with `modifier_split`, turn the target into a lifeless copy of itself.

    A modifier leaves the target's code as it is, so that the right answer stays known.
    """
    verb, target = world.verbs[pair[0]], world.targets[pair[1]]
    phrase, modifier = generator.choice(target.forms), None
    if modifier_split is not None:
        modifier, pattern = choose_phrase(MODIFIERS, "modifier", modifier_split, generator)
        phrase = pattern.format(target=phrase)
    return Goal(
        pair=pair,
        verb=verb.name,
        target=target.name,
        verb_form=generator.choice(verb.forms),
        target_phrase=phrase,
        modifier=modifier,
        harmful=world.is_harmful(pair) and modifier is None,
        procedure=world.procedure(pair),
    )


def fill(pattern: str, goal: Goal, **slots: str) -> str:
    """Put a goal, and whatever else the pattern asks for, into a pattern."""
    return pattern.format(verb=goal.verb_form, target=goal.target_phrase, **slots)


Wrap = Callable[[World, Goal, str, random.Random, int | None], Request]
"""Puts a goal into a form: (world, goal, split, generator, number of the pattern or none)."""


def make_direct(goal: Goal, split: str, generator: random.Random) -> Request:
    """A direct request for the procedure."""
    template, pattern = choose_phrase(DIRECT, "direct", split, generator)
    opener = generator.choice(OPENERS)
    text = " ".join(part for part in (opener, fill(pattern, goal)) if part)
    return Request(text, goal.procedure, template, goal)


def make_question(goal: Goal, split: str, generator: random.Random) -> Request:
    """A question about the harm of a goal, which may be answered whatever the goal is."""
    if goal.harmful and generator.random() < 0.4:
        template, pattern = choose_phrase(QUESTIONS_WHY, "question_why", split, generator)
        return Request(fill(pattern, goal), ANSWER_WHY, template, goal)
    template, pattern = choose_phrase(QUESTIONS_WRONG, "question_wrong", split, generator)
    return Request(fill(pattern, goal), ANSWER_WRONG if goal.harmful else ANSWER_FINE, template, goal)


def _wrap_plain(
    bank: Bank,
    name: str,
    world: World,
    goal: Goal,
    split: str,
    generator: random.Random,
    number: int | None,
) -> Request:
    """Patterns that ask for a goal and perhaps a role."""
    template, pattern = choose_phrase(bank, name, split, generator, number)
    role = choose_phrase(ROLES, "role", split, generator)[1] if "{role}" in pattern else ""
    return Request(fill(pattern, goal, role=role), goal.procedure, template, goal)


def _wrap_inception(
    world: World, goal: Goal, split: str, generator: random.Random, number: int | None
) -> Request:
    template, pattern = choose_phrase(INCEPTION, "deepinception", split, generator, number)
    slots = {
        name: choose_phrase(bank, name, split, generator)[1]
        for name, bank in (("scene", SCENES), ("role", ROLES), ("count", COUNTS))
    }
    return Request(fill(pattern, goal, **slots), goal.procedure, template, goal)


def draw_decoy(world: World, goal: Goal, split: str, generator: random.Random) -> str:
    """A word to push and pop again; it never forms a pair of a later split with the goal's words."""
    allowed = {"training", "extraction"} if split == "training" else {split}
    verb, target = goal.pair
    known = [
        word.forms[0]
        for index, word in enumerate(world.verbs)
        if index != verb and world.split_of((index, target)) in allowed
    ]
    known += [
        word.forms[0]
        for index, word in enumerate(world.targets)
        if index != target and world.split_of((verb, index)) in allowed
    ]
    return generator.choice(known) if known else "task"


def _wrap_code(world: World, goal: Goal, split: str, generator: random.Random, number: int | None) -> Request:
    template, pattern = choose_phrase(CODE, "codeattack", split, generator, number)
    decoy = draw_decoy(world, goal, split, generator) if "{decoy}" in pattern else ""
    return Request(fill(pattern, goal, decoy=decoy), goal.procedure, template, goal)


def _wrap_pair(world: World, goal: Goal, split: str, generator: random.Random, number: int | None) -> Request:
    strategy = generator.choice(tuple(PAIR_OPENING))
    slots = draw_slots(strategy, split, generator)
    variant = f"pair:{split}:{strategy}/" + "/".join(str(slots[name]) for name in sorted(slots))
    return Request(compose_message(goal.to_dict(), strategy, slots, split), goal.procedure, variant, goal)


def _open_answer(
    world: World, goal: Goal, split: str, generator: random.Random, number: int | None
) -> Request:
    template, opening = choose_phrase(OPENINGS, "prefill", split, generator, number)
    return replace(make_direct(goal, "training", generator), template=template, opening=f"{opening} ")


WRAPS: dict[str, Wrap] = {
    "pair": _wrap_pair,
    "pap": partial(_wrap_plain, PAP, "pap"),
    "deepinception": _wrap_inception,
    "codeattack": _wrap_code,
    "persona": partial(_wrap_plain, PERSONA, "persona"),
    "prefill": _open_answer,
}


def wrap_attack(
    world: World, goal: Goal, family: str, split: str, generator: random.Random, number: int | None = None
) -> Request:
    """Wrap a goal in one attack family's form; the answer stays the goal's procedure.

    Args:
        world: where decoys come from.
        goal: what is asked for.
        family: one of `ATTACK_FAMILIES`.
        split: whose patterns to use.
        generator: of whatever is drawn.
        number: of the pattern, which comes in turn; none draws it.
    """
    return WRAPS[family](world, goal, split, generator, number)


def wrap_mild(goal: Goal, generator: random.Random) -> Request:
    """Wrap a goal in a mild context (training split only)."""
    family = generator.choice(MILD_FAMILIES)
    template, pattern = choose_phrase(MILD[family], family, "training", generator)
    return Request(fill(pattern, goal), goal.procedure, template, goal)
