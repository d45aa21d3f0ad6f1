"""What tables and figures are made from: the results of some models, and what the profile says of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from harc.core.artifacts import BASE, DIRECTION_FILES, PROJECTION_FILES, TRAJECTORY_FILES, Layout
from harc.results.evidence import ResultsView
from harc.results.vocabulary import include_base
from harc.settings.ablation import AblationScope, AblationSettings
from harc.settings.analysis import AnalysisSettings
from harc.settings.profile import Profile
from harc.suites.benchmarks import CATEGORIES

CLAIMS = Path("config/claims.yaml")
PUBLISHED = Path("config/published.yaml")
CALIBRATION = Path("config/calibration")
FILES = {
    "scores": ("outcomes.csv",),
    "directions": DIRECTION_FILES,
    "projections": PROJECTION_FILES,
    "trajectories": TRAJECTORY_FILES,
    "finetuning": ("answers.csv",),
    "erosion": ("answers.csv",),
    "suppression": ("outcomes.csv", "rounds.csv", "card.json"),
    "adapters": ("training_log.jsonl",),
    "helpfulness": (CATEGORIES,),
}
FOLDERS = {"projections": "directions"}  # where they are not named as what lies in them


@dataclass
class Results(ResultsView):
    """The one argument of every table and figure: see `ResultsView` for root, backbones, seeds, and what is read.

    Attributes:
        methods: names, the base included or not.
        settings: slot, resamples, tuning points.
        profile: the settings behind the hyperparameter table; a profile also names arms, fine-tunings and so on.
        options: what a figure takes from the profile besides.
        models: model id on the hub by backbone, for backbones that have one.
        is_run: whether a (backbone, method, seed) was run; None: all of them.
        claims, published, calibration: the ledger, the paper's numbers, the committed figures on judges and overlap.
    """

    methods: Sequence[str] = ()
    settings: AnalysisSettings = field(default_factory=AnalysisSettings)
    profile: BaseModel | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    models: Mapping[str, str] = field(default_factory=dict)
    is_run: Callable[[str, str, int], bool] | None = None
    claims: Path = CLAIMS
    published: Path = PUBLISHED
    calibration: Path = CALIBRATION

    @property
    def layout(self) -> Layout:
        """Paths of the results."""
        return Layout(self.root)

    @property
    def every_method(self) -> list[str]:
        """The untreated model and the methods, in table order."""
        return include_base(list(self.methods))

    @property
    def study(self) -> Profile | None:
        """The profile; None for settings of another kind, which have no arms, fine-tunings or traces."""
        return self.profile if isinstance(self.profile, Profile) else None

    def scope_ablation(self) -> AblationScope:
        """Arms, grid and what they are compared with."""
        return self.study.scope_ablation() if self.study else AblationSettings().create_scope({}, ())

    def list_files(
        self, kind: str, methods: Sequence[str] = (BASE,), seeds: Sequence[int] | None = None
    ) -> list[Path]:
        """Files of one kind (see `FILES`) of every backbone, method and seed that was run."""
        folder = self.root / FOLDERS.get(kind, kind)
        return [
            folder / backbone / method / f"seed{seed}" / name
            for backbone in self.backbones
            for method in methods
            for seed in (self.seeds if seeds is None else seeds)
            if self.is_run is None or self.is_run(backbone, method, seed)
            for name in FILES[kind]
        ]


def view_study(profile: Profile, layout: Layout) -> Results:
    """The results of a profile's main comparison, and all that tables take from the profile besides."""
    families, family_seeds = profile.scope_families()
    return Results(
        layout.runs,
        list(profile.backbones),
        list(profile.seeds),
        profile.analysis.confidence,
        families,
        family_seeds,
        profile.list_fixed(),
        profile.analysis.draw,
        profile.evaluation.mean_attacks,
        profile.evaluation.list_shown_attacks(),
        methods=[BASE, *profile.methods],
        settings=profile.analysis,
        profile=profile,
        is_run=profile.is_run,
        models={name: model.model_id for name, model in profile.backbones.items() if model.kind == "hub"},
    )
