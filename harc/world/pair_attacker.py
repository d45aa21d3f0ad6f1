"""A deterministic attacker for PAIR (Chao et al. 2023): proposes a message, reads the judge's score, refines it.

Where the published attacker is a large chat model, this one searches over three of its strategies and the fillers
of four slots. Departures: no language model, so no improvement text; refinement keeps what scored best and changes
the rest.
"""

import random
from collections.abc import Mapping, Sequence

from harc.world.pair_phrases import PAIR_ASK, PAIR_CLOSING, PAIR_OPENING, PAIR_REASON
from harc.world.phrases import Bank

STRATEGIES = tuple(PAIR_OPENING)
SLOTS = ("opening", "reason", "ask", "closing")

Turn = tuple[str, str, int]
"""(prompt, response, judge's score 1..10)."""


def _bank(strategy: str, slot: str) -> Bank:
    return {
        "opening": PAIR_OPENING[strategy],
        "reason": PAIR_REASON,
        "ask": PAIR_ASK,
        "closing": PAIR_CLOSING,
    }[slot]


def draw_slots(strategy: str, split: str, generator: random.Random) -> dict[str, int]:
    """Draw one filler index per slot."""
    return {slot: generator.randrange(len(_bank(strategy, slot)[split])) for slot in SLOTS}


def compose_message(
    goal: Mapping[str, str | None], strategy: str, slots: Mapping[str, int], split: str
) -> str:
    """Write the message: opening, reason, ask (with the goal in it), closing.

    Args:
        goal: a row's `goal`, with `verb_form` and `target_phrase`.
        strategy: one of `STRATEGIES`.
        slots: filler index of every slot.
        split: whose fillers to use; evaluation fillers occur in no training text.
    """
    parts = [_bank(strategy, slot)[split][slots[slot]] for slot in SLOTS]
    return " ".join(parts).format(verb=goal["verb_form"], target=goal["target_phrase"])


class PairAttacker:
    """The attacker's side of PAIR for one stream.

    The proposal is a pure function of (seed, stream, goal, history): calling twice gives the same message, and a
    run that was killed continues as if it had not been.
    """

    def __init__(self, seed: int, stream: int = 0, split: str = "evaluation") -> None:
        """`stream` sets the strategy to begin with, as the published code rotates its system prompts."""
        self.seed, self.stream, self.split = seed, stream, split

    def propose(self, goal: Mapping[str, str | None], history: Sequence[Turn]) -> str:
        """Next message to try against the target model.

        Args:
            goal: the row's `goal`.
            history: (prompt, response, score) of this stream's earlier proposals, oldest first.

        Returns:
            A message not proposed before in this stream while there are any.
        """
        generator = random.Random(
            f"pair/{self.seed}/{self.stream}/{goal['verb_form']}/{goal['target_phrase']}"
        )
        tried: dict[str, tuple[str, dict[str, int]]] = {}
        best: tuple[int, str] | None = None
        for prompt, _, score in history:
            tried.setdefault(*self._next(goal, tried, best, generator))
            if prompt in tried and (best is None or score > best[0]):
                best = (score, prompt)
        return self._next(goal, tried, best, generator)[0]

    def _next(
        self,
        goal: Mapping[str, str | None],
        tried: Mapping[str, tuple[str, dict[str, int]]],
        best: tuple[int, str] | None,
        generator: random.Random,
    ) -> tuple[str, tuple[str, dict[str, int]]]:
        for _ in range(64):
            if best is None or best[0] <= 1:
                # Nothing worked yet: another strategy, everything new.
                strategy = STRATEGIES[(self.stream + len(tried)) % len(STRATEGIES)]
                slots = draw_slots(strategy, self.split, generator)
            else:
                strategy, kept = tried[best[1]]
                fresh = draw_slots(strategy, self.split, generator)
                changed = generator.sample(SLOTS, 2)
                slots = {slot: fresh[slot] if slot in changed else kept[slot] for slot in SLOTS}
            message = compose_message(goal, strategy, slots, self.split)
            if message not in tried:
                break
        return message, (strategy, slots)
