"""Work of the steps that learn from rows: own answers, directions, adapters, steering, warm starts, fine-tuning."""

from collections.abc import Mapping
from math import ceil
from typing import Any

from harc.core.artifacts import BASE
from harc.methods.cast import SteeringSettings
from harc.rehearsal.measured import (
    ASKED_TOKENS,
    FRAMED,
    GIVEN,
    OWN,
    POOLS,
    PREFERENCES,
    PREFILLED_SHARE,
    PROMPT,
    REFUSED_SHARE,
    SUITES,
    Answers,
)
from harc.rehearsal.work import Subject, Work
from harc.settings.backbones import WarmStartSettings
from harc.settings.profile import Profile
from harc.settings.training import METHODS, MethodSettings
from harc.steps.job import Job
from harc.training.objective import count_blocks, needs_directions

BENIGN = ("harmless", "pseudo_harmful")
READING = ("truncation", "helpful_baseline", "position_template", "null")
"""What a method may change of how directions are read, so that it reads the base's anew."""


def choose_answers(profile: Profile) -> Answers:
    """Lengths of the answers that a profile's methods learn from."""
    return OWN if profile.data.answers == "own" else GIVEN


def count_training_rows(profile: Profile) -> dict[str, int]:
    """Training rows by category."""
    rows = profile.data.rows
    left = {**POOLS, "harmful": POOLS["harmful"] - rows.extraction_rows}
    if rows.preference_dataset is not None:
        left["harmful"] = PREFERENCES
    return {
        name: pool if rows.training_rows is None else min(pool, rows.training_rows)
        for name, pool in left.items()
    }


def measure_rows(settings: MethodSettings, answers: Mapping[str, float]) -> dict[str, tuple[float, float]]:
    """(tokens of prompt and answer, tokens of the answer) of a row, by category, within the method's limits."""
    prompt = min(PROMPT, settings.max_prompt_tokens)
    held = {name: min(tokens, settings.max_response_tokens) + 1 for name, tokens in answers.items()}
    return {name: (prompt + answer, answer) for name, answer in held.items()}


def read_directions(subject: Subject, profile: Profile) -> list[Work]:
    """One extraction: every prompt once, and each answer's window."""
    rows, settings = profile.data.rows, profile.directions
    answers = choose_answers(profile)
    most = min(settings.max_response_tokens, settings.response_window)
    harm, refuse, helpful = (
        min(tokens, most)
        for tokens in (
            answers.rejected["harmful"],
            answers.wanted["harmful"],
            answers.wanted["harmless"],
        )
    )
    prompt = min(PROMPT, settings.max_prompt_tokens)
    tokens = rows.extraction_rows * (2 * prompt + harm + refuse) + rows.pair_rows * (prompt + helpful)
    passes = ceil(tokens / settings.tokens_per_forward)
    return [subject.read(tokens, passes=passes, length=prompt + most)]


def count_micro_batches(settings: MethodSettings) -> int:
    """Micro-batches of a run; a released step is one."""
    return settings.steps * (1 if settings.step_unit == "micro_batch" else settings.batch.accumulation)


def train_method(subject: Subject, settings: MethodSettings, answers: Answers) -> list[Work]:
    """Forward and backward passes of a run, with what its objective reads of the model without the adapter."""
    wanted, rejected = (measure_rows(settings, side) for side in (answers.wanted, answers.rejected))
    counts = settings.batch.counts
    tokens = {name: counts[name] * wanted[name][0] for name in counts}
    kept = {name: counts[name] * wanted[name][1] for name in counts}
    unsafe = counts["harmful"] * rejected["harmful"][0]
    whole, benign = sum(tokens.values()), sum(tokens[name] for name in BENIGN)
    benign_kept, weights = sum(kept[name] for name in BENIGN), settings.loss
    depth = (count_blocks(settings, subject.model.layers) or subject.model.layers) / subject.model.layers
    again = 2 * whole if settings.gradient_checkpointing else 0  # blocks that are run once more
    token_terms = (
        4 * whole + (2 * benign if weights.kl else 0) + again,
        (6 * benign_kept if weights.kl else 0)
        + (4 * kept["harmful"] if weights.ce else 0)
        + (4 * benign_kept if weights.benign_ce else 0),
    )
    pairs = whole + sum(counts[name] * rejected[name][0] for name in counts)
    pairs_kept = sum(kept.values()) + sum(counts[name] * rejected[name][1] for name in counts)
    parts: list[tuple[float, float, float, float]]  # body, head, tokens of its passes, depth
    if settings.objective == "dpo":
        parts = [(6 * pairs, 6 * pairs_kept, pairs, 1.0)]
    elif settings.objective == "joint":
        parts = [(*token_terms, whole, 1.0), (6 * pairs, 6 * pairs_kept, pairs, 1.0)]
    elif settings.objective == "cb":
        parts = [(6 * unsafe, 0, unsafe, depth), (6 * whole, 0, whole, depth)]
    elif settings.objective == "repbend":
        parts = [
            (6 * whole + 2 * benign, 6 * benign_kept, whole, 1.0),
            (6 * unsafe, 0, unsafe, depth),
        ]
    else:
        parts = [(*token_terms, whole, 1.0)]
    runs, most = count_micro_batches(settings), settings.pass_tokens
    split = settings.objective not in ("dpo", "joint") and most is not None
    return [
        subject.train(
            runs * body,
            runs * head,
            passes=runs * (ceil(read / most) if split and most else 1) * (4 / 3 if again else 1),
            depth=share,
        )
        for body, head, read, share in parts
    ]


