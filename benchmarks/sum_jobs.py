"""Add up what the jobs of a finished run took, by step, as their sidecars say.

    python benchmarks/sum_jobs.py --profile organism_study

A run's wall time on N cores is at least the sum over N. Written to benchmarks/measured/jobs_<profile>.json.
"""

import argparse
import sys
from collections import Counter
from pathlib import Path

from measure_workflow import MEASURED, PROJECT, describe_machine

from harc.core.files import read_json, write_json

LEFT_OUT = ("tune_method", "choose_point", "collect_points", "train_backbone")


def sum_jobs(root: Path) -> dict[str, dict[str, float]]:
    """CPU seconds and number of jobs by step; tuning is left out, being no part of a run, and so are backbones, which
    later runs take up from their checkpoints.
    """
    seconds: Counter[str] = Counter()
    jobs: Counter[str] = Counter()
    for path in sorted(root.rglob("*.provenance.json")):
        record = read_json(path)
        step = record["command"].split()[2]
        if step not in LEFT_OUT:
            seconds[step] += record["cpu_seconds"]
            jobs[step] += 1
    return {step: {"jobs": jobs[step], "seconds": round(seconds[step], 1)} for step in sorted(jobs)}


def main() -> None:
    """Add up, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", default="organism_study")
    profile = parser.parse_args().profile
    rules = sum_jobs(PROJECT / "results" / profile)
    if not rules:
        sys.exit(f"results/{profile}: expected the sidecars of a finished run; found none; run it first")
    write_json(MEASURED / f"jobs_{profile}.json", {"machine": describe_machine(), "rules": rules})
    for rule, found in rules.items():
        sys.stdout.write(f"{rule:20} {found['jobs']:4} jobs {found['seconds']:8.1f} s\n")


if __name__ == "__main__":
    main()
