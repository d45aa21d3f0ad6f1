"""`harc reference`: keep a finished run as a committed study, packed, and get its tree back."""

from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperGroup

from harc.cli.options import ProfileOption
from harc.cli.running import StrictApp
from harc.core.terminal import show

# Without a word the group is a command itself.
app = StrictApp(cls=TyperGroup, rich_markup_mode=None)


@app.callback(invoke_without_command=True)
def pack(
    context: typer.Context,
    profile: ProfileOption = "organism_study",
    name: Annotated[str, typer.Option(help="Name of the reference.")] = "organism",
) -> None:
    """Pack a finished, sound run into results/reference/<name>: all but what can be made again."""
    if context.invoked_subcommand is not None:
        return
    from harc.settings.profile import load_profile
    from harc.steps.reference import update_reference

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
