"""Training one adapter from rows to files."""

import resource
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harc.core.errors import ConfigError, DataError
from harc.core.files import atomic_directory, sha256_file, write_jsonl
from harc.core.finished import identify_work
from harc.geometry.directions import Directions
from harc.geometry.extraction import extract_directions
from harc.model.adapters import list_remarks, load_adapter, merge_weights
from harc.model.backbones import Backbone
from harc.model.handle import describe_base
from harc.settings.directions import DirectionSettings
from harc.settings.methods import list_objective_code
from harc.settings.training import MethodSettings
from harc.training.adapters import Started, attach_adapter, read_updates, save_adapter
from harc.training.batches import encode_rows
from harc.training.forward import AdapterForward
from harc.training.loop import Run, check_tracker, plan_steps, run_loop
from harc.training.objective import Context, Sources, count_blocks, create_objective, needs_directions
from harc.training.processes import is_main_process, shard_blocks
from harc.training.rows import CategorySampler, Row, drop_leaked_rows, hold_out_rows, split_extraction

ADAPTER_FILES = ("adapter_model.safetensors", "adapter_config.json")


def train_adapter(
    backbone: Backbone,
    training_rows: Sequence[Row],
    extraction_rows: Sequence[Row],
    extraction_pairs: Sequence[Row],
    directions: Directions | None,
    settings: MethodSettings,
    seed: int,
    out_dir: Path | str,
    checkpoint_dir: Path | str | None,
    *,
    direction_settings: DirectionSettings | None = None,
    validation_rows: Sequence[Row] | None = None,
    start_from: Path | str | None = None,
    device: str = "cpu",
) -> dict[str, Any]:
    """Train one adapter and write its folder, whole or not at all.

    The same inputs, thread count and machine give the same bytes, also after a kill and a second call.

    Args:
        backbone: plain model; it is the same again afterwards, except with `start_from`.
        training_rows: category, prompt, response (and source, rejected, where it matters).
        extraction_rows: category (harmful, harmless), prompt.
        extraction_pairs: kind (harm, refuse, helpful), prompt, response.
        directions: of the base model; read anew when None or when read with other settings than this
            method's.
        settings: the method.
        seed: of the adapter's start, of the order of rows, and of a null control.
        out_dir: adapter_config.json, adapter_model.safetensors, base_model.json, training_log.jsonl,
            diagnostics.jsonl, selected_layers.jsonl.
        checkpoint_dir: where checkpoints lie while the run lasts; removed at its end; None for none.
        direction_settings: the study's, which the method may override.
        validation_rows: harmful and harmless prompts for held-out projections; None keeps some training rows
            apart.
        start_from: folder of the adapter that is merged into the model first (settings.start_from names its method);
            directions are read from the merged model, and the adapter that is written holds both updates.
        device: where the parts of a sharded model go ("cpu" or "cuda"); any other model stays where it is.

    Returns:
        steps, updates, micro_batches, wall_s (seconds), peak_memory_bytes, resumed_at, dropped rows, final
        losses.

    Raises:
        DataError, ConfigError, ModelError: for inputs that cannot be trained on.
    """
    started = time.monotonic()
    check_tracker(settings)
    reading = (direction_settings or DirectionSettings()).override(settings.directions)
    reading = reading.resolve(backbone.text_config.model_type).draw_null(seed)
    rows, dropped = drop_leaked_rows(training_rows, settings)
    rows, held_out = hold_out_rows(rows, validation_rows, settings)
    base = describe_base(backbone.causal_lm)
    backbone, started_from = _merge_first(backbone, settings, start_from)
    if settings.shard:
        backbone = shard_blocks(backbone, device)
    if needs_directions(settings):
        directions = None if start_from else directions
        directions = _read_base_directions(backbone, directions, extraction_rows, extraction_pairs, reading)
    with attach_adapter(
        backbone, settings.lora, seed, blocks=count_blocks(settings, backbone.n_layers)
    ) as adapted:
        sources = Sources(*split_extraction(extraction_rows, extraction_pairs), held_out, reading)
        first = (
            None if start_from is None else [sha256_file(Path(start_from) / name) for name in ADAPTER_FILES]
        )
        identity = identify_work(
            ["harc.training.run:train_adapter", *list_objective_code(settings)],
            settings=settings, reading=reading, seed=seed, base=base, first=first, rows=rows,
            extraction_rows=extraction_rows, extraction_pairs=extraction_pairs, held_out=held_out,
            chat=[adapted.chat.describe(), adapted.tokenizer.chat_template],
        )  # fmt: skip
        context = Context(adapted, settings, rows, seed, sources, directions)
        run = _prepare_run(context, identity, Path(out_dir), checkpoint_dir)
        try:
            run_loop(run)
            if is_main_process():
                _write_outputs(adapted, run, Path(out_dir), base, started_from)
        finally:
            run.objective.close()
    if checkpoint_dir is not None and is_main_process():
        shutil.rmtree(checkpoint_dir, ignore_errors=True)
    return _summarize(run, len(dropped), time.monotonic() - started)


