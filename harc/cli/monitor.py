"""`harc monitor`: flags from a model's own states, calibrated, on files of prompts, and looked at token by token."""

from pathlib import Path
from typing import Annotated

import typer

from harc.cli.running import DeviceOption, DtypeOption, make_app
from harc.core.errors import DataError
from harc.core.terminal import align_columns, show
from harc.core.untrusted import escape_control

GUIDE = """What a model's own states say of a prompt and of its answer, for safety teams.

\b
Axes, each a cosine of the residual stream with a direction of `harc directions extract`:
    prompt_harm    v_harm at the user's last token
    prompt_ref     v_ref at the prompt's last token
    response_harm  v_harm_resp, mean of the response's first tokens
    response_ref   v_ref_resp, likewise
    combined       a log-odds of all of them

In your own process: harc.geometry.monitor.Monitor (docs/monitor.md). A flag is a reason to look, and no verdict:
directions miss harm that the model does not see as harm.
"""

app = make_app(GUIDE)

ModelOption = Annotated[
    str,
    typer.Option(help="Folder, hub id (owner/name or owner/name@revision), or wheel (name==version)."),
]
AdapterOption = Annotated[
    str | None,
    typer.Option(help="Folder of a LoRA adapter or of a steering, or owner/name/folder of the hub."),
]
MonitorOption = Annotated[Path, typer.Option(help="File that `harc monitor calibrate` wrote.")]
PromptsOption = Annotated[
    list[Path], typer.Option(help="Prompt file (.csv, .jsonl), as for `harc evaluate`; may be repeated.")
]
BatchOption = Annotated[int, typer.Option(min=1, help="Prompts answered together.")]


@app.command()
def calibrate(
    model: ModelOption,
    directions: Annotated[Path, typer.Option(help="Directions of this model: `harc directions extract`.")],
    prompts: PromptsOption,
    out: Annotated[Path, typer.Option(help="JSON file to write.")],
    adapter: AdapterOption = None,
    false_positive_rate: Annotated[
        float, typer.Option(min=1e-4, max=0.5, help="Share of benign prompts that an axis may flag.")
    ] = 0.01,
    slot: Annotated[
        int | None, typer.Option(min=0, help="Slot of every axis; by default each where it tells best.")
    ] = None,
    max_new_tokens: Annotated[
        int, typer.Option(min=0, help="Response tokens that count; 0 reads prompts alone.")
    ] = 32,
    batch_size: BatchOption = 8,
    seed: Annotated[int, typer.Option(help="Of the split of the prompts.")] = 0,
    dtype: DtypeOption = "float32",
    device: DeviceOption = "cpu",
) -> None:
    """Choose slots, weights and thresholds on prompts of both kinds, and say how good they are on others.

    A fifth of the prompts chooses slots and weights, half of them the thresholds, and the rest is held out. Every row
    needs a kind, harmful or benign. A false positive rate of 1% takes 200 benign prompts: 100 of them for the
    threshold. Take others than those that the directions were read from.

    \b
    Example:
        harc monitor calibrate --model MODEL --directions directions.safetensors --prompts prompts.csv \\
            --false-positive-rate 0.05 --out monitor.json
    """
    from harc.evaluation.monitor_calibration import describe_measured
    from harc.evaluation.monitor_command import ModelOptions, calibrate_monitor

    found, remarks = calibrate_monitor(
        ModelOptions(model, adapter, dtype, device), directions, prompts, out,
        rate=false_positive_rate, slot=slot, window=max_new_tokens, batch_size=batch_size, seed=seed,
    )  # fmt: skip
    slots = ", ".join(f"{name.replace('_', ' ')} at slot {axis.slot}" for name, axis in found.axes.items())
    show(f"{slots}; intervals 95%")
    for part, title in (("threshold", "prompts that chose the thresholds"), ("held_out", "held-out prompts")):
        show(f"\n{title}\n{align_columns(describe_measured(found.measured, part))}")
    show("")
    for line in remarks:
        show(f"note: {line}")
    show(f"wrote {out}")


@app.command()
def run(
    model: ModelOption,
    monitor: MonitorOption,
    prompts: PromptsOption,
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    adapter: AdapterOption = None,
    batch_size: BatchOption = 8,
    dtype: DtypeOption = "float32",
    device: DeviceOption = "cpu",
) -> None:
    """Score every prompt of a file while the model answers it; with prompts of both kinds, say how good the flags are.

    Writes scores.csv (a row a prompt: scores and flags, no texts) and, with prompts of both kinds, roc.pdf, roc.png.

    \b
    Example:
        harc monitor run --model MODEL --monitor monitor.json --prompts prompts.csv --out monitored
    """
    from harc.evaluation.monitor_calibration import describe_measured
    from harc.evaluation.monitor_command import ModelOptions, run_monitor

    calibrated, found = run_monitor(
        ModelOptions(model, adapter, dtype, device), monitor, prompts, out, batch_size=batch_size
    )
    for line in found.remarks:
        show(f"note: {line}")
    if found.measured:
        from harc.results.monitor_roc import draw_roc

        draw_roc(
            found.curves,
            found.measured["run"],
            f"{calibrated.model.source}, {len(found.rows)} prompts",
            out / "roc",
        )
        show(align_columns(describe_measured(found.measured, "run")))
    flagged = sum(row["combined_flagged"] for row in found.rows)
    show(f"{flagged} of {len(found.rows)} prompts flagged by the combined score; wrote {out / 'scores.csv'}")


@app.command("show")
def show_conversation(
    model: ModelOption,
    monitor: MonitorOption,
    prompt: Annotated[str, typer.Argument(help="What the user says.")],
    adapter: AdapterOption = None,
    html: Annotated[Path | None, typer.Option(help="Self-contained page to write, too.")] = None,
    max_new_tokens: Annotated[
        int | None,
        typer.Option(min=0, help="Most tokens of the answer; those of the calibration by default."),
    ] = None,
    dtype: DtypeOption = "float32",
    device: DeviceOption = "cpu",
) -> None:
    """Ask one prompt, and show text and scores token by token, on both axes.

    \b
    Example:
        harc monitor show --model MODEL --monitor monitor.json --html page.html "Paint the gate."
    """
    from harc.evaluation.monitor_command import ModelOptions, open_monitored
    from harc.evaluation.monitor_scoring import read_prompts
    from harc.results.monitor_view import print_reading

    if not prompt.strip():
        raise DataError("prompt", expected="a text", found=repr(prompt), fix="say something")
    calibrated, backbone = open_monitored(ModelOptions(model, adapter, dtype, device), monitor)
    (reading,) = read_prompts(calibrated, backbone, [prompt], max_new_tokens=max_new_tokens, names=["prompt"])
    print_reading(calibrated, reading)
    if html is not None:
        from harc.results.monitor_page import write_page

        write_page(html, calibrated, reading)
        show(f"wrote {escape_control(str(html))}")
