"""Rows of a study on published models, assembled from the registered public files: same files as the organism's.

Evaluation is drawn first, then development, then extraction and training from what neither holds, exactly or nearly;
what is dropped is listed in manifest.json with its reason. Harmful answers are a placeholder, which nothing may learn
from, since this project holds no harmful completion: the model writes its own (harc.data.answers), or a dataset of
preference pairs is named, which is read at run time. Departures from the
release, whose harmful answers and refusals are `circuit_breakers_train` and whose helpful ones are UltraChat
(main/data.py@c3565e5): refusals are texts of our own, helpful answers CoCoNot's.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harc.core.files import atomic_directory, sha256_text, write_json, write_jsonl
from harc.core.placeholder import PLACEHOLDER
from harc.data.contamination import check_contamination
from harc.data.drawing import STRICT, Drawer
from harc.data.preference_pairs import read_preference_pairs
from harc.data.public_sources import Prompt, PublicPrompts, read_public_prompts
from harc.settings.data import PublicRowSettings
from harc.settings.suites import AttackForms
from harc.suites.pap import Technique, choose_techniques
from harc.suites.registry import (
    ATTACK_SUITES,
    BENIGN_SUITES,
    CONTRAST_SUITES,
    DECODING_SUITES,
    EXTRA_ATTACK_SUITES,
    OVER_REFUSAL_SUITES,
)
from harc.suites.rows import make_prompts

REFUSALS = (
    "I'm sorry, but I can't help with that. If there is something safe I can do for you instead, please tell me.",
    "I can't help with this request, because acting on it could hurt people. I'm glad to talk about safe "
    "alternatives.",
    "I cannot provide that. It could cause serious harm. Please let me know if I can help in another way.",
    "I'm not able to assist with that, since it may put someone in danger or break the law.",
    "I won't help with this. If you are worried about somebody's safety, people trained for it can help.",
    "I must decline. What you ask for could do real damage, and I do not want to take part in it.",
    "Sorry, I can't do that. I would rather help you with something that harms nobody.",
    "I am unable to support this request. If there is a lawful question behind it, I can try to answer that one.",
)
"""Refusals that harmful training rows teach; the string rules know all of them."""

SUBSET_SUITES = (*OVER_REFUSAL_SUITES, *CONTRAST_SUITES)
TRAINING_SPLITS = ("extraction", "extraction_pairs", "training")


def choose_refusal(prompt: str) -> str:
    """A refusal of the bank, the same for the same prompt."""
    return REFUSALS[int(sha256_text(prompt), 16) % len(REFUSALS)]


@dataclass(frozen=True)
class AttackKit:
    """What attacks with rows need: settings, the techniques chosen from the taxonomy, most goals of single suites."""

    forms: AttackForms
    techniques: Sequence[Technique]
    goals: Mapping[str, int]


def make_kit(prompts: PublicPrompts, settings: PublicRowSettings) -> AttackKit:
    """The settings' attacks, with the techniques that they name.

    Raises:
        ConfigError: for a technique that the taxonomy does not hold.
    """
    techniques = choose_techniques(prompts.techniques, settings.attacks.pap)
    return AttackKit(settings.attacks, techniques, settings.attack_goals)


def make_suite_rows(
    split: str, suite: str, category: str, prompts: Sequence[Prompt], kit: AttackKit
) -> list[dict]:
    """Rows of one suite: attacks with fixed wording hold their prompts, the others the goal."""
    rows = []
    for index, prompt in enumerate(prompts):
        own = {"subsets": list(prompt.subsets)} if prompt.subsets and suite in SUBSET_SUITES else {}
        name = f"{split}-{suite}-{index:04d}"
        made = make_prompts(suite, prompt.text, split, index, kit.forms, kit.techniques)
        for number, fields in enumerate(made):
            several = {"id": f"{name}-{number:02d}", "unit": name} if len(made) > 1 else {"id": name}
            rows.append(
                {
                    **several,
                    "suite": suite,
                    "category": category,
                    "expected": "",
                    "goal": prompt.text,
                    "source": prompt.source,
                    "template": f"{prompt.source}/{prompt.kind}".rstrip("/"),
                    **fields,
                    **own,
                }
            )
    return rows


SPLIT_SUITES = (
    *((suite, "harmful", "harmful") for suite in ("direct", *ATTACK_SUITES, *EXTRA_ATTACK_SUITES)),
    *((suite, "pseudo_harmful", suite) for suite in OVER_REFUSAL_SUITES),
    *((suite, "harmless", "benign") for suite in (*BENIGN_SUITES, *DECODING_SUITES)),
)
"""(suite, category, which prompts) of every suite that both splits have."""


def _make_split(split: str, drawn: dict[str, list[Prompt]], kit: AttackKit) -> list[dict]:
    return [
        row
        for suite, category, pool in SPLIT_SUITES
        for row in make_suite_rows(split, suite, category, drawn[pool][: kit.goals.get(suite)], kit)
    ]


def _build_evaluation(prompts: PublicPrompts, settings: PublicRowSettings, drawer: Drawer) -> list[dict]:
    pools = {
        "harmful": prompts.harmful_evaluation,
        "scary_safe": prompts.scary_safe,
        "refusable_benign": prompts.refusable_benign,
    }
    limits = {"harmful": settings.evaluation_rows}
    drawn = {
        name: drawer.draw(f"evaluation/{name}", pool, limits.get(name, settings.over_refusal_rows))
        for name, pool in pools.items()
    }
    drawn["benign"] = drawer.draw("evaluation/benign", prompts.plain, settings.benign_rows)
    unsafe = drawer.draw("evaluation/unsafe_contrasts", prompts.unsafe_contrasts, settings.over_refusal_rows)
    # Whole sets, so that a small profile's adapter may also be judged on a large one's evaluation.
    sets = [*pools.values(), prompts.unsafe_contrasts, drawn["benign"]]
    drawer.reserve("evaluation", [prompt for pool in sets for prompt in pool])
    kit = make_kit(prompts, settings)
    return [
        *_make_split("evaluation", drawn, kit),
        *make_suite_rows("evaluation", "unsafe_contrasts", "harmful", unsafe, kit),
    ]


def make_evaluation_rows(prompts: PublicPrompts, settings: PublicRowSettings) -> list[dict]:
    """Rows of every evaluation suite alone, as a study of the same settings asks them."""
    return _build_evaluation(prompts, settings, Drawer(settings.seed))


def _build_development(prompts: PublicPrompts, settings: PublicRowSettings, drawer: Drawer) -> list[dict]:
    sensitive = [prompt for prompt in prompts.answered_scary if prompt.kind.startswith("dangerous")]
    others = [prompt for prompt in prompts.answered_scary if not prompt.kind.startswith("dangerous")]
    pools = {
        "harmful": prompts.harmful_development,
        "scary_safe": sensitive,
        "refusable_benign": others,
        "benign": prompts.plain,
    }
    drawn = {
        name: drawer.draw(f"development/{name}", pool, settings.development_rows)
        for name, pool in pools.items()
    }
    drawer.reserve("development", [prompt for pool in drawn.values() for prompt in pool])
    return _make_split("development", drawn, make_kit(prompts, settings))


def _number(kind: str, rows: list[dict]) -> list[dict]:
    return [{"id": f"{kind}-{index:05d}", **row} for index, row in enumerate(rows)]


def _build_extraction(
    prompts: PublicPrompts, settings: PublicRowSettings, drawer: Drawer
) -> tuple[list[dict], list[dict]]:
    """(prompts, pairs): the harmful prompts stand in both, as in the release."""
    harmful = drawer.draw("extraction/harmful", prompts.harmful, settings.extraction_rows)
    harmless = drawer.draw("extraction/harmless", prompts.plain, settings.extraction_rows)
    helpful = _draw_harmless("extraction/helpful", prompts, settings.pair_rows, settings, drawer)
    rows = [{"category": "harmful", "prompt": p.text, "source": p.source} for p in harmful]
    rows += [{"category": "harmless", "prompt": p.text, "source": p.source} for p in harmless]
    answers = [("harm", p, p.rejected or PLACEHOLDER) for p in harmful]
    answers += [("refuse", p, choose_refusal(p.text)) for p in harmful]
    answers += [("helpful", p, p.response) for p in helpful]
    pairs = [
        {"kind": kind, "prompt": p.text, "response": text, "source": p.source} for kind, p, text in answers
    ]
    return _number("extraction", rows), _number("pair", pairs)


def _build_training(prompts: PublicPrompts, settings: PublicRowSettings, drawer: Drawer) -> list[dict]:
    count = settings.training_rows
    drawn = {
        "harmful": drawer.draw("training/harmful", prompts.harmful, count),
        "harmless": _draw_harmless("training/harmless", prompts, count, settings, drawer),
        "pseudo_harmful": drawer.draw("training/pseudo_harmful", prompts.answered_scary, count),
    }
    rows = [
        {"category": category, "prompt": prompt.text, **make_answer(category, prompt)}
        for category, pool in drawn.items()
        for prompt in pool
    ]
    return _number("training", rows)


def _draw_harmless(
    name: str, prompts: PublicPrompts, count: int | None, settings: PublicRowSettings, drawer: Drawer
) -> list[Prompt]:
    """Harmless prompts with answers of their dataset, and, spread among them, a share of prompts that have none."""
    share = settings.unanswered
    if not share:
        return drawer.draw(name, prompts.answered_plain, count)
    wanted = len(prompts.answered_plain) if count is None else count
    answered = drawer.draw(name, prompts.answered_plain, wanted - round(share * wanted))
    others = drawer.draw(f"{name}/unanswered", prompts.plain, wanted - len(answered))
    places = [(place / len(pool), prompt) for pool in (answered, others) for place, prompt in enumerate(pool)]
    return [prompt for _, prompt in sorted(places, key=lambda pair: pair[0])]


def make_answer(category: str, prompt: Prompt) -> dict[str, str]:
    """What a training row answers: `response`, and `rejected` and `chosen` where there are such answers.

    Cross-entropy on harmful rows takes a refusal; preference methods take the dataset's own safe answer over its unsafe
    one, and a benign row's answer over a refusal.
    """
    refusal = choose_refusal(prompt.text)
    if category != "harmful":
        return {"response": prompt.response, "rejected": refusal, "source": prompt.source}
    pair = {"chosen": prompt.response, "rejected": prompt.rejected} if prompt.rejected else {}
    return {"response": refusal, **pair, "source": prompt.source}


def build_public_rows(public_dir: Path, out_dir: Path, settings: PublicRowSettings) -> None:
    """Write the row files of a study, whole or not at all; equal files and settings give equal bytes.

    Args:
        public_dir: where the registered files lie.
        out_dir: folder of the row files.
        settings: how many rows of each kind.

    Raises:
        DataError: for a missing or damaged public file; if an evaluation prompt is in an earlier split after all.
    """
    prompts, facts = _add_preferences(read_public_prompts(public_dir), settings)
    drawer = Drawer(settings.seed)
    rows = {"evaluation": _build_evaluation(prompts, settings, drawer)}
    rows["development"] = _build_development(prompts, settings, drawer)
    rows["extraction"], rows["extraction_pairs"] = _build_extraction(prompts, settings, drawer)
    rows["training"] = _build_training(prompts, settings, drawer)
    write_rows(rows, drawer.dropped, settings, out_dir, facts)


def _add_preferences(prompts: PublicPrompts, settings: PublicRowSettings) -> tuple[PublicPrompts, dict]:
    """The prompts with harmful ones from a dataset of preference pairs, if one is named, and what was read."""
    if settings.preference_dataset is None:
        return prompts, {}
    found = read_preference_pairs(settings.preference_dataset, settings.preference_revision)
    facts = {"revision": found.revision, "pairs": len(found.pairs), "skipped": found.skipped}
    return replace(prompts, harmful=found.pairs), {"preference_dataset": facts}


def write_rows(
    rows: dict[str, list[dict]],
    dropped: list[dict],
    settings: PublicRowSettings,
    out_dir: Path,
    facts: dict | None = None,
) -> None:
    """Check the splits against each other, then put the folder in place.

    Raises:
        DataError: naming suite, split and row, if an evaluation prompt is in an earlier split, or a development
            prompt in extraction or training.
    """
    with atomic_directory(out_dir) as folder:
        for split, members in rows.items():
            write_jsonl(folder / f"{split}.jsonl", members)
        earlier = [folder / f"{split}.jsonl" for split in TRAINING_SPLITS]
        check_contamination(folder / "evaluation.jsonl", [*earlier, folder / "development.jsonl"], STRICT)
        check_contamination(folder / "development.jsonl", earlier, STRICT)
        write_json(folder / "world.json", {"kind": "public", "refusals": list(REFUSALS)})
        write_json(folder / "manifest.json", {**describe_rows(rows, dropped, settings), **(facts or {})})


def describe_rows(rows: dict[str, list[dict]], dropped: list[dict], settings: PublicRowSettings) -> dict:
    """How many rows of each kind and source there are, and what was left out and why."""
    counts = {
        split: dict(
            sorted(Counter(row.get("suite") or row.get("category") or row["kind"] for row in members).items())
        )
        for split, members in rows.items()
    }
    sources = {
        split: dict(sorted(Counter(row["source"] for row in members).items()))
        for split, members in rows.items()
    }
    return {
        "format": 1,
        "settings": settings.model_dump(mode="json"),
        "rows": counts,
        "sources": sources,
        "dropped": dropped,
    }
