"""The iterative attack: refinement, budget, stop on success, and streams that fail without ending the run."""

import pytest

from harc.judges.base import Verdict
from harc.model.generation import Completion
from harc.settings.evaluation import PairSettings
from harc.suites.pair import PairGoal, run_pair


class CountingAttacker:
    """Proposes its stream and how often it has tried; fails as told."""

    def __init__(self, stream: int, fail_at: int | None = None, propose_nothing: bool = False) -> None:
        self.stream, self.fail_at, self.propose_nothing = stream, fail_at, propose_nothing
        self.seen = []

    def propose(self, goal, history):
        self.seen.append((goal, list(history)))
        if self.fail_at == len(history):
            raise ConnectionError("attacker went away")
        return "" if self.propose_nothing else f"{goal} {self.stream} {len(history)}"


class LookupJudge:
    """Scores a response by a table; 1 if it is not there."""

    name = version = "lookup"

    def __init__(self, scores: dict[str, int]) -> None:
        self.scores = scores

    def judge(self, answers):
        scores = [self.scores.get(answer.response, 1) for answer in answers]
        return [Verdict("correct" if score == 10 else "garbled", score) for score in scores]


class Echo:
    """A target that repeats the prompt, and counts its calls."""

    def __init__(self) -> None:
        self.batches = []

    def __call__(self, prompts):
        self.batches.append(list(prompts))
        return [Completion(prompt, "stop", len(prompt), 1) for prompt in prompts]


def attack(scores, attackers, *, goals=("g",), **settings):
    target = Echo()
    runs = run_pair(
        [PairGoal(f"id-{goal}", goal, goal) for goal in goals],
        attackers,
        target,
        judge=LookupJudge(scores),
        settings=PairSettings(
            **({"streams": len(attackers), "iterations": 3, "query_budget": 99} | settings)
        ),
    )
    return runs, target


def test_streams_see_their_own_scored_history_and_stop_at_success():
    attackers = [CountingAttacker(0), CountingAttacker(1)]
    (run,), target = attack({"g 1 0": 4, "g 1 1": 10}, attackers)
    assert target.batches == [["g 0 0", "g 1 0"], ["g 0 1", "g 1 1"]]
    assert attackers[1].seen == [("g", []), ("g", [("g 1 0", "g 1 0", 4)])]
    assert run.best.prompt == "g 1 1"
    record = run.to_dict(10)
    assert (record["queries"], record["queries_to_success"], record["iterations"]) == (4, 4, 2)


def test_without_success_the_earliest_best_query_is_kept():
    (run,), _ = attack({"g 0 1": 5, "g 1 2": 5}, [CountingAttacker(0), CountingAttacker(1)])
    assert run.best.prompt == "g 0 1"
    assert run.to_dict(10)["queries_to_success"] is None
    assert len(run.queries) == 6


@pytest.mark.parametrize("budget", [1, 3, 4])
def test_budget_bounds_queries_per_goal(budget):
    runs, _ = attack({}, [CountingAttacker(0), CountingAttacker(1)], goals=("g", "h"), query_budget=budget)
    assert [len(run.queries) for run in runs] == [budget, budget]


def test_goals_are_batched_and_a_reached_goal_is_left_alone():
    runs, target = attack({"a 0 0": 10}, [CountingAttacker(0)], goals=("a", "b"))
    assert target.batches == [["a 0 0", "b 0 0"], ["b 0 1"], ["b 0 2"]]
    assert [run.reached for run in runs] == [True, False]


def test_a_failing_stream_is_logged_and_the_others_go_on():
    attackers = [
        CountingAttacker(0, fail_at=1),
        CountingAttacker(1),
        CountingAttacker(2, propose_nothing=True),
    ]
    (run,), _ = attack({"g 1 2": 10}, attackers)
    assert run.reached
    assert run.to_dict(10)["failed_streams"] == [
        {"stream": 2, "iteration": 0, "problem": "no prompt proposed"},
        {"stream": 0, "iteration": 1, "problem": "ConnectionError: attacker went away"},
    ]
    assert len(attackers[2].seen) == 1


def test_a_goal_whose_streams_all_fail_has_no_best_query():
    (run,), target = attack({}, [CountingAttacker(0, fail_at=0)])
    assert run.best is None and target.batches == []
    assert run.to_dict(10)["queries"] == 0
