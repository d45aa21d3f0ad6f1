"""The entry points of the analysis: tables, numbers and the paper's inputs, each from explicit paths."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from harc.results.claim_metrics import ResultsView
from harc.results.numbers import make_numbers
from harc.results.paper import collect_paper_inputs
from harc.results.tables import (acceptance, agreement, arms, claims, comparisons, contamination, controls, faults, finetuning, geometry, helpfulness, hyperparameters, judges, main, published, release, scale, subsets, training, trajectories, tuning)
from harc.results.tables import families as family_table
from harc.results.tables.layout import Table, write_table
from harc.results.vocabulary import include_base
from harc.settings.ablation import AblationSettings
from harc.settings.analysis import AnalysisSettings
from harc.settings.profile import Profile
from harc.settings.robustness import FinetuningSettings, TrajectorySettings
from harc.methods.harc_released import list_switches

__all__ = ["TABLES", "collect_paper_inputs", "make_numbers", "make_tables"]

TABLES = (
    "table1",
    "controls",
    "comparisons",
    "geometry",
    "separability",
    "training",
    "acceptance",
    "families",
    "ablations",
    "margin_kl",
    "faults",
    "switches",
    "conflicts",
    "hyperparameters",
    "helpfulness",
    "tuning",
    "scale",
    "finetuning",
    "trajectories",
    "claims",
    "published",
    "judges",
    "agreement",
    "subsets",
    "contamination",
)


def make_tables(
    results_root: Path,
    backbones: Sequence[str],
    methods: Sequence[str],
    seeds: Sequence[int],
    profile_settings: BaseModel,
    out_dir: Path,
    claims_file: Path = Path("config/claims.yaml"),
    switches: Sequence[Mapping[str, Any]] | None = None,
    confidence: float = 0.95,
    tuning_points: Path | None = None,
    published_file: Path = Path("config/published.yaml"),
    models: Mapping[str, str] | None = None,
    calibration: Path = Path("config/calibration"),
) -> list[Path]:
    """Write every table as CSV and LaTeX.

    Args:
        results_root: root of the results tree.
        backbones: names.
        methods: names, base included or not.
        seeds: training seeds.
        profile_settings: the settings object behind the hyperparameter table.
        out_dir: folder to write to.
        claims_file: the claims ledger.
        switches: the release's faults; None takes those of the presets.
        confidence: coverage of every interval.
        tuning_points: points that settings were chosen from; None for none.
        published_file: the numbers that the paper reports.
        models: model id on the hub by backbone, for backbones that have one.
        calibration: folder of the committed figures on judges and on the release's overlap.

    Returns:
        The files written.

    Raises:
        HarcError: if a results file or the ledger is damaged; what is merely absent shows as n/a.
    """
    units = (results_root, list(backbones), include_base(list(methods)), list(seeds))
    families = _list_families(profile_settings)
    view = ResultsView(results_root, list(backbones), list(seeds), confidence, *families)
    built = [
        main.build_table(*units, confidence),
        controls.build_table(*units, confidence),
        comparisons.build_table(*units, confidence),
        geometry.build_table(view, units[2]),
        geometry.build_areas(view),
        training.build_table(*units),
        acceptance.build_table(results_root, backbones, seeds),
        family_table.build_table(view),
        *_build_ablation(view, profile_settings, switches),
        release.build_sources(),
        release.build_conflicts(),
        hyperparameters.build_table(profile_settings),
        helpfulness.build_table(*units, confidence),
        tuning.build_table(tuning_points),
        scale.build_table(*units, _list_scale_tables(profile_settings), confidence),
        *_build_robustness(profile_settings, results_root, backbones, seeds),
        claims.build_table(claims_file, view),
        published.build_table(published_file, results_root, models or {}, seeds, confidence),
        judges.build_table(calibration),
        agreement.build_table(results_root, list(product(*units[1:])), confidence),
        subsets.build_table(results_root, list(product(*units[1:])), confidence),
        contamination.build_table(results_root, calibration),
    ]
    return [path for table in built for path in write_table(table, out_dir)]


def _build_ablation(
    view: ResultsView, settings: BaseModel, switches: Sequence[Mapping[str, Any]] | None
) -> list[Table]:
    """Tables of arms, grid and single faults; settings other than a profile's have no arms."""
    known = isinstance(settings, Profile)
    scope = settings.scope_ablation() if known else AblationSettings().create_scope({}, ())
    faulty = switches or [asdict(switch) for switch in list_switches()]
    reasons = settings.ablation.without_effect if known else {}
    return [
        arms.build_arms(view.root, scope, view.confidence),
        arms.build_grid(view.root, scope, view.confidence),
        faults.build_table(faulty, view.root, view.backbones, view.seeds, view.confidence, reasons),
    ]


def _build_robustness(
    settings: BaseModel, results_root: Path, backbones: Sequence[str], seeds: Sequence[int]
) -> list[Table]:
    """Fine-tunings and trajectories of a profile; settings of another kind have none."""
    tuned, traced, analysis = FinetuningSettings(), TrajectorySettings(), AnalysisSettings()
    if isinstance(settings, Profile):
        tuned, traced, analysis = settings.finetuning, settings.trajectories, settings.analysis
    own = [seed for seed in seeds if seed in tuned.seeds]
    return [
        finetuning.build_table(results_root, backbones, tuned.methods, own, analysis.confidence),
        trajectories.build_table(results_root, backbones, traced.methods, seeds, analysis),
    ]


def _list_scale_tables(settings: BaseModel) -> tuple[Path, ...]:
    """Main tables of other profiles that the scale table shows too."""
    return settings.analysis.scale_tables if isinstance(settings, Profile) else ()


def _list_families(settings: BaseModel) -> tuple[list[str], list[int]]:
    """Models whose direction structure is compared, and on which seeds; none for settings of another kind."""
    return settings.scope_families() if isinstance(settings, Profile) else ([], [])
