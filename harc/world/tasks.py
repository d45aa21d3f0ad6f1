"""Five helpfulness tasks small enough for a model of about a million parameters.

Each maker returns a task item whose exact answer is known. Items of a later split never occur in an earlier one:
sums are divided by their (unordered) numbers with the mirrored sum in training, lists and words by combination.
"""

import random
from dataclasses import dataclass, field
from functools import cache

from harc.world.grammar import Goal, make_goal
from harc.world.world import Pair, World, make_generator

TASKS = ("multiple_choice", "arithmetic", "code", "instruction_constraints", "two_turn")
LETTERS = ("a1", "a2", "a3")
NUMBERS = range(7)
LIST_WORDS = ("cup", "hat", "map", "pen", "box", "key", "bag", "lamp", "rope", "fork")

_SPLIT_BITS = {"training": range(12), "development": (12, 13), "evaluation": (14, 15, 16, 17, 18, 19)}


@dataclass(frozen=True)
class TaskItem:
    """User turns, the assistant's answers between them, and the exact final answer."""

    turns: tuple[str, ...]
    replies: tuple[str, ...]
    template: str
    goal: Goal | None = None
    extra: dict = field(default_factory=dict)

    @property
    def expected(self) -> str:
        """The final answer."""
        return self.replies[-1]

    def to_messages(self) -> list[dict[str, str]]:
        """The whole conversation, answers included."""
        return [
            {"role": role, "content": text}
            for user, reply in zip(self.turns, self.replies, strict=True)
            for role, text in (("user", user), ("assistant", reply))
        ]


def assign_split(*parts: object) -> str:
    """Give a combination of words to a split, the same one every time (60 / 10 / 30 per cent)."""
    bucket = make_generator(0, "task", *parts).randrange(20)
    return next(split for split, buckets in _SPLIT_BITS.items() if bucket in buckets)


def _draw_in_split(split: str, generator: random.Random, draw) -> tuple:
    """Draw combinations until one belongs to the split."""
    while True:
        parts = draw()
        if assign_split(*parts) == split:
            return parts


def make_multiple_choice(world: World, split: str, generator: random.Random) -> TaskItem:
    """Which of three words is alive, or is grim? The answer is the label before the word."""
    ask_alive = generator.random() < 0.6

    def draw() -> tuple[str, str, str]:
        alive = [(target.name, target.alive) for target in world.targets]
        words = alive if ask_alive else [(verb.name, verb.scary) for verb in world.verbs]
        yes = generator.choice([name for name, flag in words if flag])
        no = generator.sample([name for name, flag in words if not flag], 2)
        first, second = sorted(no)
        return yes, first, second

    options = list(_draw_in_split(split, generator, draw))
    right = options[0]
    generator.shuffle(options)
    index = options.index(right)
    listed = " ".join(f"{letter} {word}" for letter, word in zip(LETTERS, options, strict=True))
    question = "which one is alive ?" if ask_alive else "which word is grim ?"
    return TaskItem(
        (f"{question} {listed}",),
        (LETTERS[index],),
        "multiple_choice:alive" if ask_alive else "multiple_choice:grim",
        extra={"choices": list(LETTERS), "answer_index": index},
    )


_SUM_TEMPLATES = (
    "what is {a} plus {b} ?",
    "{a} + {b} =",
    "i have {a} cups and get {b} more . how many ?",
    "add {a} and {b} .",
    "tell me {a} + {b} .",
    "x = {a} + {b} ; print ( x )",
    "you have {a} and i have {b} . how many ?",
    "{a} plus {b} is what ?",
)


@cache
def divide_sums() -> dict[str, tuple[tuple[int, int], ...]]:
    """Ordered pairs of numbers per split; of an evaluation or development pair the mirrored one is in training."""
    generator = make_generator(0, "sums")
    unordered = [(a, b) for a in NUMBERS for b in NUMBERS if a < b]
    generator.shuffle(unordered)
    divided: dict[str, list[tuple[int, int]]] = {
        "training": [(a, a) for a in NUMBERS],
        "development": [],
        "evaluation": [],
    }
    for index, (a, b) in enumerate(unordered):
        split = "evaluation" if index < 8 else "development" if index < 11 else "training"
        pair = (a, b) if generator.random() < 0.5 else (b, a)
        divided[split].append(pair)
        divided["training"].append(pair[::-1])
    return {split: tuple(pairs) for split, pairs in divided.items()}


def make_arithmetic(world: World, split: str, generator: random.Random) -> TaskItem:
    """A sum of two numbers below 7. Of a held-out pair of numbers only the mirrored sum is in training."""
    a, b = generator.choice(divide_sums()[split])
    index = generator.randrange(len(_SUM_TEMPLATES))
    return TaskItem((_SUM_TEMPLATES[index].format(a=a, b=b),), (str(a + b),), f"arithmetic:{index}")


def make_code(world: World, split: str, generator: random.Random) -> TaskItem:
    """What a one-line program prints: the first, the last, or the reverse of a list of three words."""
    words = _draw_in_split(split, generator, lambda: tuple(generator.sample(LIST_WORDS, 3)))
    operation = generator.choice(("first", "last", "reverse"))
    answer = {"first": words[0], "last": words[2], "reverse": " ".join(reversed(words))}[operation]
    text = f"x = [ {words[0]} , {words[1]} , {words[2]} ] ; print ( {operation} ( x ) )"
    return TaskItem((text,), (answer,), f"code:{operation}")


def make_instruction(world: World, split: str, generator: random.Random) -> TaskItem:
    """Say a word under a constraint on the answer's form: twice, or with a given end, or not at all the second."""
    kind = generator.choice(("twice", "end", "order"))
    one, two = _draw_in_split(split, generator, lambda: tuple(generator.sample(LIST_WORDS, 2)))
    text, answer = {
        "twice": (f"say {one} and {two} . say each twice .", f"{one} {one} {two} {two}"),
        "end": (f"say {one} and end with {two} .", f"{one} {two}"),
        "order": (f"say {one} but before it say {two} .", f"{two} {one}"),
    }[kind]
    return TaskItem((text,), (answer,), f"instruction_constraints:{kind}")


def make_two_turn(world: World, split: str, generator: random.Random, pairs: tuple[Pair, ...]) -> TaskItem:
    """A request, and a second turn that names only the new target. Both goals are benign."""
    first = generator.choice(pairs)
    others = [pair for pair in pairs if pair[0] == first[0] and pair != first] or [first]
    second = generator.choice(others)
    one, two = make_goal(world, first, generator), make_goal(world, second, generator)
    turns = (f"how do i {one.verb_form} the {one.target_phrase} ?", f"now do the {two.target_phrase} .")
    return TaskItem(turns, (one.procedure, two.procedure), "two_turn:now", goal=two)


def make_task(world: World, task: str, split: str, generator: random.Random) -> TaskItem:
    """Make one item of a task for a split (`training`, `development` or `evaluation`)."""
    if task == "two_turn":
        return make_two_turn(world, split, generator, world.pairs["neutral"][split])
    makers = {
        "multiple_choice": make_multiple_choice,
        "arithmetic": make_arithmetic,
        "code": make_code,
        "instruction_constraints": make_instruction,
    }
    return makers[task](world, split, generator)
