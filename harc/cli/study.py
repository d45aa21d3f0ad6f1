"""`harc new-study` and `harc reference`: laying a study out, keeping one, unpacking one."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from harc.cli.running import ProfileOption, StrictApp
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


class PackingGroup(TyperGroup):
    """A group that packs where no command is named: `harc reference --profile NAME`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the command's name before its options."""
        named = args[:1] and (args[0] in self.commands or args[0] == "--help")
        return super().parse_args(ctx, args if named else ["pack", *args])


app = StrictApp(
    cls=PackingGroup, rich_markup_mode=None, help="Committed studies: pack a run, unpack its tree."
)


@app.command()
def pack(
    profile: ProfileOption = "organism_study",
    name: Annotated[str, typer.Option(help="Name of the reference.")] = "organism",
) -> None:
    """Pack a finished, sound run into results/reference/<name>: all but what can be made again."""
    from harc.audit.keep import update_reference
    from harc.settings.profile import load_profile

    files = update_reference(load_profile(profile).results_root, name)
    size = sum(path.stat().st_size for path in files) / 2**20
    show(f"packed into {len(files)} files, {size:.1f} MiB, under results/reference/{name}")


@app.command()
def unpack(
    name: Annotated[str, typer.Argument(help="Committed study: results/reference/NAME.")] = "organism",
    to: Annotated[
        Path | None, typer.Option(help="New folder for its tree; by default results/unpacked/NAME.")
    ] = None,
) -> None:
    """Write the tree of a committed study, every file as it was when it was packed."""
    from harc.steps.reference import unpack_reference, unpack_to

    tree = unpack_reference(name) if to is None else unpack_to(name, to)
    show(f"unpacked into {tree}")
