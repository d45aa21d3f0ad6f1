"""`harc judges`: what each judge is, and how far its refusals agree with people's."""

import os
from pathlib import Path
from typing import Annotated

import typer

from harc.cli.running import PUBLIC_DATA, MirrorOption, PublicDataOption, make_app
from harc.core.terminal import align_columns, show

app = make_app("List the judges, and calibrate them on human labels.")

CALIBRATION = Path("config/calibration")


@app.command("list")
def list_judges() -> None:
    """List every judge with the labels that it can give and the source of its rule."""
    from harc.judges.registry import JUDGES

    show(align_columns([(name, ", ".join(kind.labels), kind.source) for name, kind in JUDGES.items()]))


@app.command()
def calibrate(
    judge: Annotated[
        list[str] | None, typer.Option(help="Judge, may be repeated; by default every one without a model.")
    ] = None,
    profile: Annotated[
        str | None, typer.Option(help="Profile whose classifier or judge endpoint is used.")
    ] = None,
    data: PublicDataOption = PUBLIC_DATA,
    mirror: MirrorOption = None,
    out: Annotated[Path, typer.Option(help="Folder of the two tables.")] = CALIBRATION,
) -> None:
    """Compare judges of refusal with the human labels of XSTest's completions, and measure the gibberish detector.

    Writes over_refusal.csv and gibberish.csv, which the paper's table of judges is made from: numbers alone, each row
    with the commit and SHA-256 of the file behind it. Prints the summary that docs/evaluation.md holds.
    """
    from harc.core.csv_files import write_csv
    from harc.data.fetch import fetch_datasets
    from harc.evaluation import calibrate_gibberish as gibberish
    from harc.evaluation import calibrate_over_refusal as over_refusal
    from harc.judges.registry import RULE_JUDGES, make_judges
    from harc.results.printer import read_table
    from harc.settings.evaluation import EvaluationSettings
    from harc.settings.profile import load_profile

    settings = load_profile(profile).evaluation if profile else EvaluationSettings()
    names = judge or [name for name in RULE_JUDGES if name != "exact"]
    judges = make_judges(names, "", settings)
    fetch_datasets(("xstest", "coconot", "gsm8k", "humaneval"), data, mirror=mirror)
    tables = {
        "over_refusal": (over_refusal.COLUMNS, over_refusal.calibrate_judges(data, judges)),
        "gibberish": (gibberish.COLUMNS, gibberish.calibrate_gibberish(data)),
    }
    for name, (columns, rows) in tables.items():
        write_csv(out / f"{name}.csv", columns, rows)
        show(os.fspath(out / f"{name}.csv"))
    for line in over_refusal.summarise_calibration(read_table(out / "over_refusal.csv")):
        show(line)
