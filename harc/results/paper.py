"""The paper's generated inputs: copies of tables and figures, the numbers, and what made each artifact."""

import re
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from pathlib import Path

from harc.core.errors import ArtifactError
from harc.core.files import sha256_file, write_bytes, write_text
from harc.results.latex import escape_latex, make_breakable
from harc.results.macros import ablations, contrasts, evaluation, rates, study
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
        | evaluation.list_geometry(rows("geometry"))
        | evaluation.list_areas(rows("separability"))
        | evaluation.list_training(rows("training"))
        | ablations.list_arms(rows("ablations"))
        | ablations.list_grid(rows("margin_kl"))
        | ablations.list_faults(rows("faults"))
        | ablations.list_model_families(rows("families"))
        | contrasts.list_each(rows("table1"), contrasts.TABLE1_EACH)
        | contrasts.list_each(rows("controls"), contrasts.CONTROLS_EACH)
        | contrasts.list_contrasts(rows("contrasts"))
        | contrasts.list_kept(rows("suppression"))
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


HASH_LENGTH = 10  # hexadecimal digits shown; enough to tell artifacts apart at a glance
PROVENANCE, STUDY = "provenance.tex", "study.tex"
FIGURE_COMMAND = "harc step make_figure --figure {name}"
TABLE_COMMAND = "harc step make_tables"


def _list_row(name: str, command: str, artifact: Path) -> str:
    """A row of the table of provenance: an artifact's name, its command, and the start of its hash."""
    # Words stay whole, and two hyphens would set as one dash, which no shell knows.
    words = (f"\\mbox{{{escape_latex(word).replace('--', '-{}-')}}}" for word in command.split())
    shown = make_breakable(escape_latex(name))
    return f"{shown} & {' '.join(words)} & {sha256_file(artifact)[:HASH_LENGTH]} \\\\"


def _write_provenance(path: Path, rows: Sequence[str]) -> None:
    """A table that may break across pages, of what every figure and table was made by."""
    head = "artifact & command & SHA-256\\\\\n\\midrule\n"
    lines = [
        "% Generated; do not edit.",
        "\\begin{longtable}{@{}>{\\raggedright\\arraybackslash}p{0.2\\linewidth}"
        ">{\\raggedright\\arraybackslash\\ttfamily}p{0.6\\linewidth}>{\\ttfamily}l@{}}",
        f"\\toprule\n{head}\\endfirsthead\n\\toprule\n{head}\\endhead\n\\bottomrule\n\\endfoot",
        *rows,
        "\\end{longtable}",
    ]
    write_text(path, "\n".join(lines) + "\n")


def name_apart(numbers: str, prefix: str) -> str:
    """The macros of a study under names that begin with a prefix, so that two studies' stand in one text."""
    return re.sub(
        r"^\\newcommand\{\\", rf"\\newcommand{{\\{prefix.capitalize()}", numbers, flags=re.MULTILINE
    )


def _remove_old(generated_dir: Path) -> None:
    for old in sorted(generated_dir.rglob("*")) if generated_dir.is_dir() else []:
        if old.suffix in {".tex", ".pdf"}:
            old.unlink()


def collect_paper_inputs(
    tables_dir: Path,
    figures_dir: Path,
    generated_dir: Path,
    commands: Mapping[str, str] | None = None,
    numbers_file: Path | None = None,
    root_hash: str | None = None,
    compute_dir: Path | None = None,
    only: Collection[str] | None = None,
    prefix: str = "",
    has_organisms: bool = True,
) -> list[Path]:
    """Copy everything that main.tex inputs, and write what made each, and what the study is.

    Files of an earlier profile are removed first, so that a paper never mixes two.

    Args:
        tables_dir: tables, as CSV and LaTeX.
        figures_dir: figures, as PDF.
        generated_dir: folder to fill.
        commands: command by artifact name; None gives the plain `harc step` line.
        numbers_file: the macros; None takes numbers.tex among the tables.
        root_hash: of the results tree, for the text; None leaves it out.
        compute_dir: folder of the table of compute; None leaves it out.
        only: names of the files to take, so that none is shown that an earlier profile left; None takes all.
        prefix: of the study beside the main one: what its macros begin with, in capitals, and its artifacts' names.
        has_organisms: whether models of the invented world are part of the main study.

    Returns:
        The files written.

    Raises:
        ArtifactError: if the tables or the numbers have not been made.
    """
    numbers_file = numbers_file or tables_dir / "numbers.tex"
    if not numbers_file.is_file():
        raise ArtifactError(
            str(numbers_file),
            expected="the paper's numbers",
            found="no file",
            fix="run `harc step make_tables`",
        )
    commands = commands or {}
    rows: list[str] = []
    made: list[str] = []
    written: list[Path] = []
    _remove_old(generated_dir)
    folders = [tables_dir] if compute_dir is None else [tables_dir, compute_dir]
    sources = [path for folder in folders for path in sorted(folder.glob("*.tex"))]
    sources += sorted(figures_dir.glob("*.pdf"))
    sources = [source for source in sources if only is None or source.name in only]
    for source in dict.fromkeys([*sources, numbers_file]):
        target = generated_dir / source.name
        written.append(target)
        if source == numbers_file:
            write_text(target, name_apart(source.read_text(encoding="utf-8"), prefix))
            continue
        write_bytes(target, source.read_bytes())
        is_figure = source.suffix == ".pdf"
        default = FIGURE_COMMAND.format(name=source.stem) if is_figure else TABLE_COMMAND
        artifact = source if is_figure else source.with_suffix(".csv")
        name = f"{prefix}/{source.stem}" if prefix else source.stem
        if is_figure or read_table(artifact):
            made.append(f"\\expandafter\\def\\csname harc@made@{name}\\endcsname{{}}")
        rows.append(_list_row(name, commands.get(source.stem, default), artifact))
    _write_provenance(generated_dir / PROVENANCE, rows)
    study = [] if prefix else [f"\\newif\\iforganisms\\organisms{'true' if has_organisms else 'false'}"]
    if root_hash is not None and not prefix:
        study.append(f"\\newcommand{{\\roothash}}{{{escape_latex(root_hash)}}}")
    write_text(generated_dir / STUDY, "% Generated; do not edit.\n" + "\n".join([*made, *study]) + "\n")
    return [*written, generated_dir / PROVENANCE, generated_dir / STUDY]
