"""Training in several processes: replicas that take different micro-batches and share their gradients.

Every process draws all micro-batches and trains on its own; gradients and logged values are averaged over the processes
before each update, so P processes with accumulation A make the updates of one process with accumulation P x A. A loss
that is a mean over tokens is the mean over one micro-batch's tokens, in one process or in many. The main process alone
writes. Replicas start equal and see the same averages, so they stay equal.
"""

import os
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from harc.errors import ConfigError


def is_main_process() -> bool:
    """Whether this process is the one that writes."""
    return int(os.environ.get("RANK", "0")) == 0


def local_device(device: str) -> str:
    """The GPU of this process, where several processes share a machine's GPUs."""
    rank = os.environ.get("LOCAL_RANK")
    return f"cuda:{rank}" if device == "cuda" and rank is not None else device


def check_launch(accelerator: Any) -> None:
    """Refuse ways of spreading a model that the loop has never been shown to train rightly under.

    Raises:
        ConfigError: under FSDP, DeepSpeed and the like.
    """
    # On CPUs accelerate ignores FSDP's switch and replicates, which is not what was asked for.
    sharded = os.environ.get("ACCELERATE_USE_FSDP", "false").lower() in ("true", "1")
    kind = "FSDP" if sharded else accelerator.distributed_type.value
    if kind not in ("NO", "MULTI_CPU", "MULTI_GPU"):
        raise ConfigError(
            "launch of the processes",
            expected="one process, or replicas (MULTI_CPU, MULTI_GPU)",
            found=kind,
            fix="launch without it; `device: auto` spreads one model over the GPUs of a machine",
        )


def average_gradients(accelerator: Any, parameters: Iterable[Tensor]) -> None:
    """Replace each gradient by its mean over the processes, in one exchange; nothing in a single process.

    Done here and not by DistributedDataParallel, which needs the same number of passes in each process: how many
    passes a micro-batch takes depends on its lengths.
    """
    if accelerator.num_processes == 1:
        return
    parameters = list(parameters)
    gradients = [torch.zeros_like(part) if part.grad is None else part.grad for part in parameters]
    mean = accelerator.reduce(torch.cat([part.float().flatten() for part in gradients]), reduction="mean")
    pieces = mean.split([part.numel() for part in gradients])
    for parameter, piece in zip(parameters, pieces, strict=True):
        parameter.grad = piece.view_as(parameter).to(parameter.dtype)


def average_values(accelerator: Any, values: Tensor) -> Tensor:
    """Mean over the processes; the same values in a single process."""
    return values if accelerator.num_processes == 1 else accelerator.reduce(values, reduction="mean")


def end_processes() -> None:
    """Leave the group of processes once the main one has written; nothing in a single process."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
