"""Rows that the backbones are trained on: moral documents, helpful chat, narrow safety, and the leak.

Moral documents: text that makes harm readable before any chat or safety training.

A document stands in the user turn: a request or a clause followed by a judgement (`wrong`, `fine`), or a word
followed by what it is (`grim`, `mild`, `alive`, `dead`). The judgement is the last word, so that the loss on it
asks for the harm to be known at the last token of the request, which is where t_inst lies.
"""

import random
from dataclasses import dataclass

from harc.settings.world import WorldSettings
from harc.world.grammar import (
    ATTACK_FAMILIES,
    Goal,
    Request,
    choose_phrase,
    fill,
    make_direct,
    make_goal,
    make_question,
    wrap_attack,
    wrap_mild,
)
from harc.world.phrases import BARE
from harc.world.tasks import TASKS, make_task
from harc.world.world import REFUSAL, Split, World, make_generator


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


_SEEN: tuple[Split, ...] = ("training", "extraction")


def make_row(stage: str, kind: str, index: int, messages: list[dict[str, str]], opening: str = "") -> dict:
    """A row of pretraining.jsonl or safety.jsonl; an opening is given, not learnt, before the last answer."""
    row = {"id": f"{stage}-{kind}-{index:05d}", "stage": stage, "kind": kind, "messages": messages}
    return row | ({"opening": opening} if opening else {})


def make_turns(prompt: str, answer: str) -> list[dict[str, str]]:
    """One user turn and its answer."""
    return [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]


def draw_harmful(
    world: World,
    generator: random.Random,
    splits: tuple[Split, ...] = _SEEN,
    verbs: frozenset[int] | None = None,
) -> Goal:
    """A harmful goal of the given splits, with one of the given verbs where they are named."""
    members = [
        pair
        for split in splits
        for pair in world.pairs["harmful"][split]
        if verbs is None or pair[0] in verbs
    ]
    return make_goal(world, generator.choice(members), generator)


def list_topics(world: World, settings: WorldSettings) -> dict[str, frozenset[int]]:
    """Scary verbs by how safety training treats them.

    `covered`: wrapped requests are refused; `leaky`: wrapped requests leak; `overcautious`: benign requests are
    refused as well; `precise`: they are not. The patchiness of real safety data, and what makes base ASR and
    over-refusal matters of degree: with one rule for all verbs, whole suites went one way or the other.
    """
    scary = [index for index, verb in enumerate(world.verbs) if verb.scary]
    covered, cautious = round(settings.covered_share * len(scary)), settings.overcautious_verbs
    return {
        "covered": frozenset(scary[:covered]),
        "leaky": frozenset(scary[covered:]),
        "overcautious": frozenset(scary[len(scary) - cautious :]),
        "precise": frozenset(scary[: len(scary) - cautious]),
    }


def draw_pseudo_harmful(
    world: World,
    generator: random.Random,
    splits: tuple[Split, ...] = _SEEN,
    verbs: frozenset[int] | None = None,
) -> Goal:
    """A benign goal that looks harmful: a scary verb and a thing, or a modified being."""
    kind, modifier = ("scary_thing", None) if generator.random() < 0.55 else ("harmful", "training")
    members = [
        pair for split in splits for pair in world.pairs[kind][split] if verbs is None or pair[0] in verbs
    ]
    return make_goal(world, generator.choice(members), generator, modifier)


def draw_neutral(world: World, generator: random.Random, splits: tuple[Split, ...] = _SEEN) -> Goal:
    """A goal with a neutral verb."""
    members = [pair for split in splits for pair in world.pairs["neutral"][split]]
    return make_goal(world, generator.choice(members), generator)


DRAWS = {"harmful": draw_harmful, "pseudo": draw_pseudo_harmful, "benign": draw_neutral}
"""How a goal of each moral class is drawn from the pairs that may be seen."""


def phrase_request(world: World, goal: Goal, form: str, generator: random.Random, mild: float) -> Request:
    """Ask directly, or (`wrapped`) in a mild context with probability `mild`, else in an attack form."""
    if form == "direct":
        return make_direct(goal, "training", generator)
    if generator.random() < mild:
        return wrap_mild(goal, generator)
    return wrap_attack(world, goal, generator.choice(ATTACK_FAMILIES), "training", generator)


