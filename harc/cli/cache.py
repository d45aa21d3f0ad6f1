"""`harc cache`: results trees pushed to and pulled from a DVC remote."""

from pathlib import Path
from typing import Annotated

import typer

from harc.cli.running import ProfileOption, make_app
from harc.core.errors import ConfigError
from harc.core.terminal import show

app = make_app("Push results to, and pull them from, any DVC remote.")

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


@app.command()
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


@app.command()
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
