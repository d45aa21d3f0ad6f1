"""PAIR: attacker conversations that refine a prompt on the judge's score, for many goals at a time.

Loop, parallel streams, score feedback and stop rule of Chao et al. (arXiv 2310.08419) and
patrickrchao/JailbreakingLLMs@6379ef7. Departures: the streams of all goals are answered in one batch per
iteration; queries are bounded per goal; a stream that fails is logged and the others go on, where the
published code ends the run.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from harc.core.errors import EnvironmentProblem
from harc.judges.base import Answer, Judge, Verdict
from harc.model.generation import Completion
from harc.settings.attacks import PairSettings

History = list[tuple[str, str, int]]
"""(prompt, response, judge's score) of a stream's earlier queries, oldest first."""


@runtime_checkable
class Attacker(Protocol):
    """The attacking side of one stream."""

    def propose(self, goal: Any, history: History) -> str:
        """The next prompt to try. Any exception ends this stream only."""
        ...


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
    on_iteration: Callable[[int, int], None] | None = None,
) -> list[PairRun]:
    """Attack every goal; a goal is left alone once a query reaches `success_score` or its budget is spent.

    Args:
        goals: what to go after.
        attackers: one per stream; its proposals depend on goal and history only, so all goals share it.
        answer: the target: one response per prompt, in order.
        judge: scores each response 1 to 10 against the goal.
        settings: streams, iterations, budget, success score.
        on_iteration: called with the iteration and the number of queries it sent.

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
                Answer(run.target.request, completion.text, run.target.expected)
                for (run, _, _), completion in zip(proposals, completions, strict=True)
            ]
        )
        for (run, stream, prompt), completion, verdict in zip(proposals, completions, verdicts, strict=True):
            run.queries.append(Query(stream, iteration, prompt, completion, verdict))
            run.reached |= verdict.score >= settings.success_score
        if on_iteration is not None:
            on_iteration(iteration, len(proposals))
    return runs
