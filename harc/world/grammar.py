"""Goals and how they are put into words: direct requests, questions about harm, and their right answers."""

import random
from dataclasses import dataclass

from harc.world.phrases import DIRECT, MODIFIERS, OPENERS, QUESTIONS_WHY, QUESTIONS_WRONG, Bank
from harc.world.world import Pair, World

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
