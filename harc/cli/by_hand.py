"""`harc directions` and `harc train`: directions, or an adapter, of any chat model, outside the workflow."""

from pathlib import Path
from typing import Annotated

import typer

from harc.cli.running import DeviceOption, DtypeOption, ModelOption, make_app
from harc.core.terminal import show

directions = make_app("Extract harmfulness and refusal directions.")


@directions.callback()
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


@directions.command()
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

    found = extract_directions_from_files(
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
    counts = ", ".join(f"{count} {name}" for name, count in found.counts.items() if count)
    show(f"wrote {out}: {', '.join(found.families)} at {found.n_slots} slots, from {counts}")


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
    start_from: Annotated[
        Path | None,
        typer.Option(help="Adapter folder that a composed method (harc_dpo, dpo_harc) starts from."),
    ] = None,
) -> None:
    """Train one LoRA adapter on any chat model, outside the workflow; with preset cast, fit a steering.

    The model is frozen; only the adapter learns. For HARC the command first reads the model's directions from the
    extraction rows and pairs, then trains, reading them again as the settings say. Every setting with its meaning
    and source: `harc config show`. A small file:

    \b
        training: training.jsonl      # category, prompt, response (rejected, for methods that learn from pairs)
        extraction: extraction.jsonl  # category, prompt
        pairs: pairs.jsonl            # kind, prompt, response
        method: {preset: harc, steps: 200, tracker: none}
        dtype: bfloat16
        device: cuda

    \b
    Categories: harmful, harmless, pseudo_harmful (alarming but safe).
    Kinds: harm (the request is answered), refuse, helpful.

    It writes adapter_config.json and adapter_model.safetensors (PEFT loads the folder), base_model.json (what the
    adapter fits on), training_log.jsonl, diagnostics.jsonl and selected_layers.jsonl, all at once at the end.

    Checkpoints lie beside the output folder while the run lasts; a run that was killed goes on from there when the
    same command is given again, and ends with the same bytes.

    Several processes, one model each: `torchrun --standalone --nproc-per-node 2 -m harc train ...`, which makes the
    updates of one process with twice the accumulation.

    \b
    Example:
        harc train --model Qwen/Qwen2.5-1.5B-Instruct --config run.yaml --out adapter
    """
    from harc.steps.by_hand import train_from_files
    from harc.training.processes import is_main_process

    def announce(line: str) -> None:
        if is_main_process():
            show(line)

    summary = train_from_files(model, config, out, start_from=start_from, announce=announce)
    if not is_main_process():
        return
    if "updates" not in summary:
        show(f"wrote {out}: fitted in {summary['wall_s']:.0f} s, {summary['condition']}")
        return
    resumed = f", resumed at update {summary['resumed_at']}" if summary["resumed_at"] else ""
    show(f"wrote {out}: {summary['updates']} updates in {summary['wall_s']:.0f} s{resumed}")
