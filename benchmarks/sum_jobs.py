"""Add up what the jobs of a finished run took, by rule, from Snakemake's own benchmark files.

    python benchmarks/sum_jobs.py --profile organism_study

A run's wall time on N cores is at least the sum over N. Written to benchmarks/measured/jobs_<profile>.json.
"""

import argparse
import csv
import sys
from collections import Counter
from pathlib import Path

from measure_workflow import MEASURED, PROJECT, describe_machine

from harc.core.files import write_json

LEFT_OUT = ("tune_method", "choose_point", "collect_points", "train_backbone")


def sum_jobs(folder: Path) -> dict[str, dict[str, float]]:
    """Seconds and number of jobs by rule; tuning is left out, being no part of a run, and so are backbones, which later
    runs take up from their checkpoints.
    """
    seconds: Counter[str] = Counter()
    jobs: Counter[str] = Counter()
    for path in sorted(folder.rglob("*.tsv")):
        rule = path.relative_to(folder).parts[0].removesuffix(".tsv")
        if rule in LEFT_OUT:
            continue
        with path.open(newline="") as handle:
            seconds[rule] += sum(float(row["s"]) for row in csv.DictReader(handle, delimiter="\t"))
        jobs[rule] += 1
    return {rule: {"jobs": jobs[rule], "seconds": round(seconds[rule], 1)} for rule in sorted(jobs)}


def main() -> None:
    """Add up, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", default="organism_study")
    profile = parser.parse_args().profile
    rules = sum_jobs(PROJECT / "results" / profile / "benchmarks")
    if not rules:
        sys.exit(
            f"results/{profile}/benchmarks: expected the files of a finished run; found none; run it first"
        )
    write_json(MEASURED / f"jobs_{profile}.json", {"machine": describe_machine(), "rules": rules})
    for rule, found in rules.items():
        sys.stdout.write(f"{rule:20} {found['jobs']:4} jobs {found['seconds']:8.1f} s\n")


if __name__ == "__main__":
    main()
