"""Answering, judging and scoring suites of prompts on a user's model; goes on where a killed run stopped."""

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harc.core.csv_files import write_csv
from harc.core.errors import ModelError
from harc.core.files import sha256_text, write_json
from harc.core.terminal import track
from harc.evaluation.agents.asking import put_tools, split_calls
from harc.evaluation.own.answers import AnswerStore, judge_records
from harc.evaluation.own.asking import Asking
from harc.evaluation.own.groups import (
    GROUP_COLUMNS,
    GROUPS_FILE,
    WEIGHTED_COLUMNS,
    WEIGHTED_FILE,
    score_groups,
    weigh_records,
)
from harc.evaluation.own.scores import (
    SCORE_COLUMNS,
    SHARES,
    WHOLE,
    Agreement,
    list_disagreements,
    list_warnings,
    measure_agreement,
    score_records,
)
from harc.judges.base import Judge
from harc.model.completion import Completion
from harc.model.generation import context_length
from harc.suites.records import describe_rest
from harc.suites.target import EndpointTarget

if TYPE_CHECKING:
    from harc.evaluation.policy.measuring import PolicyFindings
    from harc.evaluation.thresholds import Check

ADVICE = ": read answers, or compare both with labels of your own (`harc judges calibrate --labels FILE`)"
"""What is said to a run whose judges disagree."""
SCORES_FILE = "scores.json"
BATCHES_KEPT = 4  # batches between two writes of answers: what a kill can lose


@dataclass(frozen=True)
class Findings:
    """What a run found.

    Attributes:
        scores: rows of scores.csv.
        agreement: see measure_agreement, over all suites.
        answered: prompts answered in this run, by suite.
        taken_over: prompts whose answers were there already, by suite.
        cached: prompts of this run that a cache in front of the server answered.
        missing: prompts without an answer, by why.
        warnings: lines for the user on shares that are too large.
        benchmarks: rows of benchmarks/scores.csv, where public benchmarks were asked.
        groups: rows of groups.csv, where prompts have a language or a policy.
        weighted: rows of weighted.csv, where prompts have weights.
        policy: what layers beside the model stop, where there are any.
        checks: of the thresholds that were given.
        recorded: whether answers were taken from files.
    """

    scores: list[dict[str, Any]]
    agreement: list[Agreement]
    answered: dict[str, int]
    taken_over: dict[str, int]
    cached: int = 0
    missing: dict[str, int] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    benchmarks: list[dict[str, Any]] = field(default_factory=list)
    groups: list[dict[str, Any]] = field(default_factory=list)
    weighted: list[dict[str, Any]] = field(default_factory=list)
    policy: "PolicyFindings | None" = None
    checks: "list[Check]" = field(default_factory=list)
    recorded: bool = False


def check_prompts(
    target: Any, suites: Mapping[str, Sequence[dict[str, Any]]]
) -> dict[str, list[Sequence[int]]]:
    """Token ids of every prompt, before any is answered.

    Raises:
        ModelError: naming file, row and column of the first prompt that does not fit the context with its answer, and
            how many others do not.
    """
    if target is None:
        return {suite: [[] for _ in rows] for suite, rows in suites.items()}
    asking = Asking(target)
    if isinstance(target, EndpointTarget):
        for rows in suites.values():
            asking.check_served(rows)
        return {suite: [[] for _ in rows] for suite, rows in suites.items()}  # its server knows what fits
    limit, answer = context_length(target.backbone.model), target.settings.max_new_tokens
    tokens = {suite: asking.encode(rows) for suite, rows in suites.items()}
    if limit is None:
        return tokens
    room = limit - answer
    long = [
        (row["place"], len(ids))
        for suite, rows in suites.items()
        for row, ids in zip(rows, tokens[suite], strict=True)
        if len(ids) > room
    ]
    if long:
        place, length = long[0]
        others = f" ({len(long) - 1} more prompts are too long)" if len(long) > 1 else ""
        raise ModelError(
            place,
            expected=f"at most {room} tokens (context {limit}, answer up to {answer})"
            if room > 0
            else f"a --max-new-tokens below the context of {limit} tokens, as prompts need room",
            found=f"{length}{others}" if room > 0 else f"{answer}, and a prompt of {length} tokens{others}",
            fix=_advise(limit, max(length for _, length in long)),
        )
    return tokens


