"""The `harc` command: every step of the workflow, and every tool beside it, runnable by hand."""

import os
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from harc import __version__
from harc.cli import adapter, data, export, judges, monitor, settings
from harc.cli.by_hand import directions, train
from harc.cli.evaluate import GUIDE, evaluate
from harc.cli.running import MirrorOption, ProfileOption, make_app, run_command
from harc.cli.study import cache, new_study, reference
from harc.cli.worker import hand_over
from harc.core.artifacts import Layout
from harc.core.terminal import show

app = make_app(__doc__)
app.add_typer(adapter.app, name="adapter")
app.add_typer(cache, name="cache")
app.add_typer(data.app, name="data")
app.add_typer(directions, name="directions")
app.add_typer(export.app, name="export")
app.add_typer(judges.app, name="judges")
app.add_typer(monitor.app, name="monitor")
app.add_typer(reference, name="reference")
app.add_typer(settings.app, name="config")
app.command(help=GUIDE)(evaluate)
app.command("new-study")(new_study)
app.command()(train)


def _print_version(wanted: bool) -> bool:
    if wanted:
        show(f"harc {__version__}")
        raise typer.Exit
    return wanted


@app.callback()
def group(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Take what stands before the command's name."""


@app.command("step")
def run_step(
    step: Annotated[str, typer.Argument(help="A step of the workflow, as in `snakemake -n`.")],
    profile: ProfileOption = "organism",
    backbone: Annotated[str | None, typer.Option(help="Backbone of the profile.")] = None,
    method: Annotated[str | None, typer.Option(help="Method of the profile, or base.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed.")] = None,
    figure: Annotated[str | None, typer.Option(help="Figure of the profile.")] = None,
    reference: Annotated[
        str | None,
        typer.Option(
            help="Committed study (results/reference/NAME) to read in place of the profile's own run."
        ),
    ] = None,
    mirror: MirrorOption = None,
    planned: Annotated[
        str | None,
        typer.Option(
            envvar="HARC_PLANNED", hidden=True, help="Fingerprint that the workflow knows the job by."
        ),
    ] = None,
) -> None:
    """Run one step of a profile, with its provenance recorded: what each workflow job does."""
    from harc.settings.profile import load_profile
    from harc.steps.checks import check_job
    from harc.steps.commands import create_job
    from harc.steps.running import run_job

    unit = {"backbone": backbone, "method": method, "seed": seed, "figure": figure, "mirror": mirror}
    job = create_job(step, load_profile(profile), reference, **unit)
    check_job(job)
    run_job(job, planned)


@app.command()
def preflight(
    profile: ProfileOption = "organism",
    mirror: MirrorOption = None,
) -> None:
    """Say what this machine lacks for a profile: GPU, memory, disk, token, network; exit 1 if anything."""
    from harc.settings.profile import load_profile
    from harc.steps.machine import Machine
    from harc.steps.preflight import find_profile_lacks, find_remarks

    chosen = load_profile(profile)
    machine = Machine(chosen.results_root)
    for remark in find_remarks(chosen.all_backbones, machine):
        show(f"note: {remark}", err=True)
    lacks = find_profile_lacks(chosen, machine, mirror=mirror)
    for lack in lacks:
        show(f"error: {lack}", err=True)
    if lacks:
        raise typer.Exit(1)
    show(f"{chosen.name}: nothing is missing")


@app.command()
def audit(
    path: Annotated[Path | None, typer.Argument(help="Results tree; by default the profile's.")] = None,
    profile: ProfileOption = "organism",
    out: Annotated[
        Path | None,
        typer.Option(help="Folder to write audit.json and audit.html to; by default nothing is written."),
    ] = None,
    recompute: Annotated[
        int, typer.Option(min=0, help="Steps to run again in part, chosen at random; see docs/audit.md.")
    ] = 0,
    seed: Annotated[int, typer.Option(help="Seed of that choice.")] = 0,
    full: Annotated[
        bool, typer.Option("--full", help="Run every step again beside the tree, and compare the two.")
    ] = False,
    into: Annotated[
        Path | None, typer.Option(help="Folder of that second tree; by default results/<profile>_again.")
    ] = None,
) -> None:
    """Check a results tree: what came from what, whether anything was touched; exit 1 on any finding."""
    from harc.audit import audit_results, print_report
    from harc.audit.step import audit_profile, write_report
    from harc.core.errors import ConfigError
    from harc.settings.profile import load_profile

    if full and path is not None:
        raise ConfigError(
            "--full", expected="a profile, whose steps can be run", found=str(path), fix="use --profile"
        )
    if path is not None:
        root, report = path, audit_results(path)
    else:
        root = load_profile(profile).results_root
        report = audit_profile(load_profile(profile), Layout(root))
    if out is not None:
        write_report(report, out)
    if recompute:
        from harc.audit.recompute import recompute_sample

        report = recompute_sample(report, root, recompute, seed)
        if out is not None:
            write_report(report, out)
    print_report(report)
    if not report.ok:
        raise typer.Exit(1)
    if full:
        _audit_in_full(profile, into)


def _audit_in_full(profile: str, into: Path | None) -> None:
    """Run a sound tree's profile again and compare; exit 1 if anything differs."""
    from harc.audit.comparison import print_comparison
    from harc.audit.recompute import rerun_everything
    from harc.settings.profile import load_profile

    chosen = load_profile(profile)
    other = into or chosen.results_root.with_name(f"{chosen.results_root.name}_again")
    found = rerun_everything(chosen, other)
    print_comparison(found)
    if not found.ok():
        raise typer.Exit(1)


@app.command()
def compare(
    a: Annotated[Path, typer.Argument(help="Results tree.")],
    b: Annotated[Path, typer.Argument(help="Results tree, such as results/reference/organism.")],
    tolerance: Annotated[
        float, typer.Option(min=0, help="Relative difference up to which two numbers are the same.")
    ] = 0.0,
    common: Annotated[bool, typer.Option("--common", help="Leave out files that one tree lacks.")] = False,
    intervals: Annotated[
        bool,
        typer.Option(
            "--intervals", help="Exit 1 only for numbers whose intervals are apart; the rest is listed."
        ),
    ] = False,
    shown: Annotated[int, typer.Option(min=0, help="Differences printed of each file.")] = 5,
    draws: Annotated[
        bool,
        typer.Option(
            "--draws",
            help="Say instead whether A's draws fall where B, a study of several, expects one more.",
        ),
    ] = False,
    out: Annotated[Path | None, typer.Option(help="JSON file to write with every difference.")] = None,
) -> None:
    """Say what differs between two results trees, file by file and number by number; exit 1 if anything does.

    With --draws: whether each rate of a fresh run A lies where the study B expects one more draw; exit 0 either way.
    """
    from harc.audit.comparison import compare_trees, print_comparison
    from harc.core.files import write_json

    if draws:
        from harc.audit.expectations import place_draws, print_placed

        placed = place_draws(a, b)
        print_placed(placed, shown=shown)
        if out is not None:
            write_json(out, [each.as_json() for each in placed])
        return
    found = compare_trees(a, b, tolerance=tolerance)
    print_comparison(found, shown=shown)
    if out is not None:
        write_json(out, found.as_json())
    if not found.ok(common=common, intervals=intervals):
        raise typer.Exit(1)


@app.command()
def claims(
    profile: ProfileOption = "organism",
    reference: Annotated[
        str | None,
        typer.Option(help="Committed study (results/reference/NAME) in place of the profile's run."),
    ] = None,
) -> None:
    """Print the claims ledger: its hash, the verdicts that a finished run gives, how many of each."""
    from harc.results.claims import format_ledger
    from harc.settings.profile import load_profile
    from harc.steps.reference import REFERENCE, locate_reference

    root = load_profile(profile).results_root
    if reference is not None:
        locate_reference(reference)
        root = REFERENCE / reference  # tables stand for themselves in a pack
    show(format_ledger(Layout(root).tables / "claims.csv", f"run the workflow for profile {profile}"))


@app.command()
def tuned(
    profile: ProfileOption = "organism_draws",
    name: Annotated[str, typer.Option(help="Name of the settings: config/tuned/<name>.yaml.")] = "organism",
) -> None:
    """Take what `snakemake tune` chose into the configuration, with every point that was tried."""
    from harc.evaluation.tuning import adopt_tuned
    from harc.settings.profile import load_profile

    for path in adopt_tuned(Layout(load_profile(profile).results_root).tuning, name):
        show(f"wrote {path}")


@app.command()
def progress(profile: ProfileOption = "organism") -> None:
    """Say how far a run is: finished jobs by step, and about how many hours are left on this machine's cores."""
    from harc.core.artifacts import Layout
    from harc.settings.profile import load_profile
    from harc.steps.progress import format_progress

    chosen = load_profile(profile)
    show(format_progress(chosen, Layout(chosen.results_root), os.cpu_count() or 1))


@app.command()
def summary(
    profile: ProfileOption = "organism",
    started: Annotated[int, typer.Option(help="Start of the run, seconds since 1970.")] = 0,
    failed: Annotated[bool, typer.Option("--failed", help="The run did not end well.")] = False,
) -> None:
    """Say where a run's PDF, report and tables are, and how long it took."""
    from harc.settings.profile import load_profile
    from harc.steps.summary import format_summary

    chosen = load_profile(profile)
    if chosen.rehearsal:
        from harc.rehearsal.report import format_rehearsal
        from harc.rehearsal.run import locate_stand_ins
        from harc.rehearsal.stand_ins import find_rehearsed

        seconds = time.time() - started if started else None
        real = find_rehearsed(locate_stand_ins(chosen.name))
        show(format_rehearsal(chosen, real, seconds=seconds), err=True)
    else:
        show(format_summary(chosen, started=started, failed=failed), err=True)


@app.command()
def rehearse(
    profile: Annotated[str, typer.Argument(help="Profile on published models: small, paper, large.")],
    cores: Annotated[int | None, typer.Option(min=1, help="Processor cores; by default all.")] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Make the stand-ins, list the jobs, and run none.")
    ] = False,
) -> None:
    """Run a profile's whole workflow on stand-ins made on the spot: tiny models, invented rows, servers on loopback.

    Nothing is downloaded and no GPU is needed. Results lie under results/rehearsal, every page, table and figure of
    them marked; give the command again after a fault, finished jobs are kept.
    """
    import subprocess

    from harc.rehearsal.run import check_profile

    check_profile(profile)
    command = [str(Path(sys.executable).with_name("snakemake")), "--cores", str(cores or "all")]
    command += ["--dry-run", "--quiet"] if plan else ["--keep-going"]
    done = subprocess.run([*command, "--config", f"profile={profile}", "rehearse=true"], check=False)
    raise typer.Exit(min(done.returncode, 1))


