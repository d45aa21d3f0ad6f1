"""`harc train`: one adapter, or one steering, on any chat model, outside the workflow."""

from pathlib import Path
from typing import Annotated

import typer

from harc.cli.running import ModelOption
from harc.core.terminal import show


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
