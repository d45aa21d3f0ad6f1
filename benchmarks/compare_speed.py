"""Time and peak memory of harc against the naive reference, in turn, each in its own process; prints ratios.

    python benchmarks/compare_speed.py                      # SmolLM2-135M shapes on the CPU
    python benchmarks/compare_speed.py --shape llama8b --device cuda --dtype bfloat16

Weights are random and texts are filler, so nothing is downloaded. Both sides read the same tokens and must agree to
1e-5 in float32.
"""

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from harc import files

ROOT = Path(__file__).resolve().parents[1]
SHAPES = {
    "tiny": {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 12, "num_attention_heads": 4,
                 "num_key_value_heads": 2, "vocab_size": 2048},
    "smollm2": {"hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9,
                    "num_key_value_heads": 3, "vocab_size": 49152, "tie_word_embeddings": True},
    "llama8b": {"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32,
                    "num_key_value_heads": 8, "vocab_size": 128256},
}  # fmt: skip
WORDS = [
    "garden",
    "river",
    "window",
    "candle",
    "bridge",
    "violin",
    "basket",
    "ladder",
    "orchard",
    "harbour",
    "mirror",
    "teapot",
]
# Lengths of one micro-batch: 6 harmful, 4 harmless, 2 pseudo-harmful rows; 1,875 tokens, 3,612 when padded to 301.
PROMPT_TOKENS = (40, 42, 44, 46, 50, 60, 45, 55, 60, 45, 38, 40)
RESPONSE_TOKENS = (60, 64, 70, 80, 90, 70, 256, 200, 150, 120, 90, 60)


