"""Trains a tiny adapter in a forked child for each line `OUT CHECKPOINTS` on standard input; prints pid, then status.

The libraries are imported once, and the parent of the forks never computes, so that a child is like a new
process.
"""

import json
import os
import sys
from pathlib import Path

MODEL = Path(__file__).parents[1] / "golden" / "data" / "llama"


def build_rows(inputs: dict) -> tuple[list[dict], list[dict], list[dict]]:
    """(training rows, extraction rows, extraction pairs) from the golden inputs."""
    renamed = {"pseudo": "pseudo_harmful"}
    training = [
        {**row, "category": renamed.get(row["category"], row["category"])}
        for batch in inputs["micro_batches"]
        for row in batch
    ]
    extraction = [
        {"category": category, "prompt": prompt[:80]}
        for category in ("harmful", "harmless")
        for prompt in inputs[f"{category}_prompts"][:4]
    ]
    pairs = [
        {"kind": kind, "prompt": prompt[:80], "response": response}
        for kind, rows in inputs["response_pairs"].items()
        for prompt, response in rows[:4]
    ]
    return training, extraction, pairs


def train(out: str, checkpoints: str) -> None:
    """One run; the same whenever and however often it is started, unless it is killed."""
    from harc.model.backbones import load_backbone
    from harc.settings.training import MethodSettings
    from harc.training.run import train_adapter

    settings = MethodSettings(
        steps=8,
        warmup_steps=3,
        learning_rate=1e-3,
        lora={"rank": 4, "alpha": 8, "dropout": 0.1},
        batch={"harmful": 2, "harmless": 2, "pseudo_harmful": 1, "accumulation": 2},
        k_ramp_step=4,
        refresh_every=3,
        refresh_resamples=3,
        log_every=1,
        checkpoint_every=1,
    )
    rows = build_rows(json.loads((MODEL / "inputs.json").read_text()))
    found = train_adapter(load_backbone(MODEL / "model"), *rows, None, settings, 1, out, checkpoints)
    Path(f"{out}.resumed_at").write_text(str(found["resumed_at"]))


def say(kind: str, value: int) -> None:
    """Write one line for the test."""
    sys.stdout.write(f"{kind} {value}\n")
    sys.stdout.flush()


def main() -> None:
    """Fork a child for each line of standard input."""
    import peft  # noqa: F401
    import torch
    import transformers.models.llama.modeling_llama  # noqa: F401

    import harc.training.run  # noqa: F401

    torch.set_num_threads(1)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            train(*line.split())
            os._exit(0)
        say("pid", pid)
        say("status", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


if __name__ == "__main__":
    main()
