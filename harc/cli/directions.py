"""`harc directions`: harmfulness and refusal directions of any chat model, outside the workflow."""

from pathlib import Path
from typing import Annotated

import typer

from harc.cli.options import DeviceOption, DtypeOption, ModelOption

app = typer.Typer(no_args_is_help=True, help="Extract harmfulness and refusal directions.")


@app.callback()
def group() -> None:
    """Extract harmfulness and refusal directions."""


@app.command()
def extract(
    model: ModelOption,
    harmful: Annotated[Path, typer.Option(help="JSONL file of harmful prompts: a field `prompt` per row.")],
    harmless: Annotated[Path, typer.Option(help="JSONL file of harmless prompts, of about the same length.")],
    out: Annotated[
        Path, typer.Option(help="Safetensors file to write; see docs/results.md for its tensors.")
    ],
    pairs: Annotated[
        Path | None,
        typer.Option(
            help="JSONL file of teacher-forced answers for the response side: fields `kind` (harm, refuse or "
            "helpful), `prompt`, `response`. Without it only the prompt side is read."
        ),
    ] = None,
    preset: Annotated[
        str, typer.Option(help="`harc` reads as meant; `harc_released` with the published faults.")
    ] = "harc",
    adapter: Annotated[Path | None, typer.Option(help="Folder of a LoRA adapter to put on first.")] = None,
    dtype: DtypeOption = "float32",
    device: DeviceOption = "cpu",
) -> None:
    """Read the directions of a chat model: unit difference of mean residuals, per layer.

    v_harm is read at the last token of the user's text (t_inst), v_ref at the last token of the prompt (t_post),
    both from harmful against harmless prompts; v_harm_resp and v_ref_resp from the first 32 tokens of harmful
    answers, or refusals, against helpful ones (arXiv 2607.00572).
    """
    from harc.by_hand import extract_directions_from_files

    directions = extract_directions_from_files(
        model,
        harmful,
        harmless,
        out,
        pairs=pairs,
        preset=preset,
        adapter=adapter,
        dtype=dtype,
        device=device,
    )
    counts = ", ".join(f"{count} {name}" for name, count in directions.counts.items() if count)
    typer.echo(f"wrote {out}: {', '.join(directions.families)} at {directions.n_slots} slots, from {counts}")