def count_refreshes(settings: MethodSettings) -> int:
    """How often a run reads its directions anew; before its first step too where it reads them in a way of its own."""
    if not needs_directions(settings):
        return 0
    changed = any(getattr(settings.directions, name) is not None for name in READING)
    due = (settings.steps - 1) // settings.refresh_every if settings.refresh_every else 0
    return due + (changed or settings.start_from is not None)


def count_train_adapter(job: Job, subject: Subject) -> list[Work]:
    """The run, its refreshes, and the directions under the trained model."""
    settings = job.profile.choose_training(job.backbone, job.method)
    extraction = read_directions(subject, job.profile)
    runs = train_method(subject, settings, choose_answers(job.profile))
    return [subject.load(2), *runs, *extraction * (1 + count_refreshes(settings))]


def count_fit_steering(job: Job, subject: Subject) -> list[Work]:
    """The condition from every prompt, the behaviour from benign answers and refusals; then directions."""
    settings = job.profile.choose_training(job.backbone, job.method)
    answers, rows = choose_answers(job.profile), count_training_rows(job.profile)
    wanted, rejected = (measure_rows(settings, side) for side in (answers.wanted, answers.rejected))
    steering = SteeringSettings.of(settings)
    conditions = sum(rows.values()) * min(PROMPT, settings.max_prompt_tokens)
    pairs = sum(rows[name] * (wanted[name][0] + rejected[name][0]) for name in BENIGN)
    tokens = conditions * max(steering.condition_depths) + pairs * max(steering.behaviour_depths)
    read = subject.read(tokens, passes=ceil(tokens / settings.tokens_per_forward), length=PROMPT)
    return [subject.load(2), read, *read_directions(subject, job.profile)]


def count_extract_directions(job: Job, subject: Subject) -> list[Work]:
    """One extraction of the untouched model."""
    return [subject.load(), *read_directions(subject, job.profile)]


def ask_own(subject: Subject, profile: Profile, rows: float, prompt: float) -> list[Work]:
    """Greedy answers of a model that learns from its own."""
    own = profile.data.own
    read = rows * prompt * (SUITES["direct"].read if subject.on_cpu else 1.0)
    answer = min(ASKED_TOKENS, own.max_new_tokens)
    return [
        subject.read(read, passes=ceil(rows / own.batch_size), length=prompt),
        subject.decode(
            rows,
            answer=answer,
            longest=own.max_new_tokens,
            batch=own.batch_size,
            context=prompt + answer / 2,
        ),
    ]


def count_write_answers(job: Job, subject: Subject) -> list[Work]:
    """Every prompt as it is, and behind the openings of what it does not give by itself."""
    rows, pairs = count_training_rows(job.profile), job.profile.data.rows
    benign = sum(rows[name] for name in BENIGN)
    asked = (2 + 1 - REFUSED_SHARE) * rows["harmful"] + (1 + REFUSED_SHARE + PREFILLED_SHARE) * benign
    asked += 2 * pairs.extraction_rows + (1 + PREFILLED_SHARE) * pairs.pair_rows
    return [subject.load(), *ask_own(subject, job.profile, asked, PROMPT)]


def count_warm_start(job: Job, subject: Subject) -> list[Work]:
    """Answers to the benign rows, a share of them in frames too, and a run of cross-entropy on these and refusals."""
    backbone: Any = job.profile.all_backbones[job.backbone]
    warm: WarmStartSettings = backbone.warm_start
    rows = count_training_rows(job.profile)
    benign = sum(min(rows[name], warm.rows or rows[name]) for name in BENIGN)
    framed = warm.wrapped * benign
    asked = (1 + PREFILLED_SHARE) * (benign + framed)
    prompt = PROMPT + FRAMED * framed / (benign + framed)
    runs = train_method(subject, warm.compose_training(), OWN)
    return [subject.load(2), *ask_own(subject, job.profile, asked, prompt), *runs]


def count_merge(job: Job, subject: Subject) -> list[Work]:
    """Loading, and writing the weights again."""
    return [subject.load(2)]


def tune_finetuned(job: Job, subject: Subject, name: str) -> list[Work]:
    """Runs of cross-entropy on more and more answers of one category: those that people gave, or harmful ones."""
    profile = job.profile
    own = getattr(profile, name)
    start = BASE if job.method == BASE else job.method
    side = (
        GIVEN.wanted["harmless"]
        if own.category == "harmless"
        else choose_answers(profile).rejected["harmful"]
    )
    answers = Answers({**GIVEN.wanted, "harmful": side}, GIVEN.rejected)
    works = []
    for examples in own.examples:
        if examples:
            settings = profile.choose_finetuning(own, job.backbone, start, examples)
            works += [subject.load(), *train_method(subject, settings, answers)]
    return works


def is_trained(settings: MethodSettings) -> bool:
    """Whether a method is trained rather than fitted."""
    return not METHODS[settings.objective].fitted
