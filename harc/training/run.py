"""Training one adapter from rows to files."""

import hashlib
import json
import resource
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harc.backbones import Backbone, describe_base
from harc.config.directions import DirectionSettings
from harc.config.training import MethodSettings
from harc.directions import Directions
from harc.errors import DataError
from harc.extraction import ResponsePairs, extract_directions
from harc.files import atomic_directory, write_jsonl
from harc.training.adapters import attach_adapter, save_adapter
from harc.training.batches import encode_rows
from harc.training.coupling import HarcObjective, Sources
from harc.training.forward import AdapterForward
from harc.training.loop import Run, plan_steps, run_loop
from harc.training.objectives import Objective, RefusalObjective
from harc.training.processes import is_main_process
from harc.training.sampling import CategorySampler
from harc.training.tracking import check_tracker

Row = Mapping[str, Any]


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
) -> dict[str, Any]:
    """Train one adapter and write its folder, whole or not at all.

    The same inputs, thread count and machine give the same bytes, also after a kill and a second call.

    Args:
        backbone: plain model; it is the same again afterwards.
        training_rows: category, prompt, response (and source, where it matters).
        extraction_rows: category (harmful, harmless), prompt.
        extraction_pairs: kind (harm, refuse, helpful), prompt, response.
        directions: of the base model; read anew when None or when read with other settings than this
            method's.
        settings: the method.
        seed: of the adapter's start and of the order of rows.
        out_dir: adapter_config.json, adapter_model.safetensors, base_model.json, training_log.jsonl,
            diagnostics.jsonl, selected_layers.jsonl.
        checkpoint_dir: where checkpoints lie while the run lasts; removed at its end; None for none.
        direction_settings: the study's, which the method may override.
        validation_rows: harmful and harmless prompts for held-out projections; None keeps some training rows
            apart.

    Returns:
        steps, updates, micro_batches, wall_s (seconds), peak_memory_bytes, resumed_at, dropped rows, final
        losses.

    Raises:
        DataError, ConfigError, ModelError: for inputs that cannot be trained on.
    """
    started = time.monotonic()
    check_tracker(settings)
    reading = (direction_settings or DirectionSettings()).override(settings.directions)
    reading = reading.resolve(backbone.text_config.model_type)
    rows, dropped = drop_leaked_rows(training_rows, settings)
    rows, held_out = hold_out_rows(rows, validation_rows, settings)
    base = describe_base(backbone.causal_lm)
    if settings.objective == "harc":
        directions = _read_base_directions(backbone, directions, extraction_rows, extraction_pairs, reading)
    with attach_adapter(backbone, settings.lora, seed) as adapted:
        if settings.gradient_checkpointing:
            adapted.causal_lm.gradient_checkpointing_enable({"use_reentrant": False})
        encoded = encode_rows(adapted.chat, rows, settings.max_prompt_tokens, settings.max_response_tokens)
        objective = _create_objective(
            adapted, settings, directions, extraction_rows, extraction_pairs, held_out, reading
        )
        identity = identify_run(
            settings, reading, seed, base, rows, extraction_rows, extraction_pairs, held_out
        )
        run = Run(
            AdapterForward(adapted, settings.head_rows),
            objective,
            CategorySampler(encoded, settings.batch.counts, seed),
            settings,
            identity,
            Path(checkpoint_dir) if checkpoint_dir is not None else None,
            Path(out_dir).with_name(f"{Path(out_dir).name}.{settings.tracker}"),
        )
        run_loop(run)
        if is_main_process():
            _write_outputs(adapted, run, Path(out_dir), base)
    if checkpoint_dir is not None and is_main_process():
        shutil.rmtree(checkpoint_dir, ignore_errors=True)
    return _summarize(run, len(dropped), time.monotonic() - started)


def drop_leaked_rows(rows: Sequence[Row], settings: MethodSettings) -> tuple[list[Row], list[Row]]:
    """(kept, dropped): rows of XSTest, which measures over-refusal, go unless the leak is switched on."""
    leaked = [row for row in rows if row.get("source") == "xstest"]
    if settings.xstest_in_training or not leaked:
        return list(rows), []
    return [row for row in rows if row.get("source") != "xstest"], leaked


def hold_out_rows(
    rows: Sequence[Row], validation_rows: Sequence[Row] | None, settings: MethodSettings
) -> tuple[list[Row], tuple[list[str], list[str]]]:
    """(training rows, (harmful, harmless) prompts held out): the last of each, at most a tenth."""
    names = ("harmful", "harmless")
    if validation_rows is not None:
        prompts = tuple(
            [row["prompt"] for row in validation_rows if row["category"] == name] for name in names
        )
        return list(rows), prompts
    kept, held = list(rows), {}
    for name in names:
        own = [row for row in rows if row["category"] == name]
        count = min(settings.held_out_rows, len(own) // 10) if settings.objective == "harc" else 0
        held[name] = own[len(own) - count :]
        gone = {id(row) for row in held[name]}
        kept = [row for row in kept if id(row) not in gone]
    return kept, tuple([row["prompt"] for row in held[name]] for name in names)


def split_extraction(rows: Sequence[Row], pairs: Sequence[Row]) -> tuple[list[str], list[str], ResponsePairs]:
    """(harmful prompts, harmless prompts, pairs) of extraction rows."""
    prompts = {
        name: [row["prompt"] for row in rows if row["category"] == name] for name in ("harmful", "harmless")
    }
    kinds = {
        kind: [(row["prompt"], row["response"]) for row in pairs if row["kind"] == kind]
        for kind in ("harm", "refuse", "helpful")
    }
    return prompts["harmful"], prompts["harmless"], ResponsePairs(**kinds)


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


def _create_objective(
    adapted: Backbone,
    settings: MethodSettings,
    directions: Directions | None,
    rows: Sequence[Row],
    pairs: Sequence[Row],
    held_out: tuple[list[str], list[str]],
    reading: DirectionSettings,
) -> Objective:
    if settings.objective == "sft" or directions is None:
        return RefusalObjective(settings)
    harmful, harmless, kinds = split_extraction(rows, pairs)
    return HarcObjective(settings, adapted, directions, Sources(harmful, harmless, kinds, held_out, reading))


def identify_run(*parts: Any) -> str:
    """Hash of everything that a result depends on, by which a run knows its checkpoints."""
    plain = [part.model_dump(mode="json") if hasattr(part, "model_dump") else part for part in parts]
    return hashlib.sha256(json.dumps(plain, sort_keys=True, default=dict).encode()).hexdigest()


def _write_outputs(adapted: Backbone, run: Run, out_dir: Path, base: dict[str, Any]) -> None:
    with atomic_directory(out_dir) as folder:
        save_adapter(adapted, folder, base)
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
