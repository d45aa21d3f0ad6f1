"""Time and peak memory of harc against the naive reference, in turn, each in its own process; prints ratios.

    python benchmarks/compare_speed.py --tokens-per-forward 1024     # SmolLM2-135M shapes on the CPU
    python benchmarks/compare_speed.py --shape llama8b --device cuda --dtype bfloat16 --repeats 5

Weights are random and texts are filler, so nothing is downloaded. Both sides read the same tokens and must agree to
1e-5 in float32. On a GPU each side is warmed up by one call that does not count, the time is the median over the
repeats, and the peak is torch's own count of allocated memory, weights included.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

from speed_fixtures import ROOT, SHAPES

from harc.core import files


def run_side(arguments: argparse.Namespace) -> None:
    """Measure one side in this process and print it as JSON; results go to a file."""
    import torch
    from safetensors.torch import save_file
    from speed_sides import SIDES

    torch.set_num_threads(arguments.threads)
    with ExitStack() as attached:
        work, export = SIDES[arguments.task, arguments.side](arguments, attached)
        measured, found = time_work(work, arguments.device, arguments.repeats)
        save_file(
            {name: value.contiguous().cpu() for name, value in export(found).items()}, arguments.results
        )
    sys.stdout.write(json.dumps(measured) + "\n")


def time_work(work: Callable[[], Any], device: str, repeats: int) -> tuple[dict[str, float], Any]:
    """(median seconds and peak memory, last result) of some calls; on a GPU after a first one that warms up."""
    import torch

    on_gpu = device.startswith("cuda")
    if on_gpu:
        work()
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    walls, cpus, found = [], [], None
    for _ in range(repeats):
        found = None  # the last result must not count as memory of the next call
        wall, cpu = time.perf_counter(), time.process_time()
        found = work()
        if on_gpu:
            torch.cuda.synchronize()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    peak = (
        torch.cuda.max_memory_allocated()
        if on_gpu
        else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    )
    measured = {"wall_s": median(walls), "wall_min_s": min(walls), "wall_max_s": max(walls)}
    return {**measured, "cpu_s": median(cpus), "peak_gb": peak / 1e9}, found


def measure(arguments: argparse.Namespace, task: str, side: str, results: Path) -> dict[str, float]:
    """Run one side in a process of its own."""
    command = [sys.executable, __file__, "--task", task, "--side", side, "--results", str(results)]
    for name in ("shape", "device", "dtype", "pairs", "threads", "tokens_per_forward", "repeats", "rows"):
        command += [f"--{name.replace('_', '-')}", str(getattr(arguments, name))]
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": str(arguments.threads)}
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
        places = ".1f" if row["harc_wall_s"] >= 10 else ".2f"
        lines.append(
            f"| {row['task']} | {row['naive_wall_s']:{places}} s | {row['harc_wall_s']:{places}} s | "
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
        "--tokens-per-forward", type=int, default=4096, help="token budget of one of harc's passes"
    )
    parser.add_argument(
        "--repeats", type=int, default=1, help="timed calls of each side, of which the median"
    )
    parser.add_argument(
        "--rows",
        type=int,
        default=12,
        help="rows of the micro-batch, on both sides: fewer where naive does not fit",
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
