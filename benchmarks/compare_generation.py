"""Throughput of harc's batched decoding against one prompt at a time through `model.generate`; prints the ratio.

    python benchmarks/compare_generation.py                      # SmolLM2-135M shapes, 64 new tokens, CPU
    python benchmarks/compare_generation.py --shape tiny --prompts 8 --repeats 1

Weights are random and prompts are filler, so nothing is downloaded. Both sides decode greedily and their texts must be
the same in float32; throughput counts generated tokens. No token ends a response, so that both sides do the same work.
"""

import argparse
import json
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from speed_fixtures import SHAPES, build_backbone, write_text

from harc.core import files


def build_prompts(backbone: Any, count: int) -> list[list[int]]:
    """Chat prompts of 20 to 90 tokens of text, every fifth of 150 to 230, as in an evaluation set."""
    generator = random.Random(0)
    lengths = [
        generator.randint(150, 230) if index % 5 == 0 else generator.randint(20, 90) for index in range(count)
    ]
    texts = [write_text(generator, backbone.tokenizer, length) for length in lengths]
    return backbone.chat.encode_prompts(texts)


def generate_one_by_one(backbone: Any, prompts: list[list[int]], max_new_tokens: int) -> list[str]:
    """What a plain script does: `generate` for each prompt."""
    import torch

    texts = []
    for prompt in prompts:
        ids = torch.tensor([prompt], device=backbone.device)
        output = backbone.model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=max_new_tokens,
            eos_token_id=None,
            pad_token_id=backbone.chat.pad_id,
        )
        texts.append(backbone.tokenizer.decode(output[0, len(prompt) :], skip_special_tokens=True))
    return texts


def generate_batched(
    backbone: Any, prompts: list[list[int]], max_new_tokens: int, batch_size: int
) -> list[str]:
    """What harc does."""
    from harc.model.generation import generate_greedy

    completions = generate_greedy(
        backbone.model,
        backbone.tokenizer,
        prompts,
        max_new_tokens=max_new_tokens,
        batch_size=batch_size,
        ends={backbone.causal_lm.config.vocab_size + 1},
    )
    return [completion.text for completion in completions]


def time_call(work: Callable[[], list[str]]) -> tuple[float, float, list[str]]:
    """(wall seconds, CPU seconds, texts)."""
    wall, cpu = time.perf_counter(), time.process_time()
    texts = work()
    return time.perf_counter() - wall, time.process_time() - cpu, texts


def compare(arguments: argparse.Namespace) -> dict[str, Any]:
    """Both sides in turn, `repeats` times, after a short warm-up; medians and whether all texts agree.

    The one-by-one side may be given the first `naive_prompts` prompts only: its throughput does not depend on how many
    there are.
    """
    import torch

    torch.set_num_threads(arguments.threads)
    backbone = build_backbone(arguments)
    prompts = build_prompts(backbone, arguments.prompts)
    tokens = arguments.max_new_tokens
    few = prompts[: arguments.naive_prompts or len(prompts)]
    generate_batched(backbone, few[:2], 2, 2)
    generate_one_by_one(backbone, few[:1], 2)
    naive, ours, same = [], [], True
    for _ in range(arguments.repeats):
        wall, cpu, expected = time_call(lambda: generate_one_by_one(backbone, few, tokens))
        naive.append((len(few) * tokens / wall, len(few) * tokens / cpu))
        wall, cpu, texts = time_call(
            lambda: generate_batched(backbone, prompts, tokens, arguments.batch_size)
        )
        ours.append((len(prompts) * tokens / wall, len(prompts) * tokens / cpu))
        same = same and texts[: len(few)] == expected
        sys.stderr.write(f"naive {naive[-1][0]:.1f}, harc {ours[-1][0]:.1f} tokens/s\n")
    ratios = [mine[0] / theirs[0] for mine, theirs in zip(ours, naive, strict=True)]
    return {
        "shape": arguments.shape, "dtype": arguments.dtype, "device": arguments.device,
        "threads": arguments.threads, "prompts": len(prompts), "naive_prompts": len(few),
        "batch_size": arguments.batch_size, "max_new_tokens": tokens, "repeats": arguments.repeats,
        "naive_tokens_per_s": median(wall for wall, _ in naive),
        "harc_tokens_per_s": median(wall for wall, _ in ours),
        "ratio": median(ratios), "ratio_min": min(ratios), "ratio_max": max(ratios),
        "ratio_cpu": median(mine[1] / theirs[1] for mine, theirs in zip(ours, naive, strict=True)),
        "same_texts": same,
    }  # fmt: skip


def format_table(found: dict[str, Any]) -> str:
    """The measured table."""
    return (
        "| shape | prompts | batch | new tokens | one by one | harc | faster (range) | in CPU time | same text |\n"
        "|---|---|---|---|---|---|---|---|---|\n"
        f"| {found['shape']}, {found['dtype']}, {found['device']}, {found['threads']} threads | {found['prompts']} "
        f"({found['naive_prompts']} one by one) | {found['batch_size']} | {found['max_new_tokens']} | "
        f"{found['naive_tokens_per_s']:.1f} tokens/s | {found['harc_tokens_per_s']:.1f} tokens/s | "
        f"{found['ratio']:.1f}x ({found['ratio_min']:.1f} to {found['ratio_max']:.1f}, {found['repeats']} runs) | "
        f"{found['ratio_cpu']:.1f}x | {'yes' if found['same_texts'] else 'NO'} |\n"
    )


def main() -> None:
    """Compare and print; exit 1 if the texts differ in float32."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shape", choices=SHAPES, default="smollm2", help="model shape")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--dtype", default="float32", help="precision of the weights")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    parser.add_argument("--prompts", type=int, default=64, help="prompts that harc decodes")
    parser.add_argument(
        "--naive-prompts", type=int, default=0, help="of them, those decoded one by one; 0: all"
    )
    parser.add_argument("--batch-size", type=int, default=64, help="prompts that harc decodes together")
    parser.add_argument("--max-new-tokens", type=int, default=64, help="tokens of every response")
    parser.add_argument(
        "--repeats", type=int, default=3, help="runs of each side, in turn, of which the median"
    )
    parser.add_argument("--out", type=Path, help="file to keep the table in, too")
    arguments = parser.parse_args()
    found = compare(arguments)
    sys.stdout.write(json.dumps(found) + "\n" + format_table(found))
    if not found["same_texts"] and arguments.dtype == "float32":
        sys.exit("error: the texts differ")
    if arguments.out:
        files.write_text(arguments.out, format_table(found))


if __name__ == "__main__":
    main()
