"""Who asks and who judges in one evaluation, and what their endpoints did."""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from harc.core.errors import ConfigError
from harc.judges.base import Judge
from harc.model.endpoints.base import ChatEndpoint

ENDPOINTS = ("target_endpoint", "attacker_endpoint", "judge_endpoint")
"""Settings that name a model behind an endpoint."""


@dataclass(frozen=True)
class Examiner:
    """Who asks and who judges.

    Attributes:
        judges: of every response.
        seed: of the attackers; equal for all methods of a comparison.
        attacker: the model that writes prompts, where an attack needs one.
    """

    judges: Sequence[Judge]
    seed: int
    attacker: ChatEndpoint | None = None

    def need_attacker(self, suite: str) -> ChatEndpoint:
        """The attacking model.

        Raises:
            ConfigError: if there is none, naming the suite that asks for it.
        """
        if self.attacker is None:
            raise describe_missing_attacker("evaluation.attacker_endpoint", suite)
        return self.attacker


def describe_missing_attacker(where: str, suite: str) -> ConfigError:
    """What is wrong where a setting names no model that writes a suite's prompts."""
    return ConfigError(
        where,
        expected=f"a model that writes the prompts of suite {suite}",
        found="none",
        fix="set attacker: endpoint, and name a server or a local model in attacker_endpoint; see docs/attacks.md",
    )


def make_examiner(judges: Sequence[Judge], settings: Any, seed: int, suites: Collection[str]) -> Examiner:
    """Judges, seed, and the attacking model where one of the suites may need it.

    Args:
        judges: of every response.
        settings: a `harc.settings.evaluation.EvaluationSettings`.
        seed: of the attackers.
        suites: those that will be asked.
    """
    from harc.suites.registry import WRITTEN_SUITES

    attacker = None
    if settings.attacker_endpoint is not None and set(suites) & set(WRITTEN_SUITES):
        from harc.model.endpoints.base import create_endpoint

        attacker = create_endpoint(settings.attacker_endpoint)
    return Examiner(judges, seed, attacker)


def name_run(settings: Any) -> dict[str, str]:
    """A name of this run alone, where its answers come from a server; empty elsewhere.

    A server does not say which weights it holds, so suites of an earlier run are not taken over, unless the settings
    name a cache: whoever does says that the server stays the same.
    """
    servers = [getattr(settings, role) for role in ENDPOINTS]
    unknown = [each for each in servers if each is not None and each.kind == "openai" and each.cache is None]
    return {"run": uuid.uuid4().hex} if unknown else {}


def describe_usage(target: Any, examiner: Examiner) -> dict[str, dict]:
    """What every endpoint of a run did and cost, by its role and name."""
    roles = {
        "target": getattr(target, "endpoint", None),
        "attacker": examiner.attacker,
        "judge": next((judge.endpoint for judge in examiner.judges if hasattr(judge, "endpoint")), None),
    }
    return {
        f"{role}: {endpoint.name}": asdict(endpoint.usage)
        for role, endpoint in roles.items()
        if endpoint is not None
    }
