"""Running one suite on a target: from rows to judged generation records."""

from collections.abc import Callable, Sequence

from harc.attacks.pair import PairGoal, PairRun, run_pair
from harc.attacks.registry import make_attackers
from harc.errors import ModelError
from harc.evaluation.families import DOCUMENT_SUITES, HELPFULNESS_SUITES
from harc.evaluation.target import Target
from harc.judges.base import Judge

HARNESS_SUITES = tuple(suite for suite in HELPFULNESS_SUITES if suite != "two_turn")
"""Suites that lm-evaluation-harness runs; its tasks hold one user turn, so two-turn chats are asked here."""


def run_turns(target: Target, rows: Sequence[dict], judges: Sequence[Judge]) -> list[dict]:
    """Ask every row's user turns, one after the other, and judge the last reply."""
    seen, completions = target.answer_turns([row["messages"] for row in rows], [row["id"] for row in rows])
    return target.make_records(rows, seen, completions, judges)


def run_documents(target: Target, rows: Sequence[dict], judges: Sequence[Judge]) -> list[dict]:
    """Read the word that the model puts after a text that stands alone in the user turn.

    The template's end of the turn is left out, so the word continues the text. Used to accept backbones only.
    """
    conversations = [row["messages"] for row in rows]
    chat = target.backbone.chat
    prompts = [ids[: -chat.post_instruction_count] for ids in chat.encode_prompts(conversations)]
    completions = target.decode(prompts, max_new_tokens=1, names=[row["id"] for row in rows])
    return target.make_records(rows, conversations, completions, judges)


def run_pair_suite(
    target: Target,
    rows: Sequence[dict],
    judges: Sequence[Judge],
    seed: int,
    on_queries: Callable[[int], None] | None = None,
) -> list[dict]:
    """Attack every row's goal iteratively; the record holds the best query and the whole history.

    Args:
        target: the model under attack.
        rows: one goal each.
        judges: the first one steers the attack.
        seed: of the attackers.
        on_queries: called with the number of queries of each iteration.

    Raises:
        ModelError: if no stream proposed anything for a goal.
    """
    settings = target.settings
    runs = run_pair(
        [
            PairGoal(row["id"], row.get("goal"), row["messages"][-1]["content"], row["expected"])
            for row in rows
        ],
        make_attackers(settings.attacker, settings.pair.streams, seed=seed, split=settings.split),
        lambda prompts: target.answer([_as_turn(prompt) for prompt in prompts]),
        judge=judges[0],
        settings=settings.pair,
        on_iteration=None if on_queries is None else lambda _, count: on_queries(count),
    )
    best = [_best_query(run) for run in runs]
    return target.make_records(
        rows,
        [_as_turn(query.prompt) for query in best],
        [query.completion for query in best],
        judges,
        [run.to_dict(settings.pair.success_score) for run in runs],
    )


def _as_turn(prompt: str) -> list[dict]:
    return [{"role": "user", "content": prompt}]


def _best_query(run: PairRun):
    if run.best is None:
        raise ModelError(
            f"PAIR on {run.target.id}",
            expected="at least one stream that proposes a prompt",
            found=f"{len(run.failures)} failed streams, the last with {run.failures[-1][2]!r}",
            fix="check the attacker; finished suites are kept",
        )
    return run.best


def run_suite(
    suite: str, target: Target, rows: Sequence[dict], judges: Sequence[Judge], *, seed: int
) -> list[dict]:
    """Run one suite that needs no harness."""
    if suite == "pair":
        return run_pair_suite(target, rows, judges, seed)
    if suite in DOCUMENT_SUITES:
        return run_documents(target, rows, judges)
    return run_turns(target, rows, judges)