@app.command()
def estimate(
    profile: Annotated[
        str, typer.Argument(help="Profile on published models: small, paper, large, smol, smollm2.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, hours and GB as numbers.")] = False,
) -> None:
    """Say what a profile on published models will need: hours by step, memory of a device, disk.

    Counted from its settings and its models' shapes, at rates that were measured once; nothing is loaded or downloaded.

    \b
    Example:
        harc estimate paper
    """
    import json

    from harc.rehearsal.estimate import estimate_profile
    from harc.rehearsal.estimate_text import export_estimate, format_estimate
    from harc.settings.profile import load_profile

    chosen = load_profile(profile)
    found = estimate_profile(chosen)
    show(json.dumps(export_estimate(found), indent=1) if as_json else format_estimate(chosen, found))


def run_words(words: Sequence[str]) -> int:
    """Run a command line; whatever goes wrong is one line on standard error (see harc.cli.running)."""
    # Deprecations inside other people's libraries are no news for a person who runs a step.
    warnings.filterwarnings("ignore", category=FutureWarning)
    return run_command(app, words)


def main() -> None:
    """Run the command, a step in the run's worker where there is one."""
    words = sys.argv[1:]
    try:
        status = hand_over(words) if words[:1] == ["step"] else None
    except KeyboardInterrupt:
        status = 130
    sys.exit(run_words(words) if status is None else status)


if __name__ == "__main__":
    main()
