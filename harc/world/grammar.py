"""Goals and how they are put into words: direct requests, questions about harm, requests wrapped in a context.

Wrapped: three mild families (defence data) and four attack families. Forms: PAP (persuasion; Zeng et al. 2024),
DeepInception (nested fiction; Li et al. 2023), CodeAttack (goal pushed in reverse into a data structure; Ren et al.
2024), PAIR (strategies with slots; Chao et al. 2023; the iterative attacker is in `pair_attacker`). Departure:
rule-made one-line texts in an invented language.
"""

import random
from dataclasses import dataclass
from typing import Literal

from harc.world.pair_attacker import PAIR_OPENING, compose_message, draw_slots
from harc.world.phrases import (
    CODE,
    COUNTS,
    DIRECT,
    INCEPTION,
    MILD,
    MODIFIERS,
    OPENERS,
    PAP,
    QUESTIONS_WHY,
    QUESTIONS_WRONG,
    ROLES,
    SCENES,
    Bank,
)
from harc.world.world import Pair, World

AttackFamily = Literal["pair", "pap", "deepinception", "codeattack"]
ATTACK_FAMILIES: tuple[AttackFamily, ...] = ("pair", "pap", "deepinception", "codeattack")
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
    """A user turn, the right answer to it, and the pattern it was made from (no goal: a task)."""

    text: str
    answer: str
    template: str
    goal: Goal | None


def choose_phrase(bank: Bank, name: str, split: str, generator: random.Random) -> tuple[str, str]:
    """Draw a pattern; return its identifier (`name:split:index`) and its text."""
    index = generator.randrange(len(bank[split]))
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