def build_backbone(arguments: argparse.Namespace) -> Any:
    """A random Llama of the shape, with a small byte-level tokenizer."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    from harc.backbones import Backbone
    from harc.chat import ChatFormat

    tokenizer = AutoTokenizer.from_pretrained(ROOT / "tests/golden/data/llama/model")
    config = LlamaConfig(
        **SHAPES[arguments.shape], max_position_embeddings=2048, bos_token_id=1, eos_token_id=3
    )
    torch.manual_seed(0)
    with torch.device(arguments.device):
        torch.set_default_dtype(getattr(torch, arguments.dtype))
        model = LlamaForCausalLM(config).requires_grad_(False).eval()
        torch.set_default_dtype(torch.float32)
    return Backbone(model, tokenizer, ChatFormat(tokenizer))


def write_text(generator: random.Random, tokenizer: Any, tokens: int) -> str:
    """Filler of about so many tokens."""
    text = ""
    while len(tokenizer(text, add_special_tokens=False).input_ids) < tokens:
        text += " " + generator.choice(WORDS)
    return text.strip()


def build_pairs(tokenizer: Any, count: int) -> dict[str, list[tuple[str, str]]]:
    """Pairs by kind: harmful prompts are short, a fifth of the harmless ones long; answers run to 256 tokens."""
    generator = random.Random(0)

    def write(tokens: int) -> str:
        return write_text(generator, tokenizer, tokens)

    harmful = [write(generator.randint(20, 50)) for _ in range(count)]
    harmless = [
        write(generator.randint(150, 230) if i % 5 == 0 else generator.randint(20, 90)) for i in range(count)
    ]
    return {
        "harm": [(prompt, write(generator.randint(150, 300))) for prompt in harmful],
        "refuse": [(prompt, write(generator.randint(30, 90))) for prompt in harmful],
        "helpful": [(prompt, write(generator.randint(150, 300))) for prompt in harmless],
    }


def build_rows(tokenizer: Any) -> list[dict[str, str]]:
    """The rows of one micro-batch."""
    generator = random.Random(1)
    categories = ["harmful"] * 6 + ["harmless"] * 4 + ["pseudo_harmful"] * 2
    return [
        {
            "category": category,
            "prompt": write_text(generator, tokenizer, prompt - 12),
            "response": write_text(generator, tokenizer, response),
        }
        for category, prompt, response in zip(categories, PROMPT_TOKENS, RESPONSE_TOKENS, strict=True)
    ]


def extract_fast(
    arguments: argparse.Namespace, attached: ExitStack
) -> tuple[Callable[[], Any], Callable[[Any], Any]]:
    from harc.config.directions import DirectionSettings
    from harc.extraction import ResponsePairs, extract_directions

    backbone = build_backbone(arguments)
    pairs = ResponsePairs(**build_pairs(backbone.tokenizer, arguments.pairs))
    prompts = [[prompt for prompt, _ in rows] for rows in (pairs.harm, pairs.helpful)]
    settings = DirectionSettings(bootstrap_resamples=0)
    return lambda: extract_directions(backbone, *prompts, pairs, settings), lambda found: found.families


def extract_naive(
    arguments: argparse.Namespace, attached: ExitStack
) -> tuple[Callable[[], Any], Callable[[Any], Any]]:
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

    from harc.config.training import MethodSettings
    from harc.directions import Directions, normalize_rows
    from harc.training.batches import encode_rows

    backbone = build_backbone(arguments)
    generator = torch.Generator().manual_seed(2)
    shape = (backbone.n_slots, backbone.hidden_size)
    directions = Directions(*(normalize_rows(torch.randn(shape, generator=generator)) for _ in range(4)))
    settings = MethodSettings(tokens_per_forward=arguments.tokens_per_forward)
    return (
        settings,
        backbone,
        encode_rows(backbone.chat, build_rows(backbone.tokenizer), 256, 256),
        directions,
    )


def start_lora(model: Any) -> None:
    """Give B a small random start, so that KL and every gradient are at work in the first step."""
    import torch

    generator = torch.Generator().manual_seed(3)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.copy_(torch.randn(parameter.shape, generator=generator) * 0.01)


def summarize_gradients(model: Any, loss: float) -> dict[str, Any]:
    import torch

    gradients = [
        part.grad.float().norm().cpu()
        for _, part in sorted(model.named_parameters())
        if part.grad is not None
    ]
    return {"loss": torch.tensor([loss]), "gradient_norms": torch.stack(gradients)}


def step_fast(
    arguments: argparse.Namespace, attached: ExitStack
) -> tuple[Callable[[], Any], Callable[[Any], Any]]:
    from harc.config.directions import DirectionSettings
    from harc.extraction import ResponsePairs
    from harc.training.adapters import attach_adapter
    from harc.training.batches import collate_rows, split_rows
    from harc.training.coupling import HarcObjective, Sources
    from harc.training.forward import AdapterForward

    settings, backbone, rows, directions = prepare_step(arguments)
    adapted = attached.enter_context(attach_adapter(backbone, settings.lora, 0))
    start_lora(adapted.model)
    sources = Sources([], [], ResponsePairs([], [], []), ([], []), DirectionSettings())
    objective = HarcObjective(settings, adapted, directions, sources)
    module = AdapterForward(adapted, settings.head_rows)
    chat = backbone.chat

    def work() -> dict[str, Any]:
        groups = split_rows(rows, settings.tokens_per_forward)
        batches = [collate_rows(group, chat.post_instruction_count, chat.pad_id) for group in groups]
        for loss in objective.losses(module, batches):
            loss.backward()
        return summarize_gradients(adapted.model, float(objective.facts()["total"]))

    return work, lambda found: found


def step_naive(
    arguments: argparse.Namespace, attached: ExitStack
) -> tuple[Callable[[], Any], Callable[[Any], Any]]:
    import naive_reference
    from peft import LoraConfig, get_peft_model

    from harc.config.directions import LayerSettings
    from harc.layers import select_layers

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

    def work() -> dict[str, Any]:
        loss = naive_reference.compute_loss(
            adapted, base, backbone.blocks, rows, directions.families, selected, chat.post_instruction_count,
            chat.pad_id, weights,
        )  # fmt: skip
        loss.backward()
        return summarize_gradients(adapted, loss.item())

    return work, lambda found: found


SIDES = {
    ("extract", "naive"): extract_naive,
    ("extract", "harc"): extract_fast,
    ("step", "naive"): step_naive,
    ("step", "harc"): step_fast,
}


def run_side(arguments: argparse.Namespace) -> None:
    """Measure one side in this process and print it as JSON; results go to a file."""
    import torch
    from safetensors.torch import save_file

    torch.set_num_threads(arguments.threads)
    with ExitStack() as attached:
        work, export = SIDES[arguments.task, arguments.side](arguments, attached)
        measured, found = time_work(work, arguments.device)
        save_file(
            {name: value.contiguous().cpu() for name, value in export(found).items()}, arguments.results
        )
    sys.stdout.write(json.dumps(measured) + "\n")


def time_work(work: Callable[[], Any], side: str) -> tuple[dict[str, float], Any]:
    """(seconds and peak memory, result) of one call; on a GPU after a first call that warms up."""
    import torch

    if side.startswith("cuda"):
        work()
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    wall, cpu = time.perf_counter(), time.process_time()
    found = work()
    if side.startswith("cuda"):
        torch.cuda.synchronize()
    measured = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
    if side.startswith("cuda"):
        measured["peak_gb"] = torch.cuda.max_memory_allocated() / 1e9
    else:
        measured["peak_gb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    return measured, found


def measure(arguments: argparse.Namespace, task: str, side: str, results: Path) -> dict[str, float]:
    """Run one side in a process of its own."""
    command = [sys.executable, __file__, "--task", task, "--side", side, "--results", str(results)]
    for name in ("shape", "device", "dtype", "pairs", "threads", "tokens_per_forward"):
        command += [f"--{name.replace('_', '-')}", str(getattr(arguments, name))]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(arguments.threads)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def compare(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Both sides of both tasks, in turn."""
    from safetensors.torch import load_file

    rows = []
    for task in arguments.tasks:
        with tempfile.TemporaryDirectory() as folder:
            found = {side: measure(arguments, task, side, Path(folder) / side) for side in ("naive", "harc")}
            ours, theirs = (load_file(Path(folder) / side) for side in ("harc", "naive"))
            gap = max(float((ours[name] - theirs[name]).norm() / theirs[name].norm()) for name in theirs)
        rows.append(
            {
                "task": task,
                **{
                    f"{side}_{name}": value
                    for side, values in found.items()
                    for name, value in values.items()
                },
                "speedup_wall": found["naive"]["wall_s"] / found["harc"]["wall_s"],
                "speedup_cpu": found["naive"]["cpu_s"] / found["harc"]["cpu_s"],
                "memory_ratio": found["harc"]["peak_gb"] / found["naive"]["peak_gb"],
                "relative_difference": gap,
            }
        )
        sys.stdout.write(
            json.dumps({name: round(v, 7) if isinstance(v, float) else v for name, v in rows[-1].items()})
            + "\n"
        )
        sys.stdout.flush()
    return rows


