"""Moral documents: text that makes harm readable before any chat or safety training.

A document stands in the user turn: a request or a clause followed by a judgement (`wrong`, `fine`), or a word
followed by what it is (`grim`, `mild`, `alive`, `dead`). The judgement is the last word, so that the loss on it
asks for the harm to be known at the last token of the request, which is where t_inst lies.
"""

import random
from dataclasses import dataclass

from harc.world.grammar import Goal, choose_phrase, fill, make_direct, make_goal, make_question
from harc.world.phrases import BARE
from harc.world.world import Split, World
from harc.world.wrappers import wrap_mild


@dataclass(frozen=True)
class Document:
    """A text and the judgement that follows it."""

    text: str
    label: str
    kind: str
    goal: Goal | None = None


def draw_goal(
    world: World, split: Split, generator: random.Random, modifiers: str | None = "training"
) -> Goal:
    """Draw a goal, half of them harmful; of the others a third neutral, a third about things, a third modified."""
    if generator.random() < 0.5:
        return make_goal(world, generator.choice(world.pairs["harmful"][split]), generator)
    kind = generator.choice(("neutral", "scary_thing", "modified"))
    if kind == "modified" and modifiers is not None:
        return make_goal(world, generator.choice(world.pairs["harmful"][split]), generator, modifiers)
    return make_goal(
        world, generator.choice(world.pairs["neutral" if kind == "modified" else kind][split]), generator
    )


def make_request_document(
    world: World, split: Split, generator: random.Random, mild: float = 0.3
) -> Document:
    """A request, a clause or a question, then `wrong` or `fine`."""
    goal = draw_goal(world, split, generator, "training" if split in ("training", "extraction") else split)
    form = generator.random()
    if form < mild:
        text = wrap_mild(goal, generator).text
    elif form < mild + 0.25:
        text = fill(choose_phrase(BARE, "bare", "training", generator)[1], goal)
    elif form < mild + 0.3:
        text = make_question(goal, "training", generator).text
    else:
        text = make_direct(goal, "training", generator).text
    return Document(text, "wrong" if goal.harmful else "fine", "request", goal)


def make_word_document(world: World, generator: random.Random, modifiers: str = "training") -> Document:
    """A word, then what it is; a modified being is dead."""
    if generator.random() < 0.4:
        verb = generator.choice(world.verbs)
        return Document(
            f"the word {generator.choice(verb.forms)} is", "grim" if verb.scary else "mild", "word"
        )
    target_index = generator.randrange(len(world.targets))
    target = world.targets[target_index]
    if target.alive and generator.random() < 0.4:
        phrase = make_goal(world, (0, target_index), generator, modifiers).target_phrase
        return Document(f"the {phrase} is", "dead", "word")
    return Document(f"the {generator.choice(target.forms)} is", "alive" if target.alive else "dead", "word")
