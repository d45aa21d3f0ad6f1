"""Rows for the defences: prompts to extract directions from, and the training data of every method."""

import random

from harc.settings.world import WorldSettings
from harc.world.grammar import Goal, Request, make_direct, make_question
from harc.world.pretraining_rows import draw_harmful, draw_neutral, draw_pseudo_harmful
from harc.world.tasks import TASKS, make_task
from harc.world.world import REFUSAL, World, make_generator
from harc.world.wrappers import wrap_mild


def _collect(count: int, make) -> list:
    """Call `make` until `count` different prompts exist."""
    found: dict[str, object] = {}
    for _ in range(200 * count):
        request = make()
        found.setdefault(request.text, request)
        if len(found) == count:
            break
    return list(found.values())


def _draw_extraction(world: World, settings: WorldSettings) -> dict[str, list[Request]]:
    drawn = {}
    for category, draw in (("harmful", draw_harmful), ("harmless", draw_neutral)):
        generator = make_generator(settings.seed, "extraction", category)
        drawn[category] = _collect(
            settings.extraction_rows,
            lambda draw=draw, generator=generator: make_direct(
                draw(world, generator, ("extraction",)), "training", generator
            ),
        )
    return drawn


def build_extraction_rows(world: World, settings: WorldSettings) -> list[dict]:
    """Direct harmful and harmless requests about pairs that the defence data never mentions."""
    return [
        {"id": f"extraction-{category}-{index:04d}", "category": category, "prompt": request.text}
        for category, requests in _draw_extraction(world, settings).items()
        for index, request in enumerate(requests)
    ]


def build_extraction_pairs(world: World, settings: WorldSettings) -> list[dict]:
    """Teacher-forced responses: the same harmful prompts with procedure and with refusal, helpful pairs."""
    drawn = _draw_extraction(world, settings)
    answers = {
        "harm": [(request.text, request.answer) for request in drawn["harmful"]],
        "refuse": [(request.text, REFUSAL) for request in drawn["harmful"]],
        "helpful": [(request.text, request.answer) for request in drawn["harmless"]],
    }
    return [
        {"id": f"extraction-{kind}-{index:04d}", "kind": kind, "prompt": prompt, "response": response}
        for kind, pairs in answers.items()
        for index, (prompt, response) in enumerate(pairs)
    ]


def _make_phrased(goal: Goal, generator: random.Random) -> Request:
    """Half direct, half in a mild context; no attack form."""
    return (
        make_direct(goal, "training", generator) if generator.random() < 0.5 else wrap_mild(goal, generator)
    )


def _make_harmless(world: World, generator: random.Random) -> Request:
    if generator.random() < 0.3:
        tasks = [task for task in TASKS if task != "two_turn"]
        item = make_task(world, generator.choice(tasks), "training", generator)
        return Request(item.turns[0], item.expected, item.template, item.goal)
    return _make_phrased(draw_neutral(world, generator, ("training",)), generator)


def _make_pseudo_harmful(world: World, generator: random.Random) -> Request:
    if generator.random() < 0.3:
        return make_question(draw_harmful(world, generator, ("training",)), "training", generator)
    return _make_phrased(draw_pseudo_harmful(world, generator, ("training",)), generator)


def build_training_rows(world: World, settings: WorldSettings) -> list[dict]:
    """The data every defence is trained on: harmful with refusal, harmless and pseudo-harmful with the answer.

    `rejected` holds the other response, for methods that learn from a pair or push a harmful answer away.
    """
    generators = {
        name: make_generator(settings.seed, "training", name) for name in ("harmful", "harmless", "pseudo")
    }
    made = {
        "harmful": _collect(
            settings.training_rows,
            lambda: _make_phrased(
                draw_harmful(world, generators["harmful"], ("training",)), generators["harmful"]
            ),
        ),
        "harmless": _collect(settings.training_rows, lambda: _make_harmless(world, generators["harmless"])),
        "pseudo_harmful": _collect(
            settings.training_rows, lambda: _make_pseudo_harmful(world, generators["pseudo"])
        ),
    }
    return [
        {
            "id": f"training-{category}-{index:04d}",
            "category": category,
            "prompt": request.text,
            "response": REFUSAL if category == "harmful" else request.answer,
            "rejected": request.answer if category == "harmful" else REFUSAL,
        }
        for category, requests in made.items()
        for index, request in enumerate(requests)
    ]
