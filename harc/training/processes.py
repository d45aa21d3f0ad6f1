"""Training in several processes: replicas, or holders of a part of the frozen weights each, that take different
micro-batches and share their gradients.

Every process draws all micro-batches and trains on its own; gradients and logged values are averaged over the processes
before each update, so P processes with accumulation A make the updates of one process with accumulation P x A. A loss
that is a mean over tokens is the mean over one micro-batch's tokens, in one process or in many. The main process alone
writes. Adapters start equal and see the same averages, so they stay equal.
"""

import os
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from harc.core.errors import ConfigError
from harc.model.backbones import Backbone


def is_main_process() -> bool:
    """Whether this process is the one that writes."""
    return int(os.environ.get("RANK", "0")) == 0


def local_device(device: str) -> str:
    """The GPU of this process, where several processes share a machine's GPUs."""
    rank = os.environ.get("LOCAL_RANK")
    return f"cuda:{rank}" if device == "cuda" and rank is not None else device


def check_launch(accelerator: Any) -> None:
    """Refuse accelerate's own ways of spreading a model, under which the loop has never been shown to train rightly.

    Raises:
        ConfigError: under accelerate's FSDP, DeepSpeed and the like.
    """
    # accelerate's FSDP shards the adapter too, which checkpoints and refreshes read whole, and on CPUs it ignores its
    # own switch and replicates.
    sharded = os.environ.get("ACCELERATE_USE_FSDP", "false").lower() in ("true", "1")
    kind = "FSDP" if sharded else accelerator.distributed_type.value
    if kind not in ("NO", "MULTI_CPU", "MULTI_GPU"):
        raise ConfigError(
            "launch of the processes",
            expected="one process, or replicas (MULTI_CPU, MULTI_GPU)",
            found=kind,
            fix="launch with torchrun; `method: {shard: true}` shares the frozen weights between the processes",
        )


def shard_blocks(backbone: Backbone, device: str) -> Backbone:
    """Give the frozen weights of each decoder block to the processes in equal parts (torch's fully_shard, FSDP2).

    A block's weights are gathered when it is entered and dropped when it is left, forward and backward. Embeddings,
    final norm and head stay whole. An adapter that is attached afterwards is whole in every process, so that gradients,
    checkpoints and the saved adapter are those of replicas. Every process must enter the same blocks in the same
    order, which `shard` sees to: one pass a micro-batch.

    Args:
        backbone: plain model on the CPU, whole and equal in every process.
        device: "cpu" or "cuda": where it goes, block by block, so that no device ever holds the whole.

    Raises:
        ConfigError: in a single process.
    """
    from accelerate import PartialState
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    state = PartialState(cpu=device == "cpu")
    if state.num_processes == 1:
        raise ConfigError(
            "method.shard",
            expected="several processes to share the weights",
            found="one",
            fix="launch with torchrun, or leave it out",
        )
    mesh = init_device_mesh(state.device.type, (state.num_processes,))
    for block in backbone.blocks:
        # Each block is a root of its own, so that a pass which ends at an inner block leaves no other one half-way.
        fully_shard(block, mesh=mesh, reshard_after_forward=True)
    backbone.model.to(state.device)  # the rest
    return backbone


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
