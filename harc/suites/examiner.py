"""Who asks and who judges in one evaluation, and what their endpoints did."""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from harc.judges.base import Judge
from harc.model.endpoints.base import ChatEndpoint
from harc.settings.evaluation import EvaluationSettings

ATTACKER_SUITES = ("pair", "pap")
"""Suites in which a model may write the prompts."""
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


def make_examiner(
    judges: Sequence[Judge], settings: EvaluationSettings, seed: int, suites: Collection[str]
) -> Examiner:
    """Judges, seed, and the attacking model where one of the suites may need it."""
    attacker = None
    if settings.attacker_endpoint is not None and set(suites) & set(ATTACKER_SUITES):
        from harc.model.endpoints.create import create_endpoint

        attacker = create_endpoint(settings.attacker_endpoint)
    return Examiner(judges, seed, attacker)


def name_run(settings: EvaluationSettings) -> dict[str, str]:
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