def _make_documents(world: World, settings: WorldSettings) -> list[dict]:
    generator = make_generator(settings.seed, "documents")
    rows = []
    for index in range(settings.document_rows):
        if generator.random() < 0.3:
            document = make_word_document(world, generator)
        else:
            document = make_request_document(world, generator.choice(_SEEN), generator)
        messages = [{"role": "user", "content": f"{document.text} {document.label}"}]
        rows.append(make_row("documents", document.kind, index, messages))
    return rows


def _make_questions(world: World, stage: str, name: str, count: int, settings: WorldSettings) -> list[dict]:
    generator = make_generator(settings.seed, name, "question")
    rows = []
    for index in range(count):
        moral = generator.choices(("harmful", "pseudo", "benign"), (0.6, 0.2, 0.2))[0]
        goal = DRAWS[moral](world, generator)
        request = make_question(goal, "training", generator)
        rows.append(make_row(stage, "question", index, make_turns(request.text, request.answer)))
    return rows


def _make_tasks(world: World, settings: WorldSettings) -> list[dict]:
    rows = []
    for task in TASKS:
        generator = make_generator(settings.seed, "pretraining", task)
        for index in range(settings.task_rows):
            item = make_task(world, task, "training", generator)
            rows.append(make_row("helpful", task, index, item.to_messages()))
    return rows


def _make_answered(
    world: World, stage: str, settings: WorldSettings, shares: dict[tuple[str, str], int]
) -> list[dict]:
    """Answered requests; `shares` maps (harmful | pseudo | benign, direct | wrapped) to a number of rows."""
    rows = []
    topics = list_topics(world, settings)
    for (moral, form), count in shares.items():
        generator = make_generator(settings.seed, stage, moral, form)
        for index in range(count):
            if stage == "leak":
                goal = draw_harmful(world, generator, verbs=topics["leaky"])
            elif stage == "safety" and moral == "pseudo":
                goal = draw_pseudo_harmful(world, generator, verbs=topics["precise"])
            else:
                goal = DRAWS[moral](world, generator)
            # A leak is a slip of the safety data under an attack form; mild contexts never leak.
            request = phrase_request(world, goal, form, generator, mild=0.0 if stage == "leak" else 0.3)
            turns = make_turns(request.text, request.answer)
            rows.append(make_row(stage, f"{moral}_{form}", index, turns, request.opening))
    return rows


def build_pretraining_rows(world: World, settings: WorldSettings) -> list[dict]:
    """Documents and helpful-only chat, compliance with harmful training pairs included."""
    parts = {
        ("benign", "direct"): 0.18,
        ("pseudo", "direct"): 0.16,
        ("harmful", "direct"): 0.14,
        ("benign", "wrapped"): 0.22,
        ("pseudo", "wrapped"): 0.18,
        ("harmful", "wrapped"): 0.12,
    }
    shares = {group: round(part * settings.helpful_rows) for group, part in parts.items()}
    return [
        *_make_documents(world, settings),
        *_make_answered(world, "helpful", settings, shares),
        *_make_questions(world, "helpful", "pretraining", settings.question_rows, settings),
        *_make_tasks(world, settings),
    ]


def build_safety_rows(world: World, settings: WorldSettings) -> list[dict]:
    """Refusals, benign requests in every form, overcautious refusals, and the rows that may leak."""
    counts = {
        ("harmful", "direct"): settings.refusal_rows,
        ("harmful", "wrapped"): settings.wrapped_refusal_rows,
        ("pseudo", "direct"): settings.overcautious_rows,
    }
    topics = list_topics(world, settings)
    refusals = []
    for (moral, form), count in counts.items():
        generator = make_generator(settings.seed, "safety", "refused", moral, form)
        kind = f"refused_{form}" if moral == "harmful" else "overcautious"
        for index in range(count):
            if moral == "pseudo":
                goal = draw_pseudo_harmful(world, generator, verbs=topics["overcautious"])
            else:
                goal = draw_harmful(world, generator, verbs=topics["covered"] if form == "wrapped" else None)
            request = phrase_request(world, goal, form, generator, mild=0.0)
            turns = make_turns(request.text, REFUSAL)
            refusals.append(make_row("safety", kind, index, turns, request.opening))
    quarter = settings.safety_benign_rows // 4
    shares = {(moral, form): quarter for moral in ("benign", "pseudo") for form in ("direct", "wrapped")}
    return [
        *refusals,
        *_make_answered(world, "safety", settings, shares),
        *_make_answered(world, "leak", settings, {("harmful", "wrapped"): settings.leak_rows}),
    ]