def _prepare_run(context: Context, identity: str, out_dir: Path, checkpoint_dir: Path | str | None) -> Run:
    """The loop's run from an adapted model and the rows of a method."""
    adapted, settings = context.adapted, context.settings
    if settings.gradient_checkpointing:
        adapted.causal_lm.gradient_checkpointing_enable({"use_reentrant": False})
    tokens = (settings.max_prompt_tokens, settings.max_response_tokens)
    encoded = encode_rows(adapted.chat, context.rows, *tokens)
    return Run(
        AdapterForward(adapted, settings.head_rows),
        create_objective(context),
        CategorySampler(encoded, settings.batch.counts, context.seed),
        settings,
        identity,
        Path(checkpoint_dir) if checkpoint_dir is not None else None,
        out_dir.with_name(f"{out_dir.name}.{settings.tracker}"),
    )


def _read_base_directions(
    backbone: Backbone,
    directions: Directions | None,
    rows: Sequence[Row],
    pairs: Sequence[Row],
    reading: DirectionSettings,
) -> Directions:
    """The given directions if they were read as this method reads them, else new ones."""
    if not rows or not pairs:
        raise DataError(
            "extraction rows",
            expected="prompts and pairs to read directions from",
            found="none",
            fix="give both",
        )
    if directions is not None and directions.n_slots == backbone.n_slots:
        same = describe_reading(reading) == {
            name: value for name, value in directions.settings.items() if not name.startswith("bootstrap")
        }
        if same:
            return directions
    return extract_directions(backbone, *split_extraction(rows, pairs), reading)


def describe_reading(reading: DirectionSettings) -> dict[str, Any]:
    """The settings that direction vectors depend on."""
    skipped = {"layers", "tokens_per_forward", "bootstrap_resamples", "bootstrap_seed"}
    return reading.model_dump(mode="json", exclude=skipped)


def check_start(settings: MethodSettings, folder: Path | str | None) -> None:
    """Compare the method with the adapter folder that is given.

    Raises:
        ConfigError: for a composed method without a folder, or a folder for a method that starts from the base.
    """
    if (settings.start_from is None) != (folder is None):
        raise ConfigError(
            "start_from",
            expected=f"the adapter folder of {settings.start_from}"
            if folder is None
            else "no adapter to start from",
            found="none" if folder is None else str(folder),
            fix="train that method first and name its folder (harc train --start-from)"
            if folder is None
            else "set method.start_from, or leave the folder out",
        )


def _merge_first(
    backbone: Backbone, settings: MethodSettings, folder: Path | str | None
) -> tuple[Backbone, Started | None]:
    """The backbone with the adapter that training starts from merged into its weights, and that adapter."""
    check_start(settings, folder)
    if folder is None:
        return backbone, None
    adapted = load_adapter(backbone.model, Path(folder))
    remarks = (*backbone.remarks, *list_remarks(adapted, Path(folder)))
    ((_, config),) = adapted.peft_config.items()
    first = Started(config, read_updates(adapted, str(folder)))
    return replace(backbone, model=merge_weights(adapted, str(folder)), remarks=remarks), first


def _write_outputs(
    adapted: Backbone, run: Run, out_dir: Path, base: dict[str, Any], first: Started | None
) -> None:
    with atomic_directory(out_dir) as folder:
        save_adapter(adapted, folder, base, first)
        write_jsonl(folder / "training_log.jsonl", run.rows)
        for name, rows in run.objective.logs().items():
            write_jsonl(folder / f"{name}.jsonl", rows)


def _summarize(run: Run, dropped: int, wall: float) -> dict[str, Any]:
    import torch

    on_gpu = run.module.backbone.device.type == "cuda"
    peak = (
        torch.cuda.max_memory_allocated()
        if on_gpu
        else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    )
    return {
        "steps": run.settings.steps,
        "updates": run.updates,
        "micro_batches": plan_steps(run.settings)[1],
        "wall_s": wall,
        "peak_memory_bytes": peak,
        "resumed_at": run.resumed_at,
        "dropped_rows": dropped,
        "final": run.rows[-1],
    }
