"""The training loop of every method: accumulation, schedule, log and checkpoints, placed by accelerate."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from harc.core.errors import ConfigError, ModelError
from harc.core.terminal import track
from harc.settings.training import MethodSettings
from harc.training import checkpoints, processes
from harc.training.forward import AdapterForward
from harc.training.objective import Objective
from harc.training.rows import Sampler

TRACKED = "training"  # name of the run within the tracker's folder


@dataclass
class Run:
    """One training run.

    Attributes:
        module: the trained module.
        objective: the method.
        sampler: source of micro-batches.
        settings: the run's settings.
        identity: what a checkpoint must have been written by to be taken up; see identify_work.
        checkpoint_folder: where checkpoints go; None for none.
        tracker_folder: where the tracker of the settings writes; None for none.
        rows: rows of the training log.
        updates: optimiser updates done.
        resumed_at: update that the run went on from; None if it started afresh.
    """

    module: AdapterForward
    objective: Objective
    sampler: Sampler
    settings: MethodSettings
    identity: str
    checkpoint_folder: Path | None
    tracker_folder: Path | None = None
    rows: list[dict[str, Any]] = field(default_factory=list)
    updates: int = 0
    resumed_at: int | None = None

    @cached_property
    def trainable(self) -> dict[str, torch.nn.Parameter]:
        """Adapter weights by name."""
        return {name: part for name, part in self.module.named_parameters() if part.requires_grad}


def plan_steps(settings: MethodSettings) -> tuple[int, int]:
    """(micro-batches a step, micro-batches in all); a released step is one micro-batch."""
    per_step = 1 if settings.step_unit == "micro_batch" else settings.batch.accumulation
    return per_step, settings.steps * per_step


def learning_rate(settings: MethodSettings, step: int) -> float:
    """Rate of an update in `step` (from 0): linear warm-up, then constant (main/train.py@c3565e5)."""
    warmup = settings.warmup_steps
    return settings.learning_rate * min(1.0, (step + 1) / warmup) if warmup else settings.learning_rate


def run_loop(run: Run) -> None:
    """Train to the end, from the run's latest checkpoint if it has one. The module's adapter is changed in
    place.

    Raises:
        ModelError: if the loss is not finite.
    """
    accelerator = _create_accelerator(run)
    optimizer = _create_optimizer(run)
    _resume(run, optimizer)
    accelerator.wait_for_everyone()  # before anyone writes a checkpoint over the one that others still read
    module, prepared = _prepare(run, accelerator, optimizer)
    module.train()
    start_tracker(accelerator, run.settings, run.tracker_folder)
    per_step, total = plan_steps(run.settings)
    pending: list[dict[str, Tensor]] = []
    start = run.updates * run.settings.batch.accumulation
    with track(total - start, "training") as bar:
        for micro in range(start, total):
            step = micro // per_step
            if micro % per_step == 0:
                run.objective.begin_step(step)
            for group in prepared.param_groups:
                group["lr"] = learning_rate(run.settings, step)
            pending.append(_run_micro_batch(run, accelerator, module, prepared))
            if (micro + 1) % per_step == 0:
                if step % run.settings.log_every == 0 or micro + 1 == total:
                    run.rows.append(_describe_step(run, accelerator, pending, step, micro))
                    track_row(accelerator, run.rows[-1])
                    bar.advance(0, loss=run.rows[-1]["total"])
                pending = []
            _save_if_due(run, accelerator, optimizer, last=micro + 1 == total)
            bar.advance(1)
    accelerator.end_training()
    _release(accelerator)


def _create_accelerator(run: Run) -> Any:
    from accelerate import Accelerator
    from accelerate.utils import set_seed

    accelerator = Accelerator(
        cpu=run.module.backbone.device.type == "cpu",
        mixed_precision=run.settings.precision,
        gradient_accumulation_steps=run.settings.batch.accumulation,
        # A model spread over devices has been placed already.
        device_placement=not hasattr(run.module.backbone.causal_lm, "hf_device_map"),
        **tracker_options(run.settings, run.tracker_folder),
    )
    processes.check_launch(accelerator)
    set_seed(torch.initial_seed() % 2**31)
    return accelerator


def _prepare(run: Run, accelerator: Any, optimizer: torch.optim.Optimizer) -> tuple[Any, Any]:
    """Module and optimiser as accelerate places them."""
    if accelerator.num_processes == 1:
        return accelerator.prepare(run.module, optimizer)
    # Prepared as for evaluation it is placed, not wrapped: gradients are averaged once an update, below.
    return accelerator.prepare_model(run.module, evaluation_mode=True), accelerator.prepare(optimizer)


def _release(accelerator: Any) -> None:
    """Forget accelerate's process-wide state, so that a later run may choose another precision or device."""
    from accelerate.state import AcceleratorState

    accelerator.free_memory()
    AcceleratorState._reset_state(reset_partial_state=True)


def _create_optimizer(run: Run) -> torch.optim.Optimizer:
    return torch.optim.AdamW(
        run.trainable.values(),
        lr=run.settings.learning_rate,
        weight_decay=run.settings.weight_decay,
        fused=run.module.backbone.device.type in ("cpu", "cuda"),
    )


