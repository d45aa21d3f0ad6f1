"""Attackers of the iterative attack by name: one per stream, seeded, with no state between goals."""

from harc.attacks.pair import Attacker
from harc.errors import ConfigError


def make_attackers(name: str, streams: int, *, seed: int, split: str) -> list[Attacker]:
    """One attacker per stream.

    Args:
        name: `organism` searches over strategies and fillers of the embedded world.
        streams: how many conversations per goal.
        seed: of the attackers' choices; equal for all methods, so that differences come from the target.
        split: whose fillers the organism's attacker uses.

    Raises:
        ConfigError: for an unknown name.
    """
    if name != "organism":
        raise ConfigError("evaluation.attacker", expected="organism", found=name, fix="correct the profile")
    from harc.organism.pair_attacker import PairAttacker

    return [PairAttacker(seed, stream, split) for stream in range(streams)]