def format_table(rows: list[dict[str, Any]]) -> str:
    """The table of the README."""
    lines = [
        "| task | naive | harc | faster | naive peak | harc peak | of naive | relative difference |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        lines.append(
            f"| {row['task']} | {row['naive_wall_s']:.1f} s | {row['harc_wall_s']:.1f} s | "
            f"{row['speedup_wall']:.1f}x ({row['speedup_cpu']:.1f}x in CPU time) | {row['naive_peak_gb']:.1f} GB | "
            f"{row['harc_peak_gb']:.1f} GB | {row['memory_ratio']:.2f}x | {row['relative_difference']:.0e} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Compare, or measure one side when asked by the comparing process."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shape", choices=SHAPES, default="smollm2", help="model shape")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--dtype", default="float32", help="precision of the weights")
    parser.add_argument("--pairs", type=int, default=48, help="pairs of each kind, and prompts of each side")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    parser.add_argument(
        "--tokens-per-forward", type=int, default=4096, help="token budget of harc's training passes"
    )
    parser.add_argument("--tasks", nargs="+", choices=["extract", "step"], default=["extract", "step"])
    parser.add_argument("--out", type=Path, help="file to keep the table in, too")
    parser.add_argument("--task", help=argparse.SUPPRESS)
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--results", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        run_side(arguments)
    else:
        table = format_table(compare(arguments)) + "\n"
        sys.stdout.write(table)
        if arguments.out:
            files.write_text(arguments.out, table)


if __name__ == "__main__":
    main()
