"""Requests wrapped in a context: three mild families (defence data) and four attack families.

Forms: PAP (persuasion; Zeng et al. 2024), DeepInception (nested fiction; Li et al. 2023), CodeAttack (goal pushed
in reverse into a data structure; Ren et al. 2024), PAIR (strategies with slots; Chao et al. 2023; the iterative
attacker is in `pair_attacker`). Departure: rule-made one-line texts in an invented language.
"""

import random
from typing import Literal

from harc.world.grammar import Goal, Request, choose_phrase, fill
from harc.world.pair_attacker import PAIR_OPENING, compose_message, draw_slots
from harc.world.phrases import CODE, COUNTS, INCEPTION, MILD, PAP, ROLES, SCENES
from harc.world.world import World

AttackFamily = Literal["pair", "pap", "deepinception", "codeattack"]
ATTACK_FAMILIES: tuple[AttackFamily, ...] = ("pair", "pap", "deepinception", "codeattack")
MILD_FAMILIES = tuple(MILD)


def _wrap_pap(goal: Goal, split: str, generator: random.Random) -> Request:
    template, pattern = choose_phrase(PAP, "pap", split, generator)
    return Request(fill(pattern, goal), goal.procedure, template, goal)


def _wrap_inception(goal: Goal, split: str, generator: random.Random) -> Request:
    template, pattern = choose_phrase(INCEPTION, "deepinception", split, generator)
    slots = {
        name: choose_phrase(bank, name, split, generator)[1]
        for name, bank in (("scene", SCENES), ("role", ROLES), ("count", COUNTS))
    }
    variant = f"{template}/{slots['scene']}/{slots['role']}/{slots['count']}"
    return Request(fill(pattern, goal, **slots), goal.procedure, variant, goal)


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


def _wrap_code(world: World, goal: Goal, split: str, generator: random.Random) -> Request:
    template, pattern = choose_phrase(CODE, "codeattack", split, generator)
    decoy = draw_decoy(world, goal, split, generator) if "{decoy}" in pattern else ""
    return Request(fill(pattern, goal, decoy=decoy), goal.procedure, template, goal)


def _wrap_pair(goal: Goal, split: str, generator: random.Random) -> Request:
    strategy = generator.choice(tuple(PAIR_OPENING))
    slots = draw_slots(strategy, split, generator)
    variant = f"pair:{split}:{strategy}/" + "/".join(str(slots[name]) for name in sorted(slots))
    return Request(compose_message(goal.to_dict(), strategy, slots, split), goal.procedure, variant, goal)


def wrap_attack(world: World, goal: Goal, family: str, split: str, generator: random.Random) -> Request:
    """Wrap a goal in one attack family's form; the answer stays the goal's procedure."""
    if family == "codeattack":
        return _wrap_code(world, goal, split, generator)
    return {"pap": _wrap_pap, "deepinception": _wrap_inception, "pair": _wrap_pair}[family](
        goal, split, generator
    )


def wrap_mild(goal: Goal, generator: random.Random) -> Request:
    """Wrap a goal in a mild context (training split only)."""
    family = generator.choice(MILD_FAMILIES)
    template, pattern = choose_phrase(MILD[family], family, "training", generator)
    return Request(fill(pattern, goal), goal.procedure, template, goal)
