"""The released collation, losses and training steps, number by number."""

import pytest
import torch
from golden.conftest import RELATIVE, Golden
from safetensors.torch import load_file

from harc.geometry.extraction import ResponsePairs
from harc.methods.harc import HarcObjective
from harc.settings.directions import DirectionSettings
from harc.settings.training import MethodSettings
from harc.training.adapters import attach_adapter
from harc.training.batches import EncodedRow, collate_rows, encode_rows
from harc.training.forward import AdapterForward
from harc.training.loop import Run, run_loop
from harc.training.objective import Sources

RENAMED = {"pseudo": "pseudo_harmful"}


class Replay:
    """A sampler that gives the golden micro-batches in their order."""

    drawn = 0

    def __init__(self, batches: list[list[EncodedRow]]) -> None:
        self.batches = batches

    def draw(self) -> list[EncodedRow]:
        """The next golden micro-batch."""
        self.drawn += 1
        return self.batches[self.drawn - 1]

    def skip_to(self, drawn: int) -> None:
        """Runs of four micro-steps have no checkpoints."""


def released_settings(golden: Golden, **changes) -> MethodSettings:
    config = golden.expected["config"]
    return MethodSettings(
        preset="harc_released",
        steps=len(golden.expected["micro_steps"]),
        learning_rate=config["lr"],
        warmup_steps=config["warmup_micro_steps"],
        lora={"rank": config["lora_r"], "alpha": config["lora_alpha"]},
        batch={"accumulation": config["grad_accum"]},
        loss={
            "margin": config["margin"],
            "couple": config["lambda_couple"],
            "couple_resp": config["lambda_couple_resp"],
            "kl": config["lambda_kl"],
            "ce": config["lambda_ce"],
        },
        k_initial=4,
        log_every=1,
        **changes,
    )


def encode_golden(golden: Golden) -> list[list[EncodedRow]]:
    return [
        encode_rows(
            golden.backbone.chat,
            [{**row, "category": RENAMED.get(row["category"], row["category"])} for row in batch],
            golden.expected["config"]["max_prompt_len"],
            golden.expected["config"]["max_response_len"],
        )
        for batch in golden.inputs["micro_batches"]
    ]


def run_golden(golden: Golden, settings: MethodSettings):
    """(log rows, adapter weights) after the golden micro-steps from the golden start."""
    sources = Sources([], [], ResponsePairs([], [], []), ([], []), DirectionSettings())
    start = load_file(golden.folder / "lora_init" / "adapter_model.safetensors")
    with attach_adapter(golden.backbone, settings.lora, 0) as adapted:
        from peft import get_peft_model_state_dict, set_peft_model_state_dict

        set_peft_model_state_dict(adapted.model, start)
        objective = HarcObjective(settings, adapted, golden.directions, sources)
        module = AdapterForward(adapted, settings.head_rows)
        run = Run(module, objective, Replay(encode_golden(golden)), settings, "golden", None)
        run_loop(run)
        found = {name: value.clone() for name, value in get_peft_model_state_dict(adapted.model).items()}
    return run.rows, found


def test_collation(golden: Golden):
    chat = golden.backbone.chat
    batch = collate_rows(encode_golden(golden)[0], chat.post_instruction_count, chat.pad_id)
    for name in ("input_ids", "attention_mask", "labels", "response_mask", "t_inst", "t_post"):
        assert torch.equal(getattr(batch, name), golden.tensors[f"batch0.{name}"]), name


@pytest.mark.parametrize("tokens_per_forward", [100_000, 200], ids=["one_pass", "split_by_length"])
def test_micro_steps(golden: Golden, tokens_per_forward: int):
    settings = released_settings(golden, tokens_per_forward=tokens_per_forward, head_rows=64)
    rows, found = run_golden(golden, settings)
    assert len(rows) == len(golden.expected["micro_steps"]) == 4
    for row, expected in zip(rows, golden.expected["micro_steps"], strict=True):
        assert row["selected"] == golden.expected["selected_k4"]
        for name, value in expected.items():
            ours = {"micro_step": "micro_batch", "lr": "learning_rate"}.get(name, name)
            assert row[ours] == pytest.approx(value, rel=RELATIVE, abs=1e-6), name
    after = load_file(golden.folder / "lora_after_4_micro_steps" / "adapter_model.safetensors")
    assert found.keys() == after.keys()
    worst = max((found[name] - after[name]).abs().max().item() for name in after)
    assert worst <= 2e-5, f"LoRA weights off by {worst:.1e}"


def test_corrected_steps_end_elsewhere(golden: Golden):
    """The golden weights are the release's: with KL at t_post anchored the run ends somewhere else."""
    _, found = run_golden(golden, released_settings(golden, kl_first_token="anchored"))
    after = load_file(golden.folder / "lora_after_4_micro_steps" / "adapter_model.safetensors")
    assert max((found[name] - after[name]).abs().max().item() for name in after) > 2e-4
