"""Checks before hours of work: does this machine have what the profile's backbones and data need?"""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from harc.core.errors import EnvironmentProblem
from harc.data.registry import choose_registry
from harc.model.gguf_files import CACHE, find_cache
from harc.settings.backbones import GgufBackbone, HubBackbone, OrganismBackbone
from harc.settings.data import RowSource
from harc.settings.profile import Profile
from harc.steps.machine import Machine
from harc.steps.preflight_services import (
    find_endpoint_lacks,
    find_gguf_lacks,
    find_helpfulness_lacks,
)
from harc.steps.registry import STEPS

ANOTHER_PROFILE = "choose a profile for this machine (`PROFILE=organism make`)"


Backbone = OrganismBackbone | GgufBackbone | HubBackbone


def _check_gpu(
    where: str, backbone: HubBackbone | GgufBackbone, machine: Machine
) -> Iterator[EnvironmentProblem]:
    count = getattr(backbone, "gpus", 1)
    need = f"{'a GPU' if count == 1 else f'{count} GPUs'} with {backbone.memory_gb:g} GB of memory"
    large = [memory for memory in machine.gpu_memory_gb if memory >= backbone.memory_gb]
    if not machine.gpu_memory_gb:
        cpu_build = machine.torch_is_cpu_build
        yield EnvironmentProblem(
            where,
            expected=need,
            found="torch without CUDA" if cpu_build else "no GPU",
            fix=f"{'install a CUDA build of torch, or ' if cpu_build else ''}{ANOTHER_PROFILE}",
        )
    elif len(large) < count:
        found = f"{max(machine.gpu_memory_gb):.1f} GB" if count == 1 else f"{len(large)}"
        yield EnvironmentProblem(where, expected=need, found=found, fix=ANOTHER_PROFILE)


def _check_resources(
    where: str, backbone: HubBackbone | GgufBackbone, machine: Machine
) -> Iterator[EnvironmentProblem]:
    if backbone.gpu:
        yield from _check_gpu(where, backbone, machine)
    elif machine.memory_gb < backbone.memory_gb:
        yield EnvironmentProblem(
            where,
            expected=f"{backbone.memory_gb:g} GB of main memory",
            found=f"{machine.memory_gb:.1f} GB",
            fix=ANOTHER_PROFILE,
        )
    if isinstance(backbone, GgufBackbone) and machine.has_gguf(backbone.gguf):
        return  # its weights are there too, but in the first minute
    in_cache = isinstance(backbone, GgufBackbone)
    free = machine.cache_disk_gb if in_cache else machine.disk_gb
    if free < backbone.disk_gb:
        yield EnvironmentProblem(
            where,
            expected=f"{backbone.disk_gb:g} GB of free disk at {find_cache() if in_cache else machine.folder}",
            found=f"{free:.1f} GB",
            fix="free some, or "
            + (
                f"name a folder on a larger disk in {CACHE}"
                if in_cache
                else "run the project on a larger disk"
            ),
        )


def _check_access(where: str, backbone: HubBackbone, machine: Machine) -> Iterator[EnvironmentProblem]:
    if machine.is_cached(backbone.model_id, backbone.revision):
        return
    if machine.is_offline or not machine.reaches_hub:
        yield EnvironmentProblem(
            where,
            expected=f"{backbone.model_id} at revision {backbone.revision} in the hub's cache, or a network",
            found="neither" if not machine.is_offline else "no cached weights, and HF_HUB_OFFLINE is set",
            fix=f"run `hf download {backbone.model_id}` where there is a network, or set HF_HOME to its cache",
        )
    elif backbone.gated and not machine.has_token:
        yield EnvironmentProblem(
            where,
            expected=f"a token for the gated model {backbone.model_id}",
            found="none",
            fix=f"accept its licence at https://huggingface.co/{backbone.model_id}, then `hf auth login`",
        )


