"""`harc export`: runs and suites in the forms of other tools (docs/interoperation.md)."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from harc.cli.running import PUBLIC_DATA, MirrorOption, PublicDataOption, make_app
from harc.core.terminal import show

app = make_app("Write runs and suites in the forms of other tools.")

RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of `harc evaluate`, of one model.")]
OutOption = Annotated[Path, typer.Option(help="File or folder to write.")]
JudgeOption = Annotated[
    str | None, typer.Option(help="Judge whose labels count; the run's first by default.")
]
SuitesOption = Annotated[
    list[str] | None, typer.Option(help="Suite of the run, may be repeated; all by default.")
]
HarmfulOption = Annotated[
    bool,
    typer.Option(
        "--include-harmful", help="Write answers out that may be harmful, in place of label, length, hash."
    ),
]


@app.callback()
def group() -> None:
    """For whoever compares results across tools, or publishes them: docs/interoperation.md."""


@app.command()
def jailbreakbench(
    run: RunArgument,
    suite: Annotated[str, typer.Option(help="Suite of the run, as abuse_pair.")],
    method: Annotated[str, typer.Option(help="Name of the attack.")],
    model: Annotated[str, typer.Option(help="Name of the model, as vicuna-13b-v1.5.")],
    out: OutOption,
    attack_type: Annotated[str, typer.Option(help="black_box, white_box, transfer or manual.")] = "black_box",
    judge: JudgeOption = None,
    include_harmful: HarmfulOption = False,
) -> None:
    """Write a suite's judged answers as an attack artifact of JailbreakBench.

    \b
    Example:
        harc export jailbreakbench RUN --suite abuse --method PAIR --model mine --out artifact.json
    """
    from harc.evaluation.interoperation import exporting

    told = {"method": method, "model": model, "attack_type": attack_type}
    _export(exporting.export_jailbreakbench, run, [suite], judge, out, include=include_harmful, **told)


@app.command()
def harmbench(
    run: RunArgument,
    out: OutOption,
    suite: SuitesOption = None,
    judge: JudgeOption = None,
    include_harmful: HarmfulOption = False,
) -> None:
    """Write judged answers as a file of HarmBench's results.

    \b
    Example:
        harc export harmbench RUN --suite abuse --out results.json
    """
    from harc.evaluation.interoperation import exporting

    _export(exporting.export_harmbench, run, suite or (), judge, out, include=include_harmful)


@app.command()
def dataset(
    run: RunArgument,
    out: OutOption,
    suite: SuitesOption = None,
    judge: JudgeOption = None,
    include_harmful: HarmfulOption = False,
) -> None:
    """Write judged answers as a folder for `datasets.load_dataset`: Parquet and a card.

    \b
    Example:
        harc export dataset RUN --out judged
    """
    from harc.evaluation.interoperation import exporting

    _export(exporting.export_dataset, run, suite or (), judge, out, include=include_harmful)


@app.command("lm-eval")
def lm_eval(
    suite: Annotated[str, typer.Option(help="Shipped suite or prompt file.")],
    out: OutOption,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Longest answer, tokens.")] = 256,
    data: PublicDataOption = PUBLIC_DATA,
    mirror: MirrorOption = None,
) -> None:
    """Write a suite as a task of lm-evaluation-harness: a folder for its --include_path.

    \b
    Example:
        harc export lm-eval --suite abuse.csv --out tasks
    """
    from harc.evaluation.interoperation.lm_eval_tasks import write_task
    from harc.evaluation.own.asked import gather_rows
    from harc.evaluation.own.options import Options

    gathered, _ = gather_rows(Options(model=None, suites=(suite,), out=out, data=data, mirror=mirror))
    ((name, rows),) = gathered.items()
    left_out = write_task(rows, out, max_new_tokens)
    rest = f"; {left_out} rows with several turns, tools or no kind are left out" if left_out else ""
    show(f"wrote {out}: task harc_{name}, {len(rows) - left_out} rows{rest}")
    words = f"--include_path {out} --tasks harc_{name} --apply_chat_template"
    show(f"run: lm-eval run --model hf --model_args pretrained=MODEL {words}")


def _export(
    write: Callable[..., None],
    run: Path,
    suites: Sequence[str],
    judge: str | None,
    out: Path,
    *,
    include: bool,
    **told: str,
) -> None:
    """Read a run, write it in one of the forms, and say what of its texts is in it."""
    from harc.evaluation.interoperation import exporting

    records = exporting.read_run(run, suites)
    write(records, exporting.choose_judge(records, judge), out, include=include, **told)
    warning = exporting.warn_of_texts(records, include=include)
    show(warning, err=warning.startswith("WARNING"))
    show(f"wrote {out}")
