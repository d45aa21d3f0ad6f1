"""The `harc` command: every step of the workflow, and every tool beside it, runnable by hand."""

import sys
import warnings
from pathlib import Path
from typing import Annotated

import typer

from harc.artifacts import Layout
from harc.cli import data, directions, settings
from harc.cli.options import ModelOption, ProfileOption
from harc.errors import HarcError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help=__doc__,
)
app.add_typer(data.app, name="data")
app.add_typer(directions.app, name="directions")
app.add_typer(settings.app, name="config")


@app.command("step")
def run_step(
    step: Annotated[str, typer.Argument(help="A step of the workflow, as in `snakemake -n`.")],
    profile: ProfileOption = "organism",
    backbone: Annotated[str | None, typer.Option(help="Backbone of the profile.")] = None,
    method: Annotated[str | None, typer.Option(help="Method of the profile, or base.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed.")] = None,
    figure: Annotated[str | None, typer.Option(help="Figure of the profile.")] = None,
    mirror: Annotated[
        Path | None,
        typer.Option(envvar="HARC_DATA_MIRROR", help="Folder that stands in for the network of public data."),
    ] = None,
) -> None:
    """Run one step of a profile, with its provenance recorded: what each workflow job does."""
    from harc.config.profile import load_profile
    from harc.pipeline import create_job, run_job

    unit = {"backbone": backbone, "method": method, "seed": seed, "figure": figure, "mirror": mirror}
    run_job(create_job(step, load_profile(profile), **unit))


@app.command()
def train(
    model: ModelOption,
    config: Annotated[
        Path,
        typer.Option(
            help="YAML file: `training`, `extraction`, `pairs` (JSONL files, relative to it), `method` (a preset and "
            "what it changes), `seed`, `dtype`, `device`; see docs/by_hand.md."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Adapter folder to write, in PEFT's form, with its logs.")],
) -> None:
    """Train one LoRA adapter on any chat model, outside the workflow.

    The run writes checkpoints beside the output folder; a run that was killed goes on from there when the same
    command is given again, and ends with the same bytes.
    """
    from harc.by_hand import train_from_files

    summary = train_from_files(model, config, out)
    resumed = f", resumed at update {summary['resumed_at']}" if summary["resumed_at"] else ""
    typer.echo(f"wrote {out}: {summary['updates']} updates in {summary['wall_s']:.0f} s{resumed}")


@app.command()
def preflight(
    profile: ProfileOption = "organism",
    mirror: Annotated[
        Path | None,
        typer.Option(envvar="HARC_DATA_MIRROR", help="Folder that stands in for the network of public data."),
    ] = None,
) -> None:
    """Say what this machine lacks for a profile: GPU, memory, disk, token, network; exit 1 if anything."""
    from harc.config.profile import load_profile
    from harc.preflight import Machine, find_profile_lacks

    chosen = load_profile(profile)
    lacks = find_profile_lacks(chosen, Machine(chosen.results_root), mirror=mirror)
    for lack in lacks:
        typer.echo(f"error: {lack}", err=True)
    if lacks:
        raise typer.Exit(1)
    typer.echo(f"{chosen.name}: nothing is missing")


@app.command()
def audit(
    path: Annotated[Path | None, typer.Argument(help="Results tree; by default the profile's.")] = None,
    profile: ProfileOption = "organism",
    out: Annotated[
        Path | None,
        typer.Option(help="Folder to write audit.json and audit.html to; by default nothing is written."),
    ] = None,
) -> None:
    """Check a results tree: what came from what, whether anything was touched; exit 1 on any finding."""
    from harc.audit import audit_results, print_report
    from harc.config.profile import load_profile
    from harc.steps.audit import audit_profile, write_report

    if path is not None:
        report = audit_results(path)
    else:
        chosen = load_profile(profile)
        report = audit_profile(chosen, Layout(chosen.results_root))
    print_report(report)
    if out is not None:
        write_report(report, out)
    if not report.ok:
        raise typer.Exit(1)


@app.command()
def claims(profile: ProfileOption = "organism") -> None:
    """Print the claims ledger with the verdicts that a finished profile gives them."""
    from harc.analysis.tables.layout import read_table
    from harc.config.profile import load_profile
    from harc.errors import ArtifactError

    path = Layout(load_profile(profile).results_root).tables / "claims.csv"
    rows = {row["claim"]: row for row in read_table(path)}
    if not rows:
        raise ArtifactError(
            str(path),
            expected="computed verdicts",
            found="none",
            fix=f"run the workflow for profile {profile}",
        )
    for claim, row in rows.items():
        typer.echo(f"{row['overall']:28} {claim}: {row['words']}")


@app.command()
def reference(
    profile: ProfileOption = "organism_study",
    name: Annotated[str, typer.Option(help="Name of the reference.")] = "organism",
) -> None:
    """Keep a finished, sound run as results/reference/<name>: everything but the weights."""
    from harc.config.profile import load_profile
    from harc.reference import update_reference

    files = update_reference(load_profile(profile).results_root, name)
    size = sum(path.stat().st_size for path in files) / 2**20
    typer.echo(f"kept {len(files)} files, {size:.1f} MiB, under results/reference/{name}")


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


def main() -> None:
    """Run the command; a known problem is one line on standard error and exit status 1."""
    # Deprecations inside other people's libraries are no news for a person who runs a step.
    warnings.filterwarnings("ignore", category=FutureWarning)
    try:
        app()
    except HarcError as problem:
        sys.stderr.write(f"error: {problem}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
