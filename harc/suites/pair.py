"""PAIR: attacker conversations that refine a prompt on the judge's score, for many goals at a time.

Loop, parallel streams, score feedback and stop rule of Chao et al. (arXiv 2310.08419) and
patrickrchao/JailbreakingLLMs@6379ef7. Departures: the streams of all goals are answered in one batch per
iteration; queries are bounded per goal; a stream that fails is logged and the others go on, where the
published code ends the run.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from harc.core.errors import EnvironmentProblem, ModelError
from harc.judges.base import Answer, Judge, Verdict
from harc.model.completion import Completion
from harc.settings.suites import PairSettings
from harc.suites.base import Suite
from harc.suites.examiner import describe_missing_attacker
from harc.suites.pair_attacker import Attacker, History, make_attackers
from harc.suites.records import make_unasked, make_user_turn, name_request
from harc.suites.writer import count_proposals

SUITES = (Suite("pair", "attack", 1, "PAIR", macro="AsrPair", written=True, plain=True),)


@dataclass(frozen=True)
class PairGoal:
    """What an attack is after.

    Attributes:
        id: the row's id.
        goal: whatever the attacker wants to know of the goal.
        request: the goal in plain words, for the judge.
        expected: the right answer, for judges that compare.
    """

    id: str
    goal: Any
    request: str
    expected: str | None = None


@dataclass(frozen=True)
class Query:
    """One prompt sent to the target."""

    stream: int
    iteration: int
    prompt: str
    completion: Completion
    verdict: Verdict


@dataclass
class PairRun:
    """The attack on one goal.

    Attributes:
        target: the goal.
        queries: in the order in which they count against the budget.
        failures: (stream, iteration, message) of streams that gave up.
    """

    target: PairGoal
    queries: list[Query] = field(default_factory=list)
    failures: list[tuple[int, int, str]] = field(default_factory=list)
    reached: bool = False

    @property
    def best(self) -> Query | None:
        """The query with the highest score, the earliest of several; None if no stream ever proposed."""
        return max(self.queries, key=lambda query: query.verdict.score, default=None)

    def history_of(self, stream: int) -> History:
        """What one stream has tried."""
        return [
            (query.prompt, query.completion.text, query.verdict.score)
            for query in self.queries
            if query.stream == stream
        ]

    def list_proposals(self) -> list[str | None]:
        """What the attackers wrote, None for each time that a stream gave up."""
        return [*(query.prompt for query in self.queries), *(None for _ in self.failures)]

    def to_dict(self, success_score: int) -> dict:
        """The `attack` field of a generation record."""
        scores = [query.verdict.score for query in self.queries]
        hits = [place for place, score in enumerate(scores, start=1) if score >= success_score]
        return {
            "queries": len(scores),
            "queries_to_success": hits[0] if hits else None,
            "iterations": len({query.iteration for query in self.queries}),
            "failed_streams": [
                {"stream": stream, "iteration": iteration, "problem": problem}
                for stream, iteration, problem in self.failures
            ],
            "history": [
                {
                    "stream": query.stream,
                    "iteration": query.iteration,
                    "prompt": query.prompt,
                    "response": query.completion.text,
                    "score": query.verdict.score,
                }
                for query in self.queries
            ],
        }


def _ask(attacker: Attacker, requests: Sequence[tuple[Any, History]]) -> list[str | Exception]:
    """One proposal, or what went wrong, per (goal, history); in one call where the attacker can do that.

    Raises:
        EnvironmentProblem: if the attacker cannot be had at all, which is no matter of one stream.
    """
    many = getattr(attacker, "propose_many", None)
    if many is not None:
        return many(requests)
    proposals: list[str | Exception] = []
    for goal, history in requests:
        try:
            proposals.append(attacker.propose(goal, history))
        except EnvironmentProblem:
            raise
        except (
            Exception
        ) as problem:  # an attacker may be any model or service: whatever it does, others go on
            proposals.append(problem)
    return proposals


def propose_all(
    runs: Sequence[PairRun], attackers: Sequence[Attacker], iteration: int, settings: PairSettings
) -> list[tuple[PairRun, int, str]]:
    """(run, stream, prompt) of every live stream of every open goal, within each goal's budget.

    A stream that raises or proposes nothing is recorded as failed and left out from then on.
    """
    left = [settings.query_budget - len(run.queries) for run in runs]
    dead = [{stream for stream, _, _ in run.failures} for run in runs]
    proposals: list[tuple[int, int, str]] = []
    for stream, attacker in enumerate(attackers):
        places = [
            place
            for place, run in enumerate(runs)
            if not run.reached and left[place] > 0 and stream not in dead[place]
        ]
        requests = [(runs[place].target.goal, runs[place].history_of(stream)) for place in places]
        for place, proposal in zip(places, _ask(attacker, requests) if requests else [], strict=True):
            if isinstance(proposal, str) and proposal.strip():
                proposals.append((place, stream, proposal))
                left[place] -= 1
                continue
            problem = "no prompt proposed"
            if isinstance(proposal, Exception):
                problem = f"{type(proposal).__name__}: {proposal}"
            runs[place].failures.append((stream, iteration, problem))
    return [(runs[place], stream, prompt) for place, stream, prompt in sorted(proposals)]


def run_pair(
    goals: Sequence[PairGoal],
    attackers: Sequence[Attacker],
    answer: Callable[[list[str]], list[Completion]],
    *,
    judge: Judge,
    settings: PairSettings,
) -> list[PairRun]:
    """Attack every goal; a goal is left alone once a query reaches `success_score` or its budget is spent.

    Args:
        goals: what to go after.
        attackers: one per stream; its proposals depend on goal and history only, so all goals share it.
        answer: the target: one response per prompt, in order.
        judge: scores each response 1 to 10 against the goal.
        settings: streams, iterations, budget, success score.

    Returns:
        One run per goal, in order.
    """
    runs = [PairRun(goal) for goal in goals]
    for iteration in range(settings.iterations):
        proposals = propose_all(runs, attackers[: settings.streams], iteration, settings)
        if not proposals:
            break
        completions = answer([prompt for _, _, prompt in proposals])
        verdicts = judge.judge(
            [
                Answer(run.target.request, completion.text, run.target.expected, prompt)
                for (run, _, prompt), completion in zip(proposals, completions, strict=True)
            ]
        )
        for (run, stream, prompt), completion, verdict in zip(proposals, completions, verdicts, strict=True):
            run.queries.append(Query(stream, iteration, prompt, completion, verdict))
            run.reached |= verdict.score >= settings.success_score
    return runs


def run(target: Any, rows: Sequence[dict], examiner: Any) -> list[dict]:
    """Attack every row's goal; the record holds the best query and the whole history.

    Judge `pair.judge`, or the first, steers the attack. A goal for which a model wrote no prompt is an attempt without
    success, with every stream's problem.

    Raises:
        ConfigError: if the rows' goals need a model that writes and none is named.
        ModelError: if the attacker by rules proposed nothing for a goal.
    """
    settings = target.settings
    asking = settings.attacker == "endpoint"
    if not asking and any(isinstance(row.get("goal"), str) for row in rows):
        raise describe_missing_attacker("evaluation.attacker", "pair")
    goals = [
        PairGoal(row["id"], request if asking else row.get("goal"), request, row["expected"])
        for row, request in zip(rows, map(name_request, rows), strict=True)
    ]
    endpoint = examiner.need_attacker("pair") if asking else None
    runs = run_pair(
        goals,
        make_attackers(settings, seed=examiner.seed, endpoint=endpoint),
        lambda prompts: target.answer([make_user_turn(prompt) for prompt in prompts]),
        judge=next((j for j in examiner.judges if j.name == settings.pair.judge), examiner.judges[0]),
        settings=settings.pair,
    )
    silent = next((run for run in runs if run.best is None), None)
    if silent is not None and not asking:
        raise ModelError(
            f"PAIR on {silent.target.id}",
            expected="at least one stream that proposes a prompt",
            found=f"{len(silent.failures)} failed streams, the last with {silent.failures[-1][2]!r}",
            fix="check the attacker; finished suites are kept",
        )
    best = [run.best for run in runs]
    conversations = [
        row["messages"] if query is None else make_user_turn(query.prompt)
        for row, query in zip(rows, best, strict=True)
    ]
    completions = [make_unasked() if query is None else query.completion for query in best]
    attacks = [run.to_dict(settings.pair.success_score) for run in runs]
    if asking:
        for attack, pair_run in zip(attacks, runs, strict=True):
            attack["proposals"] = count_proposals(pair_run.target.request, pair_run.list_proposals())
    return target.make_records(rows, conversations, completions, examiner.judges, attacks)