def _advise(limit: int, longest: int) -> str:
    """What helps if the longest prompt does not fit; answers of another length are another run."""
    room = limit - longest
    if room < 1:
        return "shorten or remove the prompt, or use a model with a longer context: no answer would fit"
    return (
        f"set --max-new-tokens to {room} at most (if --out holds answers already: with another --out), shorten the "
        "prompt, or use a model with a longer context"
    )


def answer_suite(
    target: Any,
    suite: str,
    rows: Sequence[dict[str, Any]],
    tokens: Sequence[Sequence[int]],
    store: AnswerStore,
) -> tuple[list[dict[str, Any]], int]:
    """Records of a suite without verdicts of this run, and how many prompts were answered now.

    Prompts are answered longest first, some batches at a time, each kept as soon as it is there.
    """
    asking = Asking(target)
    hashes = [asking.hash(row) for row in rows]
    known = [store.load(suite, row["id"], digest) for row, digest in zip(rows, hashes, strict=True)]
    due = sorted((i for i, answer in enumerate(known) if answer is None), key=lambda i: -len(tokens[i]))
    asked_now = len(due)
    share = BATCHES_KEPT * target.settings.batch_size
    with track(len(due), suite) as bar:
        while due_next := due[:share]:
            asked = [list_asked(target, rows[i]) for i in due_next]
            part = due_next[: store.meter.count_affordable(asked, target.settings.max_new_tokens)]
            due = due[len(part) :]
            names = [rows[i]["place"] for i in part]
            prompts = [put_tools(rows[i]) for i in part], [list(tokens[i]) for i in part]
            with store.meter.time(asked[: len(part)], getattr(target, "endpoint", None)) as completions:
                completions.extend(ask_batch(target, *prompts, names, bar))
            answers = [
                {
                    "id": rows[i]["id"], "prompt_sha256": hashes[i], **describe_said(done.text),
                    "finish_reason": done.finish_reason, "prompt_tokens": done.prompt_tokens,
                    "response_tokens": done.response_tokens, **describe_rest(done),
                }
                for i, done in zip(part, completions, strict=True)
            ]  # fmt: skip
            store.keep(suite, answers)
            for i, answer in zip(part, answers, strict=True):
                known[i] = answer
    described = [describe_row(row) for row in rows]
    return [{**(answer or {}), **row} for answer, row in zip(known, described, strict=True)], asked_now


def take_recorded(
    target: Any,
    suite: str,
    rows: Sequence[dict[str, Any]],
    tokens: Sequence[Sequence[int]],
    store: AnswerStore,
) -> tuple[list[dict[str, Any]], int]:
    """Records of answers that stand in the rows; see `answer_suite`. A row without one has no answer."""
    answers = []
    for row in rows:
        text = row.get("response")
        asked = sha256_text(json.dumps([row["messages"], row.get("tools")], sort_keys=True))
        reason = "unanswered" if text is None else "stop"
        answers.append(
            {
                "id": row["id"], "prompt_sha256": sha256_text(f"{asked} {text}"), "response": text or "",
                "finish_reason": reason, "prompt_tokens": None, "response_tokens": None,
            }
        )  # fmt: skip
    known = [store.load(suite, answer["id"], answer["prompt_sha256"]) for answer in answers]
    new = [answer for answer, old in zip(answers, known, strict=True) if old is None]
    store.keep(suite, new)
    held = [old or answer for answer, old in zip(answers, known, strict=True)]
    return [{**answer, **describe_row(row)} for answer, row in zip(held, rows, strict=True)], len(new)


def describe_said(text: str) -> dict[str, Any]:
    """An answer's text, and the calls of tools that a server gave beside it, where there are any."""
    said, calls = split_calls(text)
    if not calls:
        return {"response": said}
    shown = [f"[call] {call['name']}({call['arguments']})" for call in calls]
    return {
        "response": "\n".join([*([said] if said else []), *shown]),
        "served_text": said,
        "served_calls": calls,
    }


