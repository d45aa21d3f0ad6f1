"""Work of the steps that ask a model: suites, attackers, benchmarks, suppression, answers read again."""

from collections.abc import Sequence
from math import ceil

from harc.core.artifacts import BASE
from harc.rehearsal.counts_learning import choose_answers as choose_learnt
from harc.rehearsal.counts_learning import is_trained, train_method, tune_finetuned
from harc.rehearsal.measured import (
    BENCHMARKS,
    LONGEST_CHOICE,
    PROMPT,
    ROWS,
    SUBJECTS,
    SUITES,
    TECHNIQUES,
    WRITTEN,
    WRITTEN_SECONDS,
    Suite,
)
from harc.rehearsal.shapes import BYTES, find_shape
from harc.rehearsal.work import Subject, Work
from harc.settings.evaluation import EvaluationSettings
from harc.settings.profile import Profile
from harc.steps.job import Job
from harc.suites.lm_eval_model import bound_rows
from harc.suites.registry import BENIGN_SUITES, DECODING_SUITES, OVER_REFUSAL_SUITES
from harc.suites.registry import SUITES as DECLARED


def find_suite(name: str) -> Suite:
    """Lengths of a suite."""
    return SUITES.get(name, WRITTEN if DECLARED[name].written else SUITES["direct"])


def count_rows(profile: Profile, suite: str, split: str = "evaluation") -> int:
    """Rows of a suite, as rule pull_data draws them."""
    rows = profile.data.rows
    if split == "development":
        count = rows.development_rows
    elif suite in (*BENIGN_SUITES, *DECODING_SUITES):
        return rows.benign_rows
    elif suite in ROWS:
        count = min(ROWS[suite], rows.over_refusal_rows or ROWS[suite])
    else:
        count = min(ROWS["goals"], rows.evaluation_rows or ROWS["goals"])
    count = min(count, rows.attack_goals.get(suite, count))
    if suite != "pap":
        return count
    named = rows.attacks.pap.techniques
    return count * (TECHNIQUES if named == "all" else len(named))


def measure_answer(suite: Suite, limit: int) -> float:
    """Mean tokens of an answer: those that ended by themselves as they are, those that were cut up to the limit."""
    return (1 - suite.cut) * min(suite.answer, limit) + suite.cut * limit


def ask_rows(
    subject: Subject, name: str, rows: float, evaluation: EvaluationSettings, least: float = 1.0
) -> list[Work]:
    """Prompts read and answers decoded of one suite."""
    suite, batch, limit = find_suite(name), evaluation.batch_size, evaluation.max_new_tokens
    answer = measure_answer(suite, limit)
    read = rows * suite.prompt * (suite.read if subject.on_cpu else 1.0)
    return [
        subject.read(read, passes=ceil(rows / batch), length=suite.prompt),
        subject.decode(
            rows, answer=answer, longest=limit, batch=batch, context=suite.prompt + answer / 2, least=least
        ),
    ]


def ask_suites(
    subject: Subject, profile: Profile, evaluation: EvaluationSettings, suites: Sequence[str]
) -> list[Work]:
    """Every suite; PAIR with all of its queries at the most, with the first round's at the least."""
    works = []
    for name in suites:
        rows, least = float(count_rows(profile, name, evaluation.split)), 1.0
        if name == "pair":
            rows *= min(evaluation.pair.query_budget, evaluation.pair.streams * evaluation.pair.iterations)
            least = 1 / evaluation.pair.iterations
        works += ask_rows(subject, name, rows, evaluation, least)
        if DECLARED[name].written:
            works += write_prompts(subject, profile, rows, least, shared=name == "pap")
    return works


def write_prompts(
    subject: Subject, profile: Profile, rows: float, least: float, *, shared: bool
) -> list[Work]:
    """What the attacker writes, where it runs on the same machine; one behind a server elsewhere costs nothing here.

    Args:
        subject: whose device it runs on.
        profile: names it.
        rows: prompts.
        least: share that is written at the least.
        shared: whether llama.cpp's texts are kept for all models.
    """
    endpoint = profile.evaluation.attacker_endpoint
    if endpoint is None or endpoint.kind == "openai":
        return []
    if endpoint.kind == "llama_cpp":
        each = rows / (len(profile.list_units()) if shared else 1)
        return [Work("wait", seconds=each * WRITTEN_SECONDS, least=least)]
    shape = find_shape(f"attacker of {profile.name}", endpoint.model)
    attacker = Subject(shape, BYTES[endpoint.dtype], subject.on_cpu)
    limit, prompt = profile.evaluation.attacker_replies.max_new_tokens, 3 * WRITTEN.prompt
    return [
        attacker.read(rows * prompt, passes=ceil(rows / endpoint.batch_size), length=prompt),
        attacker.decode(
            rows,
            answer=WRITTEN.prompt,
            longest=limit,
            batch=endpoint.batch_size,
            context=prompt,
            least=least,
        ),
    ]


