"""What a real model costs on this CPU, and how far that is from what the CPU can do; ratios against the plain way.

    python benchmarks/real_model.py MODEL                      # a folder of weights; one thread, float32
    python benchmarks/real_model.py MODEL --dtype bfloat16 --tasks matmul step

Tasks: `matmul` (rate of the machine on the model's own shapes), `step` (forward and backward of a HARC step of 12 rows,
against the same step on padded rows), `evaluation` (attack prompts read and decoded, against `generate` one prompt at a
time), `extraction` (against reading every answer with its prompt). Texts are filler; nothing is downloaded. Times are
processor seconds, the least of some runs, which a machine with other work on it hardly moves.
"""

import argparse
import json
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from speed_fixtures import write_text

PROMPT, ANSWER = (8, 30), (30, 40)  # tokens of a request and of an answer, least and most
PLAIN = 10**15  # weights from which a model counts as large: none does, so that all is done the plain way


def time_cpu(work: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """(least processor seconds of some calls, last result)."""
    least, found = float("inf"), None
    for _ in range(repeats):
        start = time.process_time()
        found = work()
        least = min(least, time.process_time() - start)
    return least, found


@contextmanager
def done_plainly() -> Iterator[None]:
    """Without packed rows, shared beginnings and weights that are laid out once."""
    from harc.model import packing, prepacking

    kept, prepacking.LARGE = prepacking.LARGE, PLAIN
    packing._packs.clear()
    try:
        yield
    finally:
        prepacking.LARGE = kept
        packing._packs.clear()


@contextmanager
def count_positions(backbone: Any) -> Iterator[list[int]]:
    """Positions that go through the model's blocks."""
    seen: list[int] = []
    handle = backbone.final_norm.register_forward_hook(
        lambda module, args, output: seen.append(output.shape[:-1].numel())
    )
    try:
        yield seen
    finally:
        handle.remove()


def measure_matmul(backbone: Any, arguments: argparse.Namespace) -> dict[str, Any]:
    """GFLOP/s of products with one block's widest matrix, by rows; the best is the machine's limit."""
    import torch

    layers = [part for part in backbone.blocks[0].modules() if isinstance(part, torch.nn.Linear)]
    weight = max((part.weight for part in layers), key=torch.numel)
    rates = {}
    for dtype in (torch.float32, torch.bfloat16):
        for rows in (32, 512):
            left, right = torch.randn(rows, weight.shape[1]).to(dtype), weight.to(dtype)
            once, _ = time_cpu(
                lambda x=left, w=right: torch.nn.functional.linear(x, w), arguments.repeats + 2
            )
            rates[f"{str(dtype).removeprefix('torch.')}_{rows}_gflops"] = 2e-9 * rows * weight.numel() / once
    return rates


def build_rows(backbone: Any) -> list[dict[str, str]]:
    """Twelve rows as a micro-batch holds them: requests, answers of ANSWER tokens."""
    draws = random.Random(1)
    write = lambda bounds: write_text(draws, backbone.tokenizer, draws.randint(*bounds))  # noqa: E731
    kinds = ["harmful"] * 6 + ["harmless"] * 4 + ["pseudo_harmful"] * 2
    return [{"category": kind, "prompt": write(PROMPT), "response": write(ANSWER)} for kind in kinds]


def measure_step(backbone: Any, arguments: argparse.Namespace) -> dict[str, Any]:
    """A HARC step, packed and plain: tokens a second of the rows, and the share of the machine's rate in use."""
    import torch

    from harc.geometry.directions import Directions, normalize_rows
    from harc.geometry.extraction import ResponsePairs
    from harc.methods.harc import HarcObjective
    from harc.settings.directions import DirectionSettings
    from harc.settings.training import MethodSettings
    from harc.training.adapters import attach_adapter
    from harc.training.batches import encode_rows
    from harc.training.forward import AdapterForward
    from harc.training.objective import Sources

    draws = torch.Generator().manual_seed(2)
    shape = (backbone.n_slots, backbone.hidden_size)
    directions = Directions(*(normalize_rows(torch.randn(shape, generator=draws)) for _ in range(4)))
    settings = MethodSettings(lora={"rank": 16, "alpha": 32})
    rows = encode_rows(backbone.chat, build_rows(backbone), 128, 64)
    sources = Sources([], [], ResponsePairs([], [], []), ([], []), DirectionSettings())
    with attach_adapter(backbone, settings.lora, 0) as adapted:
        objective = HarcObjective(settings, adapted, directions, sources)

        def run() -> float:
            adapted.model.zero_grad()
            module = AdapterForward(adapted, settings.head_rows)
            for loss in objective.losses(module, objective.collate(rows, adapted)):
                loss.backward()
            return float(objective.facts()["total"])

        tokens = sum(len(row.ids) for row in rows)
        with count_positions(adapted) as seen:
            fast, loss = time_cpu(run, arguments.repeats)
            passed = sum(seen) / arguments.repeats
        with done_plainly(), count_positions(adapted) as seen:
            plain, plain_loss = time_cpu(run, arguments.repeats)
            plain_passed = sum(seen) / arguments.repeats
    return {
        "rows": len(rows), "tokens": tokens, "step_s": fast, "plain_step_s": plain,
        "tokens_per_s": tokens / fast, "plain_tokens_per_s": tokens / plain, "faster": plain / fast,
        "positions": passed, "plain_positions": plain_passed, "loss": loss, "plain_loss": plain_loss,
    }  # fmt: skip


def build_prompts(backbone: Any, count: int) -> list[list[int]]:
    """Chat prompts as an evaluation asks them: plain, in a program, in nested fiction, to a persona."""
    from harc.settings.suites import CodeAttackSettings, DeepInceptionSettings, PersonaSettings
    from harc.suites.codeattack import wrap_code
    from harc.suites.deepinception import wrap_inception
    from harc.suites.persona import wrap_persona

    draws = random.Random(0)
    goals = [write_text(draws, backbone.tokenizer, draws.randint(*PROMPT)) for _ in range(count)]
    forms = (
        lambda goal, index: goal,
        lambda goal, index: wrap_code(goal, "evaluation", index, CodeAttackSettings())[0],
        lambda goal, index: wrap_inception(goal, "evaluation", index, DeepInceptionSettings())[0],
        lambda goal, index: wrap_persona(goal, "evaluation", index, PersonaSettings())[0],
    )
    return backbone.chat.encode_prompts(
        [forms[index % len(forms)](goal, index) for index, goal in enumerate(goals)]
    )


def measure_evaluation(backbone: Any, arguments: argparse.Namespace) -> dict[str, Any]:
    """Answers in batches, as they are and the plain way, and by `generate`; reading alone, too."""
    from compare_generation import generate_batched, generate_one_by_one

    prompts, new = build_prompts(backbone, arguments.prompts), arguments.max_new_tokens
    few = prompts[: arguments.naive_prompts]
    answer = lambda count: generate_batched(backbone, prompts, count, arguments.batch_size)  # noqa: E731
    answer(1)  # the trial of the model's decoding is not measured
    reading, _ = time_cpu(lambda: answer(1), 1)
    fast, texts = time_cpu(lambda: answer(new), 1)
    with done_plainly():
        plain_reading, _ = time_cpu(lambda: answer(1), 1)
        plain, plain_texts = time_cpu(lambda: answer(new), 1)
    alone, expected = time_cpu(lambda: generate_one_by_one(backbone, few, new), 1)
    read, written = sum(map(len, prompts)), len(prompts) * (new - 1)
    return {
        "prompts": len(prompts), "new_tokens": new, "prompt_tokens": read,
        "read_per_s": read / reading, "plain_read_per_s": read / plain_reading,
        "decoded_per_s": written / (fast - reading), "plain_decoded_per_s": written / (plain - plain_reading),
        "prompt_s": fast / len(prompts), "plain_prompt_s": plain / len(prompts), "alone_prompt_s": alone / len(few),
        "faster": plain / fast, "faster_than_alone": alone / len(few) / (fast / len(prompts)),
        "same_as_plain": sum(map(str.__eq__, texts, plain_texts)),
        "same_as_alone": sum(map(str.__eq__, texts, expected)), "alone": len(few),
    }  # fmt: skip


def measure_extraction(backbone: Any, arguments: argparse.Namespace) -> dict[str, Any]:
    """All four directions from as many prompts of each side, as they are and with every answer read with its prompt."""
    from harc.geometry.extraction import ResponsePairs, extract_directions
    from harc.settings.directions import DirectionSettings

    draws = random.Random(3)
    write = lambda bounds: write_text(draws, backbone.tokenizer, draws.randint(*bounds))  # noqa: E731
    harmful, harmless = ([write(PROMPT) for _ in range(arguments.pairs)] for _ in range(2))
    pairs = ResponsePairs(
        *([(prompt, write(ANSWER)) for prompt in side] for side in (harmful, harmful, harmless))
    )
    settings = DirectionSettings(bootstrap_resamples=0)
    work = lambda: extract_directions(backbone, harmful, harmless, pairs, settings)  # noqa: E731
    fast, found = time_cpu(work, arguments.repeats)
    with done_plainly():
        plain, expected = time_cpu(work, arguments.repeats)
    gap = max(
        float((found.families[name] - value).norm(dim=-1).max()) for name, value in expected.families.items()
    )
    return {
        "pairs": arguments.pairs,
        "extraction_s": fast,
        "plain_extraction_s": plain,
        "faster": plain / fast,
        "gap": gap,
    }


TASKS = {
    "matmul": measure_matmul,
    "step": measure_step,
    "evaluation": measure_evaluation,
    "extraction": measure_extraction,
}


def main() -> None:
    """Measure and print one JSON line a task."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="folder of a chat model's weights")
    parser.add_argument("--dtype", default="float32", help="precision of the weights")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS), help="what to measure")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument(
        "--repeats", type=int, default=2, help="runs of a step and an extraction, of which the least"
    )
    parser.add_argument("--prompts", type=int, default=64, help="prompts to answer")
    parser.add_argument(
        "--naive-prompts", type=int, default=8, help="of them, those answered one at a time, too"
    )
    parser.add_argument("--batch-size", type=int, default=64, help="prompts decoded together")
    parser.add_argument("--max-new-tokens", type=int, default=48, help="tokens of every answer")
    parser.add_argument("--pairs", type=int, default=12, help="pairs of each kind in the extraction")
    arguments = parser.parse_args()
    import resource

    import torch

    from harc.model.handle import ModelHandle

    torch.set_num_threads(arguments.threads)
    loading, backbone = time_cpu(lambda: ModelHandle(arguments.model, dtype=arguments.dtype).open(), 1)
    sys.stdout.write(
        json.dumps({"task": "load", "dtype": arguments.dtype, "load_s": round(loading, 2)}) + "\n"
    )
    for task in arguments.tasks:
        found = TASKS[task](backbone, arguments)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        row = {"task": task, **found, "peak_gb": peak}
        rounded = {
            name: float(f"{value:.6g}") if isinstance(value, float) else value for name, value in row.items()
        }
        sys.stdout.write(json.dumps(rounded) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
