"""What claims are tested on: the results of a profile, read once each, and an estimate with its standard error."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from harc.core.artifacts import Layout
from harc.results.geometry import Geometry, read_geometries
from harc.results.outcomes import Outcome, read_by_seed
from harc.results.plane import DRAWN, Plane, read_plane


class Evidence(BaseModel):
    """An estimate with its standard error, the degrees of freedom, what was counted and over how many seeds.

    A standard error of 0 means that the profile gives no measure of chance, so no test is made.
    """

    model_config = ConfigDict(frozen=True)
    estimate: float
    standard_error: float
    degrees: float = math.inf
    n: int
    unit: str
    seeds: int


@dataclass
class ResultsView:
    """The results that claims are tested on, read once each.

    Attributes:
        root: of the results tree.
        backbones, seeds: of the main comparison.
        confidence: coverage of intervals.
        families, family_seeds: models whose direction structure is compared, the backbones among them.
    """

    root: Path
    backbones: Sequence[str]
    seeds: Sequence[int]
    confidence: float = 0.95
    families: Sequence[str] = ()
    family_seeds: Sequence[int] = ()
    _outcomes: dict = field(default_factory=dict)
    _geometries: dict = field(default_factory=dict)
    _planes: dict = field(default_factory=dict)

    def outcomes(self, backbone: str, method: str) -> dict[int, list[Outcome]]:
        """Outcomes by seed."""
        key = (backbone, method)
        if key not in self._outcomes:
            self._outcomes[key] = read_by_seed(self.root, backbone, method, self.seeds)
        return self._outcomes[key]

    def geometries(self, backbone: str, method: str) -> dict[int, Geometry]:
        """Direction geometry by seed."""
        key = (backbone, method)
        if key not in self._geometries:
            self._geometries[key] = read_geometries(self.root, backbone, method, self.seeds)
        return self._geometries[key]

    def planes(self, backbone: str, method: str) -> dict[int, Plane]:
        """Planes by seed; none of methods whose projections a committed study leaves out."""
        key = (backbone, method)
        if method not in DRAWN:
            return {}
        if key not in self._planes:
            layout = Layout(self.root)
            read = {seed: read_plane(layout.directions(backbone, method, seed)) for seed in self.seeds}
            self._planes[key] = {seed: plane for seed, plane in read.items() if plane is not None}
        return self._planes[key]

    def split_seeds(self) -> "list[ResultsView]":
        """One view per seed."""
        return [ResultsView(self.root, self.backbones, [seed], self.confidence) for seed in self.seeds]


def pool_seeds(estimates: Sequence[float], errors: Sequence[float], n: int, unit: str) -> Evidence | None:
    """Mean over seeds; its error is the larger of the spread between seeds and the error within them."""
    if not estimates or any(math.isnan(value) for value in estimates):
        return None
    count = len(estimates)
    within = math.sqrt(sum(0.0 if math.isnan(e) else e**2 for e in errors) / count / count)
    between = float(np.std(estimates, ddof=1)) / math.sqrt(count) if count > 1 else 0.0
    degrees = count - 1 if count > 1 else math.inf
    mean = float(np.mean(estimates))
    return Evidence(
        estimate=mean, standard_error=max(within, between), degrees=degrees, n=n, unit=unit, seeds=count
    )
