"""The list of tables and how one is found by its name; the words of tables and figures.

A table is a function `build_<name>` of the `Results` in a module of `harc.results.tables`; `harc.results.printer`
prints what it gives. A figure is a module of `harc.results.figures`, named as in a profile's `figures`. The words of
both are in `captions.yaml`.
"""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from harc.core.files import write_text
from harc.core.yaml_text import read_yaml
from harc.results.vocabulary import name_attacks

CAPTIONS = Path(__file__).parent / "captions.yaml"
# Table and its module, in the order of the report.
TABLES = {
    "table1": "rates",
    "controls": "rates",
    "comparisons": "comparisons",
    "geometry": "geometry",
    "separability": "geometry",
    "training": "training",
    "acceptance": "backbones",
    "families": "backbones",
    "ablations": "arms",
    "margin_kl": "arms",
    "faults": "arms",
    "switches": "settings",
    "conflicts": "settings",
    "hyperparameters": "settings",
    "helpfulness": "helpfulness",
    "tuning": "training",
    "scale": "scale",
    "finetuning": "robustness",
    "erosion": "robustness",
    "suppression": "suppression",
    "steering": "suppression",
    "removal_rounds": "suppression",
    "stability": "suppression",
    "trajectories": "robustness",
    "contrasts": "contrasts",
    "draws": "draws",
    "claims": "claims",
    "published": "published",
    "judges": "judging",
    "agreement": "judging",
    "subsets": "judging",
    "contamination": "contamination",
}


def locate_table(name: str) -> str:
    """Where a table is built, as `module:function`."""
    return f"harc.results.tables.{TABLES[name]}:build_{name}"


def write_tables(view: Any, folder: Path) -> list[Path]:
    """Write every table as CSV and LaTeX.

    Args:
        view: the `Results`.
        folder: to write to.

    Returns:
        The files written.

    Raises:
        HarcError: if a results file or the ledger is damaged; what is merely absent shows as n/a.
    """
    from harc.results.printer import write_table

    written = []
    for name in TABLES:
        module, _, function = locate_table(name).partition(":")
        written += write_table(getattr(import_module(module), function)(view), folder)
    return written


def read_captions(mean_attacks: Sequence[str]) -> dict[str, dict[str, dict[str, str]]]:
    """Words of tables and figures; `{over}` in them names the attacks of a mean that is not the paper's."""
    names = name_attacks(mean_attacks)
    over = f" over {names}" if names else ""
    return {
        kind: {
            name: {part: text.replace("{over}", over) for part, text in words.items()}
            for name, words in found.items()
        }
        for kind, found in read_yaml(CAPTIONS).items()
    }


def read_titles(kind: str, mean_attacks: Sequence[str]) -> dict[str, str]:
    """Titles of `tables` or `figures` by name, in the page's order; what has none stands elsewhere in the page."""
    found = read_captions(mean_attacks)[kind]
    return {name: words["title"] for name, words in found.items() if "title" in words}


def write_captions(folder: Path, mean_attacks: Sequence[str]) -> None:
    """Write the captions as Snakemake's report takes them: a file a table, and one for all outputs of a figure's rule.

    Files that hold the same already are left alone: every job of a run reads the workflow again.
    """
    words = read_captions(mean_attacks)
    texts = {f"{name}.rst": f"{found['caption']}\n" for name, found in words["tables"].items()}
    captions = {name: found["caption"] for name, found in words["figures"].items()}
    texts["figure.rst"] = f"{{{{ {captions!r}[snakemake.wildcards.figure] }}}}\n"
    for name, text in texts.items():
        path = folder / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            write_text(path, text)
