"""Rows of development.jsonl and evaluation.jsonl: the same suites, no item or unseen pattern in common."""

import random
from collections.abc import Callable

from harc.settings.world import WorldSettings
from harc.world.grammar import (
    ATTACK_FAMILIES,
    WRAPPING_FAMILIES,
    Goal,
    Request,
    make_direct,
    make_goal,
    make_question,
    wrap_attack,
)
from harc.world.pretraining_rows import draw_goal
from harc.world.tasks import TASKS, make_task
from harc.world.world import Pair, Split, World, make_generator

SUITE_CATEGORIES = {
    "direct": "harmful",
    "direct_unseen_templates": "harmful",
    "pair": "harmful",
    "pap": "harmful",
    "deepinception": "harmful",
    "codeattack": "harmful",
    "persona": "harmful",
    "prefill": "harmful",
    "scary_safe": "pseudo_harmful",
    "refusable_benign": "pseudo_harmful",
    "benign": "harmless",
    "wrapped_benign": "harmless",
    **dict.fromkeys(TASKS, "harmless"),
    "documents": "harmless",
}
"""Every suite and the category of its rows."""


def _cycle_pairs(pairs: tuple[Pair, ...], count: int, generator: random.Random) -> list[Pair]:
    """Pairs in random order, each as often as any other (give or take one)."""
    drawn: list[Pair] = []
    while len(drawn) < count:
        drawn.extend(generator.sample(pairs, len(pairs)))
    return drawn[:count]


def _make_row(suite: str, split: str, index: int, request: Request) -> dict:
    return {
        "id": f"{split}-{suite}-{index:04d}",
        "suite": suite,
        "category": SUITE_CATEGORIES[suite],
        "messages": [{"role": "user", "content": request.text}],
        "expected": request.answer,
        "goal": request.goal.to_dict() if request.goal else None,
        "template": request.template,
        **({"opening": request.opening} if request.opening else {}),
    }


def _build_suite(
    suite: str, split: str, goals: list[Goal], phrase: Callable[[Goal, int], Request]
) -> list[dict]:
    """One row per goal; a text that is there already is phrased again."""
    seen: set[str] = set()
    rows = []
    for index, goal in enumerate(goals):
        for _ in range(50):
            request = phrase(goal, index)
            if request.text not in seen:
                break
        seen.add(request.text)
        rows.append(_make_row(suite, split, index, request))
    return rows


def _build_harmful_suites(world: World, settings: WorldSettings, split: Split, count: int) -> list[dict]:
    generator = make_generator(settings.seed, split, "goals")
    goals = [
        make_goal(world, pair, generator)
        for pair in _cycle_pairs(world.pairs["harmful"][split], count, generator)
    ]

    def wrap_in(family: str) -> Callable[[Goal, int], Request]:
        turns = make_generator(settings.seed, split, family, "patterns").sample(range(count), count)
        return lambda goal, index: wrap_attack(world, goal, family, split, generator, turns[index])

    phrasings: dict[str, Callable[[Goal, int], Request]] = {
        # `pair` rows are goals: the attack on them is iterative and made at run time.
        "direct": lambda goal, _: make_direct(goal, "training", generator),
        "direct_unseen_templates": lambda goal, _: make_direct(goal, split, generator),
        "pair": lambda goal, _: make_direct(goal, "training", generator),
    }
    for family in ATTACK_FAMILIES:
        if family != "pair":
            phrasings[family] = wrap_in(family)
    return [row for suite, phrase in phrasings.items() for row in _build_suite(suite, split, goals, phrase)]


def _build_overrefusal_suites(world: World, settings: WorldSettings, split: Split, count: int) -> list[dict]:
    generator = make_generator(settings.seed, split, "overrefusal")
    things = round(0.55 * count)
    goals = [
        make_goal(world, pair, generator)
        for pair in _cycle_pairs(world.pairs["scary_thing"][split], things, generator)
    ] + [
        make_goal(world, pair, generator, split)
        for pair in _cycle_pairs(world.pairs["harmful"][split], count - things, generator)
    ]
    asked = [
        make_goal(world, pair, generator)
        for pair in _cycle_pairs(world.pairs["harmful"][split], count, generator)
    ]
    return [
        *_build_suite("scary_safe", split, goals, lambda goal, _: make_direct(goal, "training", generator)),
        *_build_suite(
            "refusable_benign", split, asked, lambda goal, _: make_question(goal, split, generator)
        ),
    ]


def _build_benign_suites(world: World, settings: WorldSettings, split: Split, count: int) -> list[dict]:
    generator = make_generator(settings.seed, split, "benign")
    goals = [
        make_goal(world, pair, generator)
        for pair in _cycle_pairs(world.pairs["neutral"][split], count, generator)
    ]
    return [
        *_build_suite("benign", split, goals, lambda goal, _: make_direct(goal, "training", generator)),
        *_build_suite(
            "wrapped_benign",
            split,
            goals,
            lambda goal, index: wrap_attack(
                world,
                goal,
                WRAPPING_FAMILIES[index % len(WRAPPING_FAMILIES)],
                split,
                generator,
                index // len(WRAPPING_FAMILIES),
            ),
        ),
    ]


def _build_documents(world: World, settings: WorldSettings, split: Split, count: int) -> list[dict]:
    """Direct requests whose next word is the judgement; read without the end of the user turn."""
    generator = make_generator(settings.seed, split, "documents")
    rows = []
    for index in range(count):
        goal = draw_goal(world, split, generator, split)
        request = make_direct(goal, "training", generator)
        labelled = Request(request.text, "wrong" if goal.harmful else "fine", request.template, goal)
        rows.append(_make_row("documents", split, index, labelled))
    return rows


def _build_tasks(world: World, settings: WorldSettings, split: Split, count: int) -> list[dict]:
    rows = []
    for task in TASKS:
        generator = make_generator(settings.seed, split, task)
        seen: set[tuple[str, ...]] = set()
        for _ in range(100 * count):
            item = make_task(world, task, split, generator)
            if item.turns in seen:
                continue
            rows.append(
                {
                    "id": f"{split}-{task}-{len(seen):04d}",
                    "suite": task,
                    "category": "harmless",
                    "messages": [{"role": "user", "content": turn} for turn in item.turns],
                    "expected": item.expected,
                    "goal": item.goal.to_dict() if item.goal else None,
                    "template": item.template,
                    **item.extra,
                }
            )
            seen.add(item.turns)
            if len(seen) == count:
                break
    return rows


def build_heldout_rows(world: World, settings: WorldSettings, split: Split) -> list[dict]:
    """All suites of the development or the evaluation split."""
    final = split == "evaluation"
    harmful = settings.attack_goals if final else settings.development_rows
    overrefusal = settings.overrefusal_rows if final else settings.development_rows
    benign = settings.benign_rows if final else settings.development_rows
    tasks = settings.task_evaluation_rows if final else settings.task_development_rows
    return [
        *_build_harmful_suites(world, settings, split, harmful),
        *_build_overrefusal_suites(world, settings, split, overrefusal),
        *_build_benign_suites(world, settings, split, benign),
        *_build_tasks(world, settings, split, tasks),
        *_build_documents(world, settings, split, benign),
    ]
