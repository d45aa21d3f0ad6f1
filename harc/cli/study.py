"""Whole studies: `harc new-study` lays one out, `harc reference` packs one, `harc cache` pushes and pulls results."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from harc.cli.running import ProfileOption, StrictApp, make_app
from harc.core.errors import ConfigError
from harc.core.terminal import show


def new_study(
    folder: Annotated[Path, typer.Argument(help="Folder to make; an empty one will do.")],
) -> None:
    """Lay out a study of one's own: Snakefile, settings, workflow, pinned rows, the paper's skeleton.

    Settings go into a YAML file that extends a profile (config/README.md); every number, table and figure of the
    paper is made by the run, in paper/generated. The tutorial's rows lie in examples (docs/tutorial.md).

    \b
    Example:
        harc new-study mine && cd mine
        snakemake --cores all --config profile=ci
    """
    from harc.core.shipped import lay_out_study

    lay_out_study(folder)
    show(f"made {folder}; next: `cd {folder} && snakemake --cores all --config profile=ci`, about a minute")


NameOption = Annotated[str, typer.Option("--name", help="Name of the reference.")]


class PackingGroup(TyperGroup):
    """A group that packs where no command is named: `harc reference --profile NAME`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the command's name before its options."""
        named = args[:1] and (args[0] in self.commands or args[0] == "--help")
        return super().parse_args(ctx, args if named else ["pack", *args])


reference = StrictApp(
    cls=PackingGroup,
    rich_markup_mode=None,
    help="Committed studies: pack a run, unpack its tree, write an RO-Crate; keep and restore one that is under way.",
)


@reference.command()
def pack(
    profile: ProfileOption = "organism_study",
    name: NameOption = "organism",
) -> None:
    """Pack a finished, sound run into results/reference/<name>: all but what can be made again."""
    from harc.audit.keep import update_reference
    from harc.audit.study import choose_form
    from harc.settings.profile import load_profile
    from harc.steps.checks import refuse_rehearsal

    study = load_profile(profile)
    refuse_rehearsal(study)
    form = choose_form(public=study.data.source == "public")
    files = update_reference(study.results_root, name, form=form)
    size = sum(path.stat().st_size for path in files) / 2**20
    show(f"packed into {len(files)} files, {size:.1f} MiB, under results/reference/{name}")


@reference.command()
def keep(
    profile: ProfileOption = "organism_study",
    name: NameOption = "organism",
) -> None:
    """Pack the finished jobs of a study that is under way into results/reference/<name>."""
    from harc.audit.keep import keep_progress
    from harc.settings.profile import load_profile

    finished, count = keep_progress(load_profile(profile), name)
    show(f"packed {finished} of {count} jobs under results/reference/{name}")


@reference.command()
def restore(
    profile: ProfileOption = "organism_study",
    name: NameOption = "organism",
) -> None:
    """Bring what `keep` packed back into the profile's results tree; what lies there already stays."""
    from harc.settings.profile import load_profile
    from harc.steps.reference import require_progress, restore_progress

    require_progress(name)
    root = load_profile(profile).results_root
    show(f"restored {len(restore_progress(name, root))} files into {root}")


@reference.command()
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


@reference.command()
def crate(
    name: Annotated[str, typer.Argument(help="Committed study: results/reference/NAME.")],
    out: Annotated[Path, typer.Option(help="Folder to make; an empty one will do.")],
) -> None:
    """Write a committed study as an RO-Crate, with the workflow and settings, for repositories and WorkflowHub.

    \b
    Example:
        harc reference crate organism --out FOLDER
    """
    from harc.audit.crate import write_crate

    files = write_crate(name, out)
    size = sum(path.stat().st_size for path in files) / 2**20
    show(f"wrote {len(files)} files, {size:.1f} MiB; {files[0]} describes them")


cache = make_app("Push results to, and pull them from, any DVC remote.")

RemoteOption = Annotated[
    str,
    typer.Option(
        "--remote", help="Address of a DVC remote: a folder, s3://bucket/path, ssh://host/path, ..."
    ),
]
PinOption = Annotated[
    Path | None,
    typer.Option("--pin", help="Pin of the pushed tree; by default config/results/<profile>.json."),
]
SettingOption = Annotated[
    list[str] | None,
    typer.Option(
        "--option", help="Option of the remote, KEY=VALUE, such as endpointurl=http://127.0.0.1:9000."
    ),
]


def _read_options(given: list[str] | None) -> dict[str, str]:
    options = {}
    for word in given or []:
        key, separator, value = word.partition("=")
        if not separator or not key:
            raise ConfigError("--option", expected="KEY=VALUE", found=word, fix="write both")
        options[key] = value
    return options


@cache.command()
def push(
    remote: RemoteOption,
    profile: ProfileOption = "organism",
    pin: PinOption = None,
    option: SettingOption = None,
) -> None:
    """Send results/<profile>, with the workflow's records of it, to a remote; write the pin that finds it again."""
    from harc.audit.cache_pin import default_pin
    from harc.audit.cache_store import push_results
    from harc.settings.profile import load_profile

    chosen = load_profile(profile)
    place = pin or default_pin(chosen.name)
    pushed = push_results(chosen, remote, place, _read_options(option))
    size = pushed.tree["size"] / 2**20
    show(f"pushed {pushed.tree['nfiles']} files, {size:.1f} MiB; root hash {pushed.root_hash}; pin {place}")


@cache.command()
def pull(
    remote: RemoteOption,
    profile: ProfileOption = "organism",
    pin: PinOption = None,
    option: SettingOption = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a tree that is there.")] = False,
) -> None:
    """Bring a pushed tree into results/<profile>; the workflow takes it as its own where nothing has changed."""
    from harc.audit.cache_pin import default_pin
    from harc.audit.cache_store import pull_results
    from harc.settings.profile import load_profile

    chosen = load_profile(profile)
    place = pin or default_pin(chosen.name)
    pulled, records = pull_results(chosen, remote, place, _read_options(option), force=force)
    show(f"pulled {pulled.tree['nfiles']} files, {records} records; root hash {pulled.root_hash} as pinned")
    if chosen.data.source == "dvc":
        from harc.data.pins import pull_data

        show(f"{pull_data(Path()).folder}: rows as pinned")
    elif not chosen.data_dir.is_relative_to(chosen.results_root):
        show(f"rows are not part of it: run `harc step pull_data --profile {chosen.source}`")
    show(f"next: `harc audit --profile {chosen.source}`")