def list_asked(target: Any, row: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """All that the model is shown of a row: the run's system prompt and tools, too."""
    further = [{"system": getattr(target, "system", "")}, {"tools": row.get("tools")}]
    return [*row["messages"], *(part for part in further if any(part.values()))]


def ask_batch(
    target: Any, conversations: Sequence[Any], tokens: Sequence[list[int]], names: Sequence[str], bar: Any
) -> list[Completion]:
    """Answers of a batch, from the server or the loaded model."""
    if not isinstance(target, EndpointTarget):
        return target.decode(tokens, names=names, on_done=bar.advance)
    completions = target.answer(conversations, names)
    bar.advance(len(conversations))
    return completions


ROW_FIELDS = ("id", "suite", "category", "kind", "messages", "expected", "goal")
FURTHER_FIELDS = (
    "read_outputs", "tools", "calls", "canary", "as_text", "language", "weight", "policy", "form", "opening", "of",
)  # fmt: skip
"""What records hold of a row: always, and where it has them."""


def describe_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """What a record says of its row."""
    named = {name: row[name] for name in ROW_FIELDS}
    return named | {name: row[name] for name in FURTHER_FIELDS if row.get(name)}


def evaluate_suites(
    target: Any,
    suites: Mapping[str, Sequence[dict[str, Any]]],
    judges: Sequence[Judge],
    store: AnswerStore,
    askers: Mapping[str, Callable[..., tuple[list[dict[str, Any]], int]]] | None = None,
) -> Findings:
    """Answer, judge and score every suite; each is in place as soon as it is judged.

    Args:
        target: a harc.suites.target.Target, or an EndpointTarget.
        suites: rows by suite; see harc.evaluation.own.prompts.
        judges: in order of precedence.
        store: folder of the run.
        askers: by suite, what is called in place of `answer_suite`.

    Raises:
        ModelError: for a prompt that does not fit, or a judge that answers nonsense; answers are kept.
        EnvironmentProblem: for a full disk; answers are kept.
    """
    names = [judge.name for judge in judges]
    scores, records, answered, taken = [], [], {}, {}
    groups, weighted = [], []
    for suite, tokens in check_prompts(target, suites).items():
        ask = (askers or {}).get(suite, answer_suite)
        found, answered[suite] = ask(target, suite, suites[suite], tokens, store)
        taken[suite] = len(found) - answered[suite]
        judged = judge_records(suite, found, judges)
        store.publish(suite, judged)
        scores += score_records(suite, judged, names)
        records += judged
        groups += score_groups(suite, judged, names)
        weighted += weigh_records(suite, judged, names)
        write_csv(store.folder / "scores.csv", SCORE_COLUMNS, scores)
        if groups:
            write_csv(store.folder / GROUPS_FILE, GROUP_COLUMNS, groups)
        if weighted:
            write_csv(store.folder / WEIGHTED_FILE, WEIGHTED_COLUMNS, weighted)
        store.begin(describe_outcome(scores) | {"usage": store.meter.report()})
    cached = getattr(target, "endpoint", None)
    agreement = measure_agreement(records, names)
    write_json(store.folder / SCORES_FILE, describe_scores(scores, agreement))
    return Findings(
        scores,
        agreement,
        answered,
        taken,
        cached.usage.cache_hits if cached else 0,
        Counter(record["error"] for record in records if record.get("error")),
        list_warnings(scores) + list_disagreements(agreement, ADVICE),
        groups=groups,
        weighted=weighted,
        recorded=target is None,
    )


def describe_scores(scores: Sequence[dict[str, Any]], agreement: Sequence[Agreement]) -> dict[str, Any]:
    """scores.json: the rows of scores.csv with the counts behind the shares, how far judges agree, the warnings."""
    shares = {*SHARES}
    rows = [{name: value for name, value in row.items() if name not in shares} for row in scores]
    pairs = [
        pair._asdict()
        | {"kappa": None if math.isnan(pair.kappa) else pair.kappa, "single": list(pair.single)}
        for pair in agreement
    ]
    finite = [
        {
            name: None if isinstance(value, float) and math.isnan(value) else value
            for name, value in row.items()
        }
        for row in rows
    ]
    return {"format": 1, "scores": finite, "agreement": pairs, "warnings": list_warnings(scores)}


def describe_outcome(scores: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What run.json says of the answers: prompts and states of every suite and kind, and the warnings."""
    suites: dict[str, dict[str, Any]] = {}
    for row in scores:
        if row["level"] == WHOLE and row["judge"] != "text":
            states = {state: count for state, count in row["counts"].items() if count}
            held = suites.setdefault(row["suite"], {}).setdefault(row["kind"], {"prompts": row["prompts"]})
            held.setdefault(f"by {row['judge']}", states)
    return {"answers": suites, "warnings": list_warnings(scores)}