def count_evaluate(job: Job, subject: Subject) -> list[Work]:
    """Every suite, and the conversations read once more for their projections."""
    profile, evaluation = job.profile, job.profile.evaluation
    works = [subject.load(), *ask_suites(subject, profile, evaluation, evaluation.suites)]
    if evaluation.project:
        tokens = 0.0
        for name in evaluation.suites:
            suite, rows = find_suite(name), count_rows(profile, name)
            answer = min(measure_answer(suite, evaluation.max_new_tokens), evaluation.response_window)
            tokens += min(rows, evaluation.projected_prompts or rows) * (suite.prompt + answer)
        works.append(subject.read(tokens, passes=ceil(tokens / 4096), length=128))
    return works


def count_finetuned(job: Job, subject: Subject, name: str) -> list[Work]:
    """Fine-tunings, each followed by its suites."""
    own, evaluation = getattr(job.profile, name), job.profile.evaluation
    asked = [subject.load(), *ask_suites(subject, job.profile, evaluation, own.suites)]
    return [*tune_finetuned(job, subject, name), *asked * len(own.examples)]


def count_tune_method(job: Job, subject: Subject) -> list[Work]:
    """Every point of the grid, trained and asked the development rows that the criterion counts."""
    profile = job.profile
    evaluation = profile.evaluation.model_copy(update={"split": "development"})
    suites = (*evaluation.mean_attacks, *OVER_REFUSAL_SUITES, *BENIGN_SUITES)
    points = profile.tuning.grids.get(job.method, ()) if job.method != BASE else ()
    works = [subject.load(), *ask_suites(subject, profile, evaluation, suites)] * max(1, len(points))
    for changes in points:
        settings = profile.compose_point(job.backbone, job.method, changes)
        if is_trained(settings):
            works += [subject.load(), *train_method(subject, settings, choose_learnt(profile))]
    return works


def count_trace_responses(job: Job, subject: Subject) -> list[Work]:
    """Answers of three classes, of four for all but the base, read token by token; most of them in attacks' forms."""
    settings, suites = job.profile.trajectories, job.profile.evaluation.suites
    attacks = [find_suite(name) for name in suites if DECLARED[name].family in ("attack", "extra_attack")]
    prompt = sum(suite.prompt for suite in attacks) / len(attacks) if attacks else PROMPT
    answers = settings.prompts_per_class * (3 if job.method == BASE else 4)
    tokens = answers * (prompt + settings.tokens)
    return [subject.load(), subject.read(tokens, passes=ceil(tokens / 4096), length=prompt)]


def count_suppress_refusal(job: Job, subject: Subject) -> list[Work]:
    """Depths searched, every condition asked, one round; likelihoods of benign answers; contrasts read."""
    profile, settings = job.profile, job.profile.suppression
    assert settings is not None
    evaluation = profile.evaluation.model_copy(update={"max_new_tokens": settings.max_new_tokens})
    asked = [("direct", min(settings.search.prompts, count_rows(profile, "direct", "development")))]
    asked *= len(settings.search.depths)
    asked += [(suite, settings.prompts) for suite in settings.suites if settings.rounds.most]
    benign = 0
    for name, condition in settings.conditions.items():
        if condition.how != "add":
            most = max(settings.prompts, condition.prompts or 0)
            asked += [(suite, min(most, count_rows(profile, suite))) for suite in settings.suites]
        if count := settings.count_benign(name):
            asked.append((settings.benign_suite, count))
            benign += count
    works = [work for name, rows in asked for work in ask_rows(subject, name, rows, evaluation)]
    length = find_suite(settings.benign_suite).prompt + settings.max_new_tokens
    works.append(
        subject.read(
            benign * length,
            passes=len(settings.conditions),
            length=length,
            logits=benign * settings.max_new_tokens,
        )
    )
    contrasts = 1 + len(settings.frames) + (1 if settings.rounds.most else 0)
    prompts = 2 * min(settings.rounds.prompts, profile.data.rows.extraction_rows)
    works.append(subject.read(contrasts * prompts * PROMPT, passes=contrasts, length=PROMPT))
    return [subject.load(), *works]


def count_measure_helpfulness(job: Job, subject: Subject) -> list[Work]:
    """Every benchmark; MMLU's four options are read in one pass, with the logits of all positions."""
    settings = job.profile.helpfulness
    assert settings is not None
    works = [subject.load()]
    for name in settings.benchmarks:
        own, known = getattr(settings, name), BENCHMARKS[name]
        most = known.items if own.limit is None else own.limit * (SUBJECTS if name == "mmlu" else 1)
        items, shots = min(known.items, most), known.examples if own.fewshot is None else own.fewshot
        prompt = known.prompt + shots * known.example
        read = items * (known.prompt if subject.on_cpu else prompt) + (prompt if subject.on_cpu else 0)
        passes = ceil(items / settings.batch_size)
        if name == "mmlu":
            passes = ceil(items / bound_rows(settings.batch_size, LONGEST_CHOICE, subject.model.vocabulary))
            works.append(subject.read(items * prompt, passes=passes, length=prompt, logits=items * prompt))
            continue
        answer = min(known.answer, own.max_new_tokens)
        works += [
            subject.read(read, passes=passes, length=prompt),
            subject.decode(
                items,
                answer=answer,
                longest=own.max_new_tokens,
                batch=settings.batch_size,
                context=prompt + answer / 2,
            ),
        ]
    return works
