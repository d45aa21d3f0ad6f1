"""LaTeX macros for every number, and every word that depends on one, in the paper's text; from the tables."""

from pathlib import Path

from harc.results.macros.ablations import (list_arms, list_faults, list_grid, list_model_families)
from harc.results.macros.claims import list_claims
from harc.results.macros.counts import list_counts, list_unmet
from harc.results.macros.evaluation import list_agreement, list_contamination, list_judges
from harc.results.macros.geometry import list_areas, list_geometry, list_training
from harc.results.macros.published import list_published
from harc.results.macros.rates import (CONTROL_RATES, TABLE1_RATES, list_differences, list_rates)
from harc.results.macros.robustness import list_finetuning, list_trajectories
from harc.results.macros.setup import list_setup, list_tuning
from harc.results.tables.layout import read_table
from harc.core.files import write_text

NEEDED = (
    "table1",
    "controls",
    "comparisons",
    "geometry",
    "separability",
    "training",
    "claims",
    "acceptance",
    "ablations",
    "margin_kl",
    "families",
    "faults",
    "hyperparameters",
    "tuning",
    "finetuning",
    "trajectories",
    "published",
    "judges",
    "agreement",
    "contamination",
)


def collect_macros(tables_dir: Path) -> dict[str, str]:
    """Every macro by name, without the backslash."""
    tables = {name: read_table(tables_dir / f"{name}.csv") for name in NEEDED}
    return (
        list_setup(tables)
        | list_counts(tables["table1"], tables["controls"])
        | list_unmet(tables["acceptance"])
        | list_rates(tables["table1"], TABLE1_RATES)
        | list_rates(tables["controls"], CONTROL_RATES)
        | list_differences(tables["comparisons"])
        | list_geometry(tables["geometry"])
        | list_areas(tables["separability"])
        | list_training(tables["training"])
        | list_arms(tables["ablations"])
        | list_grid(tables["margin_kl"])
        | list_faults(tables["faults"])
        | list_model_families(tables["families"])
        | list_finetuning(tables["finetuning"])
        | list_trajectories(tables["trajectories"])
        | list_claims(tables["claims"])
        | list_published(tables["published"])
        | list_judges(tables["judges"])
        | list_agreement(tables["agreement"])
        | list_contamination(tables["contamination"])
        | list_tuning(tables["tuning"], tables["hyperparameters"])
    )


def make_numbers(tables_dir: Path, out_file: Path) -> None:
    """Write numbers.tex: one `\\newcommand` per line, sorted, so that equal tables give equal bytes."""
    macros = collect_macros(tables_dir)
    lines = [f"\\newcommand{{\\{name}}}{{{value}}}" for name, value in sorted(macros.items())]
    write_text(out_file, "% Generated from the tables; do not edit.\n" + "\n".join(lines) + "\n")
