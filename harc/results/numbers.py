"""LaTeX macros for every number, and every word that depends on one, in the paper's text; from the tables."""

from functools import cache
from pathlib import Path

from harc.core.files import write_text
from harc.results.macros import ablations, evaluation, geometry, rates, study
from harc.results.macros.rows import Rows
from harc.results.printer import read_table


def collect_macros(tables_dir: Path) -> dict[str, str]:
    """Every macro by name, without the backslash."""

    @cache
    def rows(name: str) -> Rows:
        return read_table(tables_dir / f"{name}.csv")

    return (
        study.list_setup(rows)
        | study.list_counts(rows("table1"), rows("controls"))
        | study.list_unmet(rows("acceptance"))
        | study.list_tuning(rows("tuning"), rows("hyperparameters"))
        | rates.list_rates(rows("table1"), rates.TABLE1_RATES)
        | rates.list_rates(rows("controls"), rates.CONTROL_RATES)
        | rates.list_differences(rows("comparisons"))
        | rates.list_finetuning(rows("finetuning"))
        | rates.list_trajectories(rows("trajectories"))
        | geometry.list_geometry(rows("geometry"))
        | geometry.list_areas(rows("separability"))
        | geometry.list_training(rows("training"))
        | ablations.list_arms(rows("ablations"))
        | ablations.list_grid(rows("margin_kl"))
        | ablations.list_faults(rows("faults"))
        | ablations.list_model_families(rows("families"))
        | evaluation.list_claims(rows("claims"))
        | evaluation.list_published(rows("published"))
        | evaluation.list_judges(rows("judges"))
        | evaluation.list_agreement(rows("agreement"))
        | evaluation.list_contamination(rows("contamination"))
    )


def make_numbers(tables_dir: Path, out_file: Path) -> None:
    """Write numbers.tex: one `\\newcommand` per line, sorted, so that equal tables give equal bytes."""
    macros = collect_macros(tables_dir)
    lines = [f"\\newcommand{{\\{name}}}{{{value}}}" for name, value in sorted(macros.items())]
    write_text(out_file, "% Generated from the tables; do not edit.\n" + "\n".join(lines) + "\n")
