"""`harc new-study`: the folder of a study of one's own."""

from pathlib import Path
from typing import Annotated

import typer

from harc.core.terminal import show


def new_study(
    folder: Annotated[Path, typer.Argument(help="Folder to make; an empty one will do.")],
) -> None:
    """Lay out a study of one's own: Snakefile, settings, workflow, pinned rows, the paper's skeleton.

    Settings go into a YAML file that extends a profile (config/README.md); every number, table and figure of the
    paper is made by the run, in paper/generated.

    \b
    Example:
        harc new-study mine && cd mine
        snakemake --cores all --config profile=ci
    """
    from harc.core.shipped import lay_out_study

    lay_out_study(folder)
    show(f"made {folder}; next: `cd {folder} && snakemake --cores all --config profile=ci`, about a minute")
