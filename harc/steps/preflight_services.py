"""What preflight asks of services and programs: endpoints, the sandbox, benchmarks' data."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from harc.core.errors import EnvironmentProblem
from harc.data.registry import choose_registry
from harc.model.endpoints.cache import describe_missing_key, read_key
from harc.model.endpoints.llama_server import describe_missing_server, is_installed
from harc.model.gguf_files import CACHE, find_cache
from harc.settings.backbones import GgufFile
from harc.settings.data import RowSource
from harc.settings.endpoints import EndpointSettings
from harc.settings.evaluation import EvaluationSettings
from harc.settings.suites import HelpfulnessSettings
from harc.suites.benchmarks import BENCHMARKS
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


def find_gguf_lacks(where: str, file: GgufFile, machine: Any) -> list[EnvironmentProblem]:
    """What stands between the machine and a GGUF file: at most one error."""
    hub = file.hub is not None and not machine.is_offline and machine.reaches_hub
    if machine.has_gguf(file) or hub or (file.wheels is not None and machine.reaches_index):
        return []
    places = [
        *(["the hub"] if file.hub is not None else []),
        *(["the package index"] if file.wheels is not None else []),
    ]
    return [
        EnvironmentProblem(
            where,
            expected=f"{file.name} in {find_cache()}, or {' or '.join(places)}",
            found="neither",
            fix=f"check the network and pip's index, or set {CACHE} to a folder that has it",
        )
    ]


def find_endpoint_lacks(
    settings: EvaluationSettings, machine: Any, *, here: bool = True
) -> list[EnvironmentProblem]:
    """Everything that the endpoints of an evaluation lack, one error each.

    Args:
        settings: of the evaluation.
        machine: the facts, a `harc.steps.machine.Machine`.
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
        if endpoint.kind == "llama_cpp":
            lacks += [] if is_installed() else [describe_missing_server()]
            lacks += find_gguf_lacks(where, endpoint.gguf, machine)
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


def find_helpfulness_lacks(
    settings: HelpfulnessSettings | None,
    data: RowSource,
    machine: Any,
    mirror: Path | None = None,
    *,
    here: bool = True,
) -> list[EnvironmentProblem]:
    """What stands between the machine and the public benchmarks: files, hub datasets, packages, sandbox.

    Args:
        settings: which benchmarks; none need nothing.
        data: where public files lie.
        machine: the facts; see harc.steps.machine.Machine.
        mirror: folder that stands in for the network of registered files.
        here: whether jobs run on this machine; if not, its sandbox and packages do not count.
    """
    lacks: list[EnvironmentProblem] = []
    for name in settings.benchmarks if settings else ():
        where = f"benchmark {name}"
        lacks += _check_hub_dataset(where, name, machine)
        lacks += _check_benchmark_files(where, name, data, machine, mirror or data.mirror)
        lacks += _check_benchmark_programs(where, name, settings) if here else []
    return lacks


def _check_hub_dataset(where: str, name: str, machine: Any) -> Iterator[EnvironmentProblem]:
    dataset = BENCHMARKS[name].hub
    if not dataset or machine.has_dataset(dataset) or (machine.reaches_hub and not machine.is_offline):
        return
    yield EnvironmentProblem(
        where,
        expected=f"dataset {dataset} in the hub's cache, or a network",
        found="no cached files, and HF_HUB_OFFLINE is set" if machine.is_offline else "neither",
        fix="load it once where there is a network, or take it out of helpfulness.benchmarks",
    )


def _check_benchmark_files(
    where: str, name: str, data: RowSource, machine: Any, mirror: Path | None
) -> Iterator[EnvironmentProblem]:
    dataset = BENCHMARKS[name].dataset
    if not dataset or mirror:
        return
    files = choose_registry(data).find(dataset).files
    missing = [file for file in files if not (data.public_dir / file.path).is_file()]
    if missing and not machine.reaches(missing[0].url):
        yield EnvironmentProblem(
            where,
            expected=f"{len(missing)} files in {data.public_dir}, or a network",
            found="neither",
            fix=f"run `harc data fetch {dataset}` where there is a network, or set HARC_DATA_MIRROR",
        )


def _check_benchmark_programs(
    where: str, name: str, settings: HelpfulnessSettings
) -> Iterator[EnvironmentProblem]:
    packages = BENCHMARKS[name].packages
    absent = [package for package in packages if find_spec(package) is None]
    if absent:
        yield EnvironmentProblem(
            where,
            expected=f"the packages {', '.join(packages)}",
            found=f"no {', '.join(absent)}",
            fix="run `pip install --editable '.[ifeval]'`",
        )
    if name == "humaneval":
        from harc.judges.sandbox import check_sandbox

        try:
            check_sandbox(settings.sandbox)
        except EnvironmentProblem as problem:
            yield problem