def find_remarks(backbones: Mapping[str, Backbone], machine: Machine) -> list[str]:
    """What a user should know of the backbones on this machine, and that stops nothing; one line each."""
    return [
        f"backbone {name}: {use} in bfloat16 is multiplied in float32 and rounded (no faster than "
        "float32): this CPU has no instructions for it"
        for name, backbone in backbones.items()
        if not isinstance(backbone, OrganismBackbone) and not backbone.gpu
        for use, dtype in (
            ("training", backbone.training_dtype or backbone.dtype),
            ("answering", backbone.dtype),
        )
        if dtype == "bfloat16" and not machine.multiplies_bfloat16
    ]


def find_lacks(
    backbones: Mapping[str, Backbone], machine: Machine, *, resources: bool = True, access: bool = True
) -> list[EnvironmentProblem]:
    """Everything that the machine lacks for the backbones, one error each, in their order.

    Args:
        backbones: settings by name; organisms need nothing that is not checked at installation.
        machine: the facts.
        resources: whether GPU, memory and disk count; not where jobs run on other machines.
        access: whether network and token count; not where the weights were fetched before.
    """
    lacks: list[EnvironmentProblem] = []
    for name, backbone in backbones.items():
        if isinstance(backbone, OrganismBackbone):
            continue
        where = f"backbone {name}"
        lacks += _check_resources(where, backbone, machine) if resources else []
        if access and isinstance(backbone, HubBackbone):
            lacks += _check_access(where, backbone, machine)
        if access and isinstance(backbone, GgufBackbone):
            lacks += find_gguf_lacks(where, backbone.gguf, machine)
    return lacks


def find_data_lacks(
    data: RowSource, machine: Machine, mirror: Path | None = None
) -> list[EnvironmentProblem]:
    """What stands between the machine and the public files that rows are made from: at most one error."""
    from harc.data.public_sources import DATASETS

    mirror = mirror or data.mirror
    if data.source != "public" or mirror:
        return []
    files = [file for name in DATASETS for file in choose_registry(data).find(name).files]
    missing = [file for file in files if not (data.public_dir / file.path).is_file()]
    if not missing or machine.reaches(missing[0].url):
        return []
    return [
        EnvironmentProblem(
            "public data",
            expected=f"{len(missing)} files in {data.public_dir}, or a network",
            found="neither",
            fix="run `harc data fetch` where there is a network, or set HARC_DATA_MIRROR to a folder with the files",
        )
    ]


def find_profile_lacks(
    profile: Profile,
    machine: Machine,
    *,
    steps: Collection[str] | None = None,
    here: bool = True,
    mirror: Path | None = None,
) -> list[EnvironmentProblem]:
    """Everything that the machine lacks for the steps that are to run.

    Args:
        profile: the profile.
        machine: the facts.
        steps: names of the steps that are to run; None means all of them.
        here: whether jobs run on this machine; if not, its GPU, memory and disk do not count.
        mirror: folder that stands in for the network of public data.
    """

    due = [step for name, step in STEPS.items() if steps is None or name in steps]
    needs = {need for step in due for need in step.needs}
    holding = here and any(step.resources.memory_mb is None for step in due)
    lacks = find_lacks(profile.all_backbones, machine, resources=holding, access="hub" in needs)
    if "public rows" in needs:
        lacks += find_data_lacks(profile.data, machine, mirror)
    if "benchmarks" in needs:
        lacks += find_helpfulness_lacks(profile.helpfulness, profile.data, machine, mirror, here=here)
    if "endpoints" in needs:
        lacks += find_endpoint_lacks(profile.evaluation, machine, here=here)
    return lacks


def raise_first(lacks: list[EnvironmentProblem], command: str = "harc preflight") -> None:
    """Raise the first lack, if there is any, with the number of the others and the command that lists them."""
    if lacks:
        first, others = lacks[0], len(lacks) - 1
        more = f" (and {others} more: `{command}` lists them)" if others else ""
        raise EnvironmentProblem(
            first.where, expected=first.expected, found=first.found, fix=first.fix + more
        )
