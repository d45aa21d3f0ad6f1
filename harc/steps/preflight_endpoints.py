"""What stands between a run and its endpoints: a key that is not set, a server that does not answer, no GPU."""

from typing import Any

from harc.core.errors import EnvironmentProblem
from harc.model.endpoints.keys import describe_missing_key, read_key
from harc.settings.endpoints import EndpointSettings
from harc.settings.evaluation import EvaluationSettings
from harc.suites.registry import WRITTEN_SUITES


def list_needed(settings: EvaluationSettings) -> dict[str, EndpointSettings]:
    """The endpoints that an evaluation will ask, by their setting's name."""
    needed = {
        "target_endpoint": settings.target_endpoint,
        "attacker_endpoint": settings.attacker_endpoint
        if set(settings.suites) & set(WRITTEN_SUITES)
        else None,
        "judge_endpoint": settings.judge_endpoint,
    }
    return {role: endpoint for role, endpoint in needed.items() if endpoint is not None}


def find_endpoint_lacks(
    settings: EvaluationSettings, machine: Any, *, here: bool = True
) -> list[EnvironmentProblem]:
    """Everything that the endpoints of an evaluation lack, one error each.

    Args:
        settings: of the evaluation.
        machine: the facts, a `harc.steps.preflight.Machine`.
        here: whether jobs run on this machine; if not, only keys count, which jobs inherit.
    """
    lacks = []
    for role, endpoint in list_needed(settings).items():
        where = f"evaluation.{role}"
        try:
            read_key(endpoint)
        except EnvironmentProblem:
            lacks.append(describe_missing_key(endpoint))
        if not here:
            continue
        if endpoint.kind == "openai" and not machine.reaches_directly(
            endpoint.proxy or endpoint.base_url or ""
        ):
            lacks.append(
                EnvironmentProblem(
                    where,
                    expected=f"{endpoint.model} at {endpoint.base_url}",
                    found="no answer",
                    fix=f"start the server, as `vllm serve {endpoint.model}`, or name another in the profile",
                )
            )
        if endpoint.kind == "local" and endpoint.device.startswith("cuda") and not machine.gpu_memory_gb:
            lacks.append(
                EnvironmentProblem(
                    where,
                    expected=f"a GPU for {endpoint.model}",
                    found="no GPU",
                    fix="set its device to cpu, or name a server",
                )
            )
    return lacks
