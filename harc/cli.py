"""The `harc` command: every step of the workflow, and every tool beside it, runnable by hand."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from harc.errors import HarcError

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, help=__doc__)
data_app = typer.Typer(no_args_is_help=True, help="Build, pull, check and fetch data.")
directions_app = typer.Typer(no_args_is_help=True, help="Extract harmfulness and refusal directions.")
config_app = typer.Typer(no_args_is_help=True, help="Show, check and document settings.")
app.add_typer(data_app, name="data")
app.add_typer(directions_app, name="directions")
app.add_typer(config_app, name="config")

ProfileOption = Annotated[str, typer.Option("--profile", help="Profile name or YAML path.")]


@app.command("step")
def run_step(
    step: Annotated[str, typer.Argument(help="A step of the workflow, as in `snakemake -n`.")],
    profile: ProfileOption = "organism",
    backbone: Annotated[str | None, typer.Option(help="Backbone of the profile.")] = None,
    method: Annotated[str | None, typer.Option(help="Method of the profile, or base.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed.")] = None,
    figure: Annotated[str | None, typer.Option(help="Figure of the profile.")] = None,
) -> None:
    """Run one step of a profile, with its provenance recorded: what each workflow job does."""
    from harc.config.profile import load_profile
    from harc.pipeline import create_job, run_job

    run_job(
        create_job(step, load_profile(profile), backbone=backbone, method=method, seed=seed, figure=figure)
    )


@app.command()
def summary(
    profile: ProfileOption = "organism",
    started: Annotated[int, typer.Option(help="Start of the run, seconds since 1970.")] = 0,
    failed: Annotated[bool, typer.Option("--failed", help="The run did not end well.")] = False,
) -> None:
    """Say where a run's PDF, report and tables are, and how long it took."""
    from harc.config.profile import load_profile
    from harc.summary import format_summary

    typer.echo(format_summary(load_profile(profile), started=started, failed=failed), err=True)


@config_app.command("check")
def check_config(profile: ProfileOption = "organism") -> None:
    """Check a profile and say what it would run."""
    from harc.config.profile import load_profile

    found = load_profile(profile)
    backbones, methods = ", ".join(found.backbones), ", ".join(["base", *found.methods])
    typer.echo(f"{found.name}: {found.description}")
    typer.echo(f"backbones: {backbones}\nmethods: {methods}\nseeds: {', '.join(map(str, found.seeds))}")


@config_app.command("show")
def show_config(profile: ProfileOption = "organism") -> None:
    """Print every setting of a profile, defaults included, as YAML."""
    import yaml

    from harc.config.profile import load_profile

    typer.echo(yaml.safe_dump(load_profile(profile).model_dump(mode="json"), sort_keys=False), nl=False)


@config_app.command("schema")
def write_schema(
    out: Annotated[Path, typer.Option(help="File to write.")] = Path("workflow/schemas/profile.schema.json"),
) -> None:
    """Write the JSON schema of a profile, generated from the settings models."""
    from harc.config.profile import Profile
    from harc.files import write_json

    write_json(out, Profile.model_json_schema())


def main() -> None:
    """Run the command; a known problem is one line on standard error and exit status 1."""
    try:
        app()
    except HarcError as problem:
        sys.stderr.write(f"error: {problem}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
