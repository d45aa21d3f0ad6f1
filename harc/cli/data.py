"""`harc data`: the embedded dataset (built, pinned, pulled, verified) and the public ones (listed, fetched)."""

import os
from pathlib import Path
from typing import Annotated

import typer

from harc.cli.running import PUBLIC_DATA, MirrorOption, ProfileOption, PublicDataOption, make_app
from harc.core.errors import ConfigError
from harc.core.terminal import align_columns, show

app = make_app("Build, pin, pull, verify and fetch data.")

PIN = "data.dvc"
MANIFEST = "config/data_manifest.json"


@app.command()
def build(
    profile: ProfileOption = "organism",
    out: Annotated[Path | None, typer.Option(help="Folder to write; by default the profile's own.")] = None,
) -> None:
    """Build the invented world's rows from its seed; the same seed gives the same bytes."""
    from harc.settings.profile import load_profile
    from harc.world.corpora import build_world_data

    chosen = load_profile(profile)
    folder = out or chosen.data_dir
    if (
        folder.exists()
        and not (folder / "world.json").is_file()
        and (folder.is_file() or any(folder.iterdir()))
    ):
        raise ConfigError(
            f"--out {folder}",
            expected="a new folder, or one that `harc data build` wrote: it is replaced",
            found="other files",
            fix="name another folder; nothing in this one was touched",
        )
    build_world_data(folder, chosen.world)
    show(f"built {folder} from world seed {chosen.world.seed}")


@app.command()
def pin() -> None:
    """Make the data in place the pinned version: data.dvc, the manifest, and the objects of dvc-remote/."""
    from harc.data.pins import pin_data
    from harc.data.verify import read_pin

    report = pin_data(Path.cwd(), Path(read_pin(Path(PIN))["path"]))
    show(f"pinned {len(report.files)} files; commit {PIN}, {MANIFEST} and dvc-remote/")


@app.command()
def pull(
    force: Annotated[bool, typer.Option("--force", help="Replace files that differ from the pin.")] = False,
) -> None:
    """Bring the pinned version into place with DVC (no network needed) and check every byte."""
    from harc.data.pins import pull_data

    report = pull_data(Path.cwd(), force=force)
    show(f"{report.folder}: {len(report.files)} files as pinned")


@app.command()
def verify() -> None:
    """Check the data in place against the committed manifest and the DVC pin; exit 1 on any difference."""
    from harc.data.verify import read_pin, verify_data

    report = verify_data(Path(read_pin(Path(PIN))["path"]), Path(MANIFEST), Path(PIN))
    for problem in report.problems:
        show(f"error: {problem}", err=True)
    if report.problems:
        raise typer.Exit(1)
    show(f"{report.folder}: {len(report.files)} files as pinned")


@app.command("list")
def list_datasets(
    markdown: Annotated[
        bool, typer.Option("--markdown", help="A table of every file, for docs/data.md.")
    ] = False,
) -> None:
    """List the registered public datasets with home, licence and use."""
    from harc.data.registry import load_registry, render_sources

    registry = load_registry()
    if markdown:
        show(render_sources(registry), end="")
        return
    datasets = sorted(registry.datasets.items())
    show(align_columns([(name, dataset.licence, dataset.used_for) for name, dataset in datasets]))


@app.command()
def fetch(
    names: Annotated[
        list[str] | None, typer.Argument(help="Datasets (see `harc data list`); none: all.")
    ] = None,
    out: PublicDataOption = PUBLIC_DATA,
    mirror: MirrorOption = None,
) -> None:
    """Fetch public datasets from their homes at their registered commits; wrong bytes are refused."""
    from harc.data.fetch import fetch_datasets

    for path in fetch_datasets(names or [], out, mirror=mirror):
        show(os.fspath(path))


@app.command()
def overlap(
    data: PublicDataOption = PUBLIC_DATA,
    mirror: MirrorOption = None,
    out: Annotated[Path, typer.Option(help="Table to write.")] = Path(
        "config/calibration/release_overlap.csv"
    ),
) -> None:
    """Count the prompts of published evaluations in the data that the published methods learn from.

    Numbers alone are written, each row with the commits and SHA-256 of the files behind it.
    """
    from harc.core.csv_files import write_csv
    from harc.data.fetch import fetch_datasets
    from harc.data.public_sources import DATASETS
    from harc.evaluation.calibrate_release_overlap import COLUMNS, measure_release_overlap

    fetch_datasets((*DATASETS, "cast"), data, mirror=mirror)
    write_csv(out, COLUMNS, measure_release_overlap(data))
    show(os.fspath(out))
