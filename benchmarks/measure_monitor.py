"""What a monitor costs: the time of generation with its hooks over the time without, the two in turn; prints the ratio.

    python benchmarks/measure_monitor.py                     # SmolLM2-135M shapes, CPU
    python benchmarks/measure_monitor.py --shape tiny --new-tokens 16 --repeats 3

Weights are random and prompts are filler, so nothing is downloaded. Both sides call `generate`, greedily, without an
end token; their tokens must be the same. `no hooks` is two runs without any: what the machine's noise alone gives. The
share inside the hooks is timed there, and so is free of that noise.
"""

import argparse
import json
import random
import sys
import time
from contextlib import AbstractContextManager, nullcontext
from statistics import median
from typing import Any

from speed_fixtures import SHAPES, build_backbone, write_text


def make_directions(backbone: Any) -> Any:
    """Random unit directions of both sides."""
    import torch

    from harc.geometry.directions import FAMILIES, Directions, normalize_rows

    shape = (backbone.n_slots, backbone.hidden_size)
    return Directions(**{name: normalize_rows(torch.randn(shape)) for name in FAMILIES})


def make_timed_monitor(*arguments: Any) -> Any:
    """A monitor that adds up the CPU time of this thread inside its hooks, in `spent`."""
    from harc.geometry.monitor import Monitor

    class TimedMonitor(Monitor):
        spent = 0.0

        def _timed(self, work: Any, *given: Any) -> None:
            start = time.thread_time()
            work(*given)
            self.spent += time.thread_time() - start

        def _begin(self, *given: Any) -> None:
            self._timed(super()._begin, *given)

        def _see(self, *given: Any) -> None:
            self._timed(super()._see, *given)

        def _end(self, *given: Any) -> None:
            self._timed(super()._end, *given)

    return TimedMonitor(*arguments)


def generate(backbone: Any, ids: Any, tokens: int, inside: AbstractContextManager[Any]) -> tuple[float, Any]:
    """(CPU seconds on a CPU, wall seconds elsewhere; the tokens)."""
    import torch

    clock = time.process_time if backbone.device.type == "cpu" else time.perf_counter
    with inside:
        start = clock()
        out = backbone.model.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=tokens,
            eos_token_id=None, pad_token_id=backbone.chat.pad_id,
        )  # fmt: skip
        if backbone.device.type != "cpu":
            torch.cuda.synchronize()
        return clock() - start, out


def compare(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """A row for each choice of slots and size of batch: medians and the median ratio of pairs that ran in turn."""
    import torch

    torch.set_num_threads(arguments.threads)
    backbone = build_backbone(arguments)
    directions = make_directions(backbone)
    text = write_text(random.Random(0), backbone.tokenizer, arguments.prompt_tokens)
    prompt = backbone.chat.encode_prompts([text])[0]
    middle = backbone.n_layers // 2
    choices = {
        "4 slots": tuple(range(middle, middle + 4)), "all slots": None, "no hooks": (),
    }  # fmt: skip
    rows = []
    for batch in arguments.batch_sizes:
        ids = torch.tensor([prompt] * batch, device=backbone.device)
        generate(backbone, ids, 4, nullcontext())
        for name, slots in choices.items():
            pairs, shares, same = [], [], True
            for number in range(arguments.repeats):
                sides = {
                    "plain": nullcontext(),
                    "watched": nullcontext()
                    if slots == ()
                    else make_timed_monitor(backbone, directions, slots),
                }
                found = {}
                for side in sorted(
                    sides, reverse=number % 2 == 1
                ):  # whoever goes second finds a warmer machine
                    found[side] = generate(backbone, ids, arguments.new_tokens, sides[side])
                same = same and torch.equal(found["plain"][1], found["watched"][1])
                pairs.append((found["plain"][0], found["watched"][0]))
                shares.append(getattr(sides["watched"], "spent", 0.0) / found["watched"][0])
            ratios = [watched / plain for plain, watched in pairs]
            rows.append({
                "watched": name, "batch": batch, "plain_s": median(plain for plain, _ in pairs),
                "watched_s": median(watched for _, watched in pairs), "ratio": median(ratios),
                "ratio_min": min(ratios), "ratio_max": max(ratios), "share_in_hooks": median(shares),
                "same_tokens": same,
            })  # fmt: skip
            sys.stderr.write(f"batch {batch}, {name}: {rows[-1]['ratio']:.4f}\n")
    return rows


def main() -> None:
    """Measure and print; exit 1 if any token differs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shape", choices=SHAPES, default="smollm2", help="model shape")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--dtype", default="float32", help="precision of the weights")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    parser.add_argument("--prompt-tokens", type=int, default=60, help="tokens of the prompt's text")
    parser.add_argument("--new-tokens", type=int, default=64, help="tokens of every response")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 8], help="rows answered together")
    parser.add_argument("--repeats", type=int, default=9, help="pairs of runs, of which the median ratio")
    arguments = parser.parse_args()
    rows = compare(arguments)
    sys.stdout.write(json.dumps({**vars(arguments), "rows": rows}) + "\n")
    heads = ("watched", "batch", "without", "with", "ratio (range)", "in the hooks", "same tokens")
    sys.stdout.write(f"| {' | '.join(heads)} |\n{'|---' * len(heads)}|\n")
    for row in rows:
        sys.stdout.write(
            f"| {row['watched']} | {row['batch']} | {row['plain_s']:.2f} s | {row['watched_s']:.2f} s | "
            f"{row['ratio']:.3f} ({row['ratio_min']:.3f} to {row['ratio_max']:.3f}) | "
            f"{100 * row['share_in_hooks']:.2f} % | "
            f"{'yes' if row['same_tokens'] else 'NO'} |\n"
        )
    if not all(row["same_tokens"] for row in rows):
        sys.exit("error: the tokens differ")


if __name__ == "__main__":
    main()
