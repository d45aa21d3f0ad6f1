"""Attackers of the iterative attack by name: one per stream, seeded, with no state between goals."""

from harc.model.endpoints.base import ChatEndpoint
from harc.settings.evaluation import EvaluationSettings
from harc.suites.pair import Attacker


def make_attackers(
    settings: EvaluationSettings, *, seed: int, endpoint: ChatEndpoint | None = None
) -> list[Attacker]:
    """One attacker per stream.

    Args:
        settings: `organism` searches over strategies and fillers of the embedded world; `endpoint` asks a chat model.
        seed: of the attackers' choices; equal for all methods, so that differences come from the target.
        endpoint: the attacking model, where one is needed.

    Raises:
        ValueError: if a model is needed and not given.
    """
    streams = range(settings.pair.streams)
    if settings.attacker == "organism":
        from harc.world.pair_attacker import PairAttacker

        return [PairAttacker(seed, stream, settings.split) for stream in streams]
    from harc.suites.pair_attacker import ModelAttacker

    if endpoint is None:
        raise ValueError("attacker `endpoint` without an endpoint")
    return [
        ModelAttacker(
            endpoint, stream, seed=seed, history=settings.pair.history, settings=settings.attacker_replies
        )
        for stream in streams
    ]
