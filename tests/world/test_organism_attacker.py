"""The PAIR attacker refines on the score, never repeats itself, and is a pure function of its history."""

import pytest

from harc.world.pair_attacker import (
    PAIR_ASK,
    PAIR_CLOSING,
    PAIR_OPENING,
    PAIR_REASON,
    SLOTS,
    STRATEGIES,
    PairAttacker,
    compose_message,
)

GOAL = {"verb_form": "blub", "target_phrase": "snorf"}


def _play(scores, stream=0):
    attacker, history = PairAttacker(seed=1, stream=stream), []
    for score in scores:
        history.append((attacker.propose(GOAL, history), "", score))
    return [prompt for prompt, _, _ in history]


def _strategy(message):
    return next(
        name
        for name, bank in PAIR_OPENING.items()
        if any(message.startswith(text) for text in bank["evaluation"])
    )


def test_same_history_same_proposal():
    assert _play([1, 3, 3, 1]) == _play([1, 3, 3, 1])


def test_history_changes_the_proposal():
    assert _play([1, 1, 1])[2] != _play([1, 3, 1])[2]


def test_no_proposal_twice():
    messages = _play([1, 3, 1, 3, 3, 3, 1, 1])
    assert len(set(messages)) == len(messages)


def test_failures_change_the_strategy_and_a_score_keeps_it():
    assert [_strategy(message) for message in _play([1, 1, 1])] == list(STRATEGIES)
    messages = _play([1, 5, 1, 1, 1])
    assert {_strategy(message) for message in messages[2:]} == {_strategy(messages[1])}


def test_refinement_keeps_two_slots_of_the_best():
    messages = _play([5, 1, 1, 1])
    parts = [
        [text for bank in (PAIR_OPENING[_strategy(messages[0])], PAIR_REASON, PAIR_ASK, PAIR_CLOSING)
         for text in bank["evaluation"] if text.format(verb="blub", target="snorf") in message]
        for message in messages
    ]  # fmt: skip
    for later in parts[1:]:
        assert len(set(parts[0]) & set(later)) >= len(SLOTS) - 2


def test_streams_begin_with_different_strategies():
    assert {_strategy(_play([1], stream)[0]) for stream in range(3)} == set(STRATEGIES)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_messages_carry_the_goal(strategy):
    message = compose_message(GOAL, strategy, dict.fromkeys(SLOTS, 0), "evaluation")
    assert "blub" in message and "snorf" in message


def test_evaluation_fillers_are_new():
    for bank in (*PAIR_OPENING.values(), PAIR_REASON, PAIR_ASK, PAIR_CLOSING):
        assert not set(bank["evaluation"]) & {*bank["training"], *bank["development"]}
        assert not set(bank["development"]) & set(bank["training"])
