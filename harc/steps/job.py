"""A job: one step for one unit of a profile."""

import hashlib
import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from harc.core.artifacts import Layout
from harc.settings.profile import Profile

PARTS = ("backbone", "method", "seed", "figure")
"""What a unit may name of a profile; options of the commands, and wildcards of the rules."""


@dataclass(frozen=True)
class Job:
    """One step for one unit of a profile; fields that a step has no use for are None, or wildcards of the workflow.

    No step is run without what its unit names (`check_job`), so that these fields are `Any` to whoever reads them.
    """

    step: str
    profile: Profile
    layout: Layout
    backbone: Any = None  # str
    method: Any = None  # str
    seed: Any = None  # int; str: a wildcard
    figure: Any = None  # str
    mirror: Path | None = None  # folder that stands in for the network; changes no result

    @property
    def unit(self) -> tuple[Any, Any, Any]:
        """(backbone, method, seed), as a layout's folders take them."""
        return self.backbone, self.method, self.seed

    @property
    def weights_seed(self) -> Any:
        """The seed under which the job's backbone and what is measured on it alone are kept."""
        return self.profile.find_weights_seed(self.backbone, self.seed)

    @property
    def stream(self) -> int:
        """Seed of what the job draws, by backbone and seed: no two models share weights to start from or a row order.

        All methods on one backbone and seed do, so that they differ in the method alone.
        """
        digest = hashlib.sha256(f"{self.backbone}/{self.seed}".encode()).digest()
        return int.from_bytes(digest[:4], "big") >> 1

    def dump(self, *groups: str) -> dict[str, Any]:
        """Groups of the profile's settings as JSON values, by name."""
        return {name: getattr(self.profile, name).model_dump(mode="json") for name in groups}

    @property
    def command(self) -> str:
        """The line that runs this job by hand."""
        reference = self.layout.reference and self.layout.reference.name
        options = {"reference": reference, **{name: getattr(self, name) for name in PARTS}}
        words = ["harc", "step", self.step, "--profile", self.profile.source]
        for name, value in options.items():
            words += [] if value is None else [f"--{name}", str(value)]
        return shlex.join(words)

    @property
    def label(self) -> str:
        """Short name for progress lines."""
        parts = [self.backbone, self.method, self.figure, None if self.seed is None else f"seed{self.seed}"]
        return " ".join([self.step, *(part for part in parts if part)])


MODEL, RUN = ("backbone", "seed"), ("backbone", "method", "seed")
Need = Literal["hub", "public rows", "benchmarks", "endpoints"]


@dataclass(frozen=True)
class Resources:
    """What a job asks the machine for.

    Attributes:
        memory_mb: main memory; None: what the job's backbone declares.
        gpu: whether the job runs its backbone, on the GPUs that this one declares.
        runtime: longest time to expect, minutes.
    """

    memory_mb: int | None = 500
    gpu: bool = False
    runtime: int = 10


def run_on_model(runtime: int) -> Resources:
    """Resources of a step that runs its job's backbone for so many minutes."""
    return Resources(None, gpu=True, runtime=runtime)


def list_nothing(job: Job) -> list[Any]:
    """No files, no code."""
    return []


def select_nothing(job: Job) -> dict[str, Any]:
    """No settings."""
    return {}


def list_one_unit(profile: Profile) -> list[tuple]:
    """The unit of a step that is for a whole profile."""
    return [()]


@dataclass(frozen=True)
class Step:
    """A step of the workflow.

    Attributes:
        name: as commands and rules spell it.
        code: the function that runs a job, as `module:function`. A text, so that what lists steps neither imports nor
            depends on the code of all of them.
        list_outputs: files that a job writes; the first is the artifact that the sidecar stands beside. Named files in
            a folder among them stand for the folder.
        unit: fields of a job that say what the step is for; none for a whole profile.
        list_units: every unit of a profile, as values of these fields, in an order in which they can run.
        select_settings: values that a job's result depends on.
        list_inputs: files that a job reads and whose hashes its sidecar records.
        list_unrecorded: files whose change makes a job stale all the same.
        list_plugins: where code begins that is loaded by name, as `module` or `module:name`.
        resources: what a job asks the machine for.
        needs: what a job takes from outside the machine.
        guarded: whether a job learns or chooses from rows: none starts before they are known to be free of held-out
            prompts.
        pure: whether outputs follow byte for byte from the inputs, in seconds: the audit makes them again.
        local: whether what it makes stays on the machine that made it (rows, a backbone's weights): no committed study
            holds it, and a run that goes on elsewhere makes it first.
        of_study: whether it is made from a committed study too, where that stands in for a run.
        part: whether a job's artifact is of every run, of tuning, or made from a finished tree.
    """

    name: str
    code: str
    list_outputs: Callable[[Job], list[Path]]
    unit: tuple[str, ...] = ()
    list_units: Callable[[Profile], Iterable[tuple]] = list_one_unit
    select_settings: Callable[[Job], dict[str, Any]] = select_nothing
    list_inputs: Callable[[Job], list[Path]] = list_nothing
    list_unrecorded: Callable[[Job], list[Path]] = list_nothing
    list_plugins: Callable[[Job], list[str]] = list_nothing
    resources: Resources = Resources()
    needs: tuple[Need, ...] = ()
    guarded: bool = False
    pure: bool = False
    local: bool = False
    of_study: bool = False
    part: Literal["run", "tuning", "end"] = "run"

    def run(self, job: Job) -> None:
        """Run a job.

        Raises:
            HarcError: whatever the step finds wrong; nothing is left half-written.
        """
        module, _, name = self.code.partition(":")
        getattr(import_module(module), name)(job)

    def count_gpus(self, profile: Profile, backbone: str) -> int:
        """GPUs that a job on a backbone asks for."""
        settings = profile.all_backbones[backbone]
        return getattr(settings, "gpus", 1) if self.resources.gpu and getattr(settings, "gpu", False) else 0

    def count_memory(self, profile: Profile, backbone: str) -> int:
        """Main memory of a job on a backbone, MB: an organism's is small, a published model's is declared."""
        declared = getattr(profile.all_backbones[backbone], "memory_gb", 2.5)
        return self.resources.memory_mb or int(1000 * declared)


def within(folder: Path, names: Iterable[str]) -> list[Path]:
    """A folder, and files in it by name."""
    return [folder, *(folder / name for name in names)]
