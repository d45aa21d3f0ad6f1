"""`harc judges`: what each judge is, how far its refusals agree with people's, and answers to be read by hand."""

import os
from pathlib import Path
from typing import Annotated

import typer

from harc.cli.running import PUBLIC_DATA, MirrorOption, ProfileOption, PublicDataOption, make_app
from harc.core.terminal import align_columns, show

app = make_app("List the judges, calibrate them on human labels, and have their verdicts read.")

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
    out: Annotated[
        Path | None, typer.Option(help="Folder of the tables; with --labels none are written without it.")
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="Labels of your own (CSV, JSONL): label, and prompt and answer, or id with --run."),
    ] = None,
    run: Annotated[Path | None, typer.Option(help="Folder of `harc evaluate` that the ids are of.")] = None,
    judge_config: Annotated[
        Path | None, typer.Option(help="With --labels: YAML file with the models behind judges.")
    ] = None,
) -> None:
    """Compare judges of refusal with the human labels of XSTest's completions, and measure the gibberish detector.

    With --labels: compare every judge at hand with labels of your own (refused, answered, broken, unsure), and say
    which to take and which two disagree.

    Writes over_refusal.csv and gibberish.csv, which the paper's table of judges is made from, and, of the trained judge
    on held-out models, refusal_classifier.csv and reliability.csv: numbers alone, with the SHA-256 of the file behind
    them. Prints the summaries that docs/evaluation.md holds.
    """
    if labels is not None or run is not None or judge_config is not None:
        _calibrate_on(labels, run, tuple(judge or ()), judge_config, profile, data, mirror, out)
        return
    out = out or CALIBRATION
    from harc.core.csv_files import write_csv
    from harc.data.fetch import fetch_datasets
    from harc.evaluation import calibrate_gibberish as gibberish
    from harc.evaluation import calibrate_over_refusal as over_refusal
    from harc.evaluation import calibrate_refusal_classifier as classifier
    from harc.evaluation.train_judge import prepare_parameters
    from harc.judges.registry import RULE_JUDGES, make_judges
    from harc.results.printer import read_table
    from harc.settings.evaluation import EvaluationSettings
    from harc.settings.profile import load_profile

    settings = load_profile(profile).evaluation if profile else EvaluationSettings()
    names = judge or [name for name in RULE_JUDGES if name != "exact"]
    judges = make_judges(names, "", settings, prepare_parameters(names, data, mirror))
    fetch_datasets(("xstest", "coconot", "gsm8k", "humaneval"), data, mirror=mirror)
    held_out, reliability = classifier.measure_from_folder(data)
    tables = {
        "over_refusal": (over_refusal.COLUMNS, over_refusal.calibrate_judges(data, judges)),
        "gibberish": (gibberish.COLUMNS, gibberish.calibrate_gibberish(data)),
        "refusal_classifier": (classifier.COLUMNS, held_out),
        "reliability": (classifier.RELIABILITY_COLUMNS, reliability),
    }
    for name, (columns, rows) in tables.items():
        write_csv(out / f"{name}.csv", columns, rows)
        show(os.fspath(out / f"{name}.csv"))
    for line in over_refusal.summarise_calibration(read_table(out / "over_refusal.csv")):
        show(line)
    for line in classifier.summarise_classifier(read_table(out / "refusal_classifier.csv")):
        show(line)


def _calibrate_on(
    labels: Path | None,
    run: Path | None,
    names: tuple[str, ...],
    judge_config: Path | None,
    profile: str | None,
    data: Path,
    mirror: Path | None,
    out: Path | None,
) -> None:
    from harc.core.csv_files import write_csv
    from harc.core.errors import ConfigError
    from harc.evaluation.own import labels as own

    if labels is None or profile is not None:
        raise ConfigError(
            "harc judges calibrate",
            expected="--labels with --run and --judge-config, and no --profile",
            found="no --labels" if labels is None else "--profile",
            fix="name the file with your labels"
            if labels is None
            else "name models of judges in --judge-config",
        )
    records, remarks = own.read_labels(labels, run)
    judges, left_out = own.gather_judges(names, judge_config, data, mirror)
    agreement, confusion, warnings = own.compare_judges(records, judges)
    show(own.format_comparison(agreement, confusion))
    show()
    if out is not None:
        write_csv(out / "agreement.csv", own.COLUMNS, agreement)
        write_csv(out / "confusion.csv", own.CONFUSION_COLUMNS, confusion)
        show(f"wrote {out / 'agreement.csv'} and {out / 'confusion.csv'}")
    told = own.describe_labels(records, [*remarks, *left_out])
    for line in (*told, *warnings, *own.choose_by_labels(agreement)):
        show(line)


READING = "reading"  # folder of a results tree, which git ignores: its files hold answers to harmful requests


def _find_folder(profile: str, out: Path | None) -> tuple[Path, Path]:
    """The results tree of a profile, and a folder in it.

    Raises:
        ConfigError: for a folder outside the tree: answers to harmful requests stay where git ignores them.
    """
    from harc.core.errors import ConfigError
    from harc.settings.profile import load_profile

    root = load_profile(profile).results_root
    folder = out or root / READING
    if not folder.resolve().is_relative_to(root.resolve()):
        raise ConfigError(
            "--out",
            expected=f"a folder in {root}, which git ignores",
            found=os.fspath(folder),
            fix="leave it out: answers to harmful requests stay there",
        )
    return root, folder


@app.command()
def sample(
    profile: ProfileOption,
    per_model: Annotated[int, typer.Option(min=1, help="Answers of each backbone.")] = 200,
    judge: Annotated[
        str | None, typer.Option(help="By whose labels they are drawn; the profile's first judge by default.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of drawing and order.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder in the profile's results.")] = None,
) -> None:
    """Draw answers to be labelled by reading them, blind to model and method.

    Writes sample.csv, whose column label is for the reader (refused, answered, broken, unsure), and key.csv, which is
    not to be opened before. Both hold answers to harmful requests or lead to them, and stay in the profile's results.
    """
    from harc.evaluation.reading_sample import draw_sample, find_answers, write_sample
    from harc.settings.profile import load_profile

    root, folder = _find_folder(profile, out)
    decides = judge or load_profile(profile).evaluation.judges[0]
    rows, key = draw_sample(find_answers(root / "generations"), per_model, decides, seed)
    write_sample(folder, rows, key)
    show(f"{folder}: {len(rows)} answers to read; then `harc judges agree --profile {profile}`")


@app.command()
def agree(
    profile: ProfileOption,
    out: Annotated[Path | None, typer.Option(help="Folder of the sample.")] = None,
) -> None:
    """Compare every judge with the labels that a reader wrote into the sample, weighted back to all answers.

    Writes agreement.csv (accuracy and kappa with intervals) and confusion.csv beside it: labels alone, no texts.
    """
    from harc.core.csv_files import write_csv
    from harc.evaluation import reading_agreement as reading

    _, folder = _find_folder(profile, out)
    agreement, confusion = reading.measure_reading(reading.read_sample(folder))
    write_csv(folder / "agreement.csv", reading.COLUMNS, agreement)
    write_csv(folder / "confusion.csv", reading.CONFUSION_COLUMNS, confusion)
    for line in reading.summarise_reading(agreement):
        show(line)