def _run_micro_batch(run: Run, accelerator: Any, module: Any, optimizer: Any) -> dict[str, Tensor]:
    """Forward and backward over one micro-batch, and an update if it completes one."""
    batches = run.objective.collate(_draw_own_rows(run, accelerator), run.module.backbone)
    facts: dict[str, Tensor] = {}
    with accelerator.accumulate(module):
        with accelerator.autocast():
            for loss in run.objective.losses(module, batches):
                accelerator.backward(loss)
        facts |= run.objective.facts()
        if accelerator.sync_gradients:
            processes.average_gradients(accelerator, run.trainable.values())
            gradients = [part.grad for part in run.trainable.values() if part.grad is not None]
            facts["grad_norm"] = torch.nn.utils.get_total_norm(gradients)
            run.updates += 1
        optimizer.step()
        optimizer.zero_grad()
    return facts


def _draw_own_rows(run: Run, accelerator: Any) -> Sequence[Any]:
    """This process's micro-batch; every process draws all of them, so that none is trained on twice."""
    drawn = [run.sampler.draw() for _ in range(accelerator.num_processes)]
    return drawn[accelerator.process_index]


def _describe_step(
    run: Run, accelerator: Any, pending: list[dict[str, Tensor]], step: int, micro: int
) -> dict[str, Any]:
    """One row of the training log: the step's mean over micro-batches, moved from the device in one go."""
    names = sorted({name for facts in pending for name in facts})
    means = [torch.stack([facts[name] for facts in pending if name in facts]).mean() for name in names]
    means = processes.average_values(accelerator, torch.stack(means))
    values = dict(zip(names, means.tolist(), strict=True))
    broken = [name for name, value in values.items() if not math.isfinite(value)]
    if broken:
        raise ModelError(
            f"training step {step}",
            expected="finite losses",
            found=f"NaN or infinity in {', '.join(broken)}",
            fix="lower learning_rate, or load the model in float32",
        )
    plain = {"step": step, "micro_batch": micro, "update": run.updates}
    rate = learning_rate(run.settings, step)
    return {**plain, "learning_rate": rate, **run.objective.describe_step(), **values}


def _save_if_due(run: Run, accelerator: Any, optimizer: torch.optim.Optimizer, *, last: bool) -> None:
    every = run.settings.checkpoint_every
    due = every and accelerator.sync_gradients and run.updates % every == 0 and not last
    if not due or run.checkpoint_folder is None or not accelerator.is_main_process:
        return
    tensors, values = run.objective.export_state()
    tensors = {f"objective.{name}": value for name, value in tensors.items()}
    tensors |= {f"adapter.{name}": value for name, value in run.trainable.items()}
    tensors |= checkpoints.export_optimizer(optimizer, list(run.trainable))
    tensors |= checkpoints.export_generators()
    state = {"drawn": run.sampler.drawn, "updates": run.updates, "rows": run.rows, "objective": values}
    checkpoints.save_checkpoint(run.checkpoint_folder, run.updates, run.identity, tensors, state)


def _resume(run: Run, optimizer: torch.optim.Optimizer) -> None:
    found = (
        checkpoints.load_checkpoint(run.checkpoint_folder, run.identity) if run.checkpoint_folder else None
    )
    if found is None:
        return
    tensors, state = found
    with torch.no_grad():
        for name, parameter in run.trainable.items():
            parameter.copy_(tensors[f"adapter.{name}"])
    checkpoints.import_optimizer(optimizer, list(run.trainable), tensors)
    checkpoints.import_generators(tensors)
    own = {
        name.removeprefix("objective."): value
        for name, value in tensors.items()
        if name.startswith("objective.")
    }
    run.objective.import_state(own, state["objective"])
    run.sampler.skip_to(state["drawn"])
    run.rows, run.updates, run.resumed_at = state["rows"], state["updates"], state["updates"]


def check_tracker(settings: MethodSettings) -> None:
    """Refuse a tracker whose package is not installed, before any work; none of them is in requirements.lock.

    Raises:
        ConfigError: with the line that installs it.
    """
    from accelerate.utils import is_dvclive_available, is_tensorboard_available

    found = {"tensorboard": is_tensorboard_available, "dvclive": is_dvclive_available}
    if settings.tracker != "none" and not found[settings.tracker]():
        raise ConfigError(
            "tracker",
            expected=f"the package {settings.tracker}",
            found="none",
            fix=f"run `pip install {settings.tracker}`, or set tracker to none",
        )


def tracker_options(settings: MethodSettings, folder: Path | None) -> dict[str, Any]:
    """Arguments of accelerate.Accelerator."""
    if settings.tracker == "none" or folder is None:
        return {}
    return {"log_with": settings.tracker, "project_dir": str(folder)}


def start_tracker(accelerator: Any, settings: MethodSettings, folder: Path | None) -> None:
    """Open the tracker's files; nothing without one."""
    if not tracker_options(settings, folder):
        return
    # DVCLive would otherwise write into the working directory and make commits of its own.
    own = {"dir": str(folder), "save_dvc_exp": False, "report": None}
    accelerator.init_trackers(TRACKED, init_kwargs={"dvclive": own} if settings.tracker == "dvclive" else {})


def track_row(accelerator: Any, row: dict[str, Any]) -> None:
    """Hand one row of the training log to the tracker, numbers only."""
    if accelerator.trackers:
        numbers = {name: value for name, value in row.items() if isinstance(value, int | float)}
        accelerator.log(numbers, step=row["step"])
