"""`harc directions`: harmfulness and refusal directions of any chat model, outside the workflow."""

from pathlib import Path
from typing import Annotated

import typer

from harc.cli.running import DeviceOption, DtypeOption, ModelOption, make_app
from harc.core.terminal import show

app = make_app("Extract harmfulness and refusal directions.")


@app.callback()
def group() -> None:
    """Harmfulness and refusal directions of a chat model.

    A direction is a unit vector for each slot of the residual stream (slot L enters block L; the last one leaves
    the last block): where a model's states on two kinds of text differ on average.

    \b
        v_harm       harmful against harmless prompts, at the user's last token
        v_ref        the same prompts, at the last token of the prompt
        v_harm_resp  harmful against helpful answers, mean of the first 32 tokens
        v_ref_resp   refusals against helpful answers, likewise

    Method: arXiv 2607.00572. `harc directions extract --help` says what to give.
    """


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
    """Read the directions of a chat model from files of prompts.

    v_harm is read at the last token of the user's text (t_inst), v_ref at the last token of the prompt (t_post),
    both from harmful against harmless prompts; v_harm_resp and v_ref_resp from the first 32 tokens of harmful
    answers, or refusals, against helpful ones (arXiv 2607.00572). Whatever else differs between the two files ends
    up in the directions: take prompts of the same length and topics.

    \b
    Rows:
        harmful.jsonl, harmless.jsonl  {"prompt": "..."}
        pairs.jsonl                    {"kind": "refuse", "prompt": "...", "response": "..."}

    The file holds one float32 tensor of shape (slots, width) for each direction, the lengths that they had before
    they were made unit vectors, how many rows they come from, and every setting.

    \b
    Example:
        harc directions extract --model Qwen/Qwen2.5-1.5B-Instruct --harmful harmful.jsonl \\
            --harmless harmless.jsonl --pairs pairs.jsonl --dtype bfloat16 --device cuda \\
            --out directions.safetensors
    """
    from harc.steps.by_hand import extract_directions_from_files

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
    show(f"wrote {out}: {', '.join(directions.families)} at {directions.n_slots} slots, from {counts}")
