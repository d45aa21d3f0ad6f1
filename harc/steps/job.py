"""A job: one step for one unit of a profile."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harc.core.artifacts import Layout
from harc.settings.profile import Profile

PARTS = ("backbone", "method", "seed", "figure")
"""What a unit may name of a profile; options of the commands, and wildcards of the rules."""


@dataclass(frozen=True)
class Job:
    """One step for one unit of a profile; fields that a step has no use for are None, or wildcards of the workflow."""

    step: str
    profile: Profile
    layout: Layout
    backbone: str | None = None
    method: str | None = None
    seed: int | str | None = None
    figure: str | None = None
    mirror: Path | None = None  # folder that stands in for the network; changes no result

    @property
    def unit(self) -> tuple[str | None, str | None, int | str | None]:
        """(backbone, method, seed), as a layout's folders take them."""
        return self.backbone, self.method, self.seed

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
