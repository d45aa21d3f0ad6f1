"""The two sides of each task, ready to be timed: harc as its users call it, and the naive reference.

Every side is a pair (work, export): `work()` is what is timed, `export(what it returned)` gives the tensors that the
sides must agree on. Both sides get the same tokens, weights, adapters and directions.
"""

import argparse
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from speed_fixtures import build_backbone, build_pairs, build_rows

Side = tuple[Callable[[], Any], Callable[[Any], Any]]


def extract_fast(arguments: argparse.Namespace, attached: ExitStack) -> Side:
    """harc's extraction of all four families."""
    from harc.geometry.extraction import ResponsePairs, extract_directions
    from harc.settings.directions import DirectionSettings

    backbone = build_backbone(arguments)
    pairs = ResponsePairs(**build_pairs(backbone.tokenizer, arguments.pairs))
    prompts = [[prompt for prompt, _ in rows] for rows in (pairs.harm, pairs.helpful)]
    settings = DirectionSettings(bootstrap_resamples=0, tokens_per_forward=arguments.tokens_per_forward)
    return lambda: extract_directions(backbone, *prompts, pairs, settings), lambda found: found.families


def extract_naive(arguments: argparse.Namespace, attached: ExitStack) -> Side:
    """The naive extraction, from the same texts."""
    import naive_reference

    backbone = build_backbone(arguments)
    chat, texts = backbone.chat, build_pairs(backbone.tokenizer, arguments.pairs)
    pairs = {
        kind: list(
            zip(
                chat.encode_prompts([p for p, _ in rows], 256),
                chat.encode_responses([r for _, r in rows], 256),
                strict=True,
            )
        )
        for kind, rows in texts.items()
    }
    prompts = tuple([prompt for prompt, _ in pairs[kind]] for kind in ("harm", "helpful"))
    count = chat.post_instruction_count
    return (
        lambda: naive_reference.extract(backbone.model, backbone.blocks, prompts, pairs, count, chat.pad_id),
        lambda found: found,
    )


def prepare_step(arguments: argparse.Namespace) -> tuple[Any, Any, Any, Any]:
    """(settings, backbone, encoded rows, random directions) of the training step."""
    import torch

    from harc.geometry.directions import Directions, normalize_rows
    from harc.settings.training import MethodSettings
    from harc.training.batches import encode_rows

    backbone = build_backbone(arguments)
    generator = torch.Generator().manual_seed(2)
    shape = (backbone.n_slots, backbone.hidden_size)
    directions = Directions(*(normalize_rows(torch.randn(shape, generator=generator)) for _ in range(4)))
    settings = MethodSettings(tokens_per_forward=arguments.tokens_per_forward)
    return (
        settings,
        backbone,
        encode_rows(backbone.chat, build_rows(backbone.tokenizer, arguments.rows), 256, 256),
        directions,
    )


def start_lora(model: Any) -> None:
    """Give B a small random start, so that KL and every gradient are at work in the first step."""
    import torch

    generator = torch.Generator().manual_seed(3)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.copy_(torch.randn(parameter.shape, generator=generator) * 0.01)


def summarize_gradients(model: Any, loss: Any) -> dict[str, Any]:
    """The loss and the length of every adapter weight's gradient."""
    import torch

    gradients = [
        part.grad.float().norm().cpu()
        for _, part in sorted(model.named_parameters())
        if part.grad is not None
    ]
    return {"loss": loss.detach().float().cpu()[None], "gradient_norms": torch.stack(gradients)}


def step_fast(arguments: argparse.Namespace, attached: ExitStack) -> Side:
    """harc's forward and backward passes over one micro-batch."""
    from harc.geometry.extraction import ResponsePairs
    from harc.methods.harc import HarcObjective
    from harc.settings.directions import DirectionSettings
    from harc.training.adapters import attach_adapter
    from harc.training.batches import collate_groups
    from harc.training.forward import AdapterForward
    from harc.training.objective import Sources

    settings, backbone, rows, directions = prepare_step(arguments)
    adapted = attached.enter_context(attach_adapter(backbone, settings.lora, 0))
    start_lora(adapted.model)
    sources = Sources([], [], ResponsePairs([], [], []), ([], []), DirectionSettings())
    objective = HarcObjective(settings, adapted, directions, sources)
    module = AdapterForward(adapted, settings.head_rows)

    def work() -> Any:
        adapted.model.zero_grad()
        batches = collate_groups(rows, backbone, settings.tokens_per_forward)
        for loss in objective.losses(module, batches):
            loss.backward()
        return objective.facts()["total"]

    return work, lambda loss: summarize_gradients(adapted.model, loss)


def step_naive(arguments: argparse.Namespace, attached: ExitStack) -> Side:
    """The naive forward and backward passes: a second full model is the teacher."""
    import naive_reference
    from peft import LoraConfig, get_peft_model

    from harc.methods.harc import select_layers
    from harc.settings.directions import LayerSettings

    settings, backbone, encoded, directions = prepare_step(arguments)
    base = build_backbone(arguments).model
    lora = settings.lora
    config = LoraConfig(
        r=lora.rank, lora_alpha=lora.alpha, target_modules=list(lora.targets), task_type="CAUSAL_LM"
    )
    import torch

    torch.manual_seed(0)
    adapted = get_peft_model(backbone.model, config)
    start_lora(adapted)
    rows = [
        (list(row.ids[: row.prompt_length]), list(row.ids[row.prompt_length :]), row.category == "harmful")
        for row in encoded
    ]
    chat, weights = backbone.chat, {"couple": 1.0, "kl": 10.0, "ce": 1.0}
    selected = select_layers(directions, settings.k_initial, LayerSettings())

    def work() -> Any:
        adapted.zero_grad()
        loss = naive_reference.compute_loss(
            adapted, base, backbone.blocks, rows, directions.families, selected, chat.post_instruction_count,
            chat.pad_id, weights,
        )  # fmt: skip
        loss.backward()
        return loss

    return work, lambda loss: summarize_gradients(adapted, loss)


SIDES = {
    ("extract", "naive"): extract_naive,
    ("extract", "harc"): extract_fast,
    ("step", "naive"): step_naive,
    ("step", "harc"): step_fast,
}
