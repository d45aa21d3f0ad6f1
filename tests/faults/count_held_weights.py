"""Run by torchrun: how many of a sharded model's block weights this process holds, and whether it answers the same."""

import os
import sys
from pathlib import Path

import torch
from torch.distributed.tensor import DTensor

from harc.core.files import write_json
from harc.model.backbones import load_backbone
from harc.training.processes import end_processes, shard_blocks


def main() -> None:
    """Write one file a process, since lines of several processes run together."""
    backbone = load_backbone(sys.argv[1])
    ids = torch.arange(12)[None]
    with torch.no_grad():
        before = backbone.model(ids).logits
        whole = sum(part.numel() for block in backbone.blocks for part in block.parameters())
        shard_blocks(backbone, "cpu")
        after = backbone.model(ids).logits
    parts = [part for block in backbone.blocks for part in block.parameters()]
    held = sum(part.to_local().numel() for part in parts if isinstance(part, DTensor))
    difference = float((before - after).abs().max())
    count = {"whole": whole, "held": held, "difference": difference}
    write_json(Path(sys.argv[2]) / f"{os.environ['RANK']}.json", count)
    end_processes()


main()
