"""Measure the workflow as a newcomer meets it: a whole run of a fresh clone, a run with nothing to do, one figure.

    python benchmarks/measure_workflow.py [--profile organism]

Writes benchmarks/measured/workflow_<profile>.json; `python benchmarks/update_documents.py` puts it into the README.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harc.core.files import read_json, write_json

PROJECT = Path(__file__).parents[1]
MEASURED = PROJECT / "benchmarks/measured"


def describe_machine() -> dict[str, str | int]:
    """Processor, cores and Python of this machine."""
    name = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [
            line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line
        ]
        name = names[0] if names else name
    return {"processor": name, "cores": os.cpu_count() or 1, "python": platform.python_version()}


def time_workflow(clone: Path, profile: str) -> tuple[float, float]:
    """Seconds by the clock, and CPU seconds of all processes, of one `snakemake --cores all` in the clone.

    Raises:
        SystemExit: with the end of what it printed, if it fails.
    """
    command = [sys.executable, "-m", "snakemake", "--cores", "all", "--config", f"profile={profile}"]
    started, used = time.monotonic(), os.times()
    done = subprocess.run(
        command,
        cwd=clone,
        env={**os.environ, "PYTHONPATH": str(clone)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        sys.exit(f"the workflow failed:\n{done.stdout[-3000:]}")
    ended = os.times()
    cpu = ended.children_user - used.children_user + ended.children_system - used.children_system
    return round(time.monotonic() - started, 1), round(cpu, 1)


def read_jobs(clone: Path, profile: str, column: str) -> dict[str, float]:
    """The largest value of a job by step, from the sidecars: `peak_memory_mb` (MiB), `cpu_seconds`."""
    peaks: dict[str, float] = {}
    for path in sorted((clone / "results" / profile).rglob("*.provenance.json")):
        record = read_json(path)
        step = record["command"].split()[2]
        peaks[step] = max(peaks.get(step, 0.0), record[column])
    return peaks


def measure(profile: str) -> dict:
    """All figures of one profile, from a fresh clone of the last commit."""
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "harc"
        subprocess.run(["git", "clone", "--quiet", str(PROJECT), str(clone)], check=True)
        commit = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=clone, check=True
        )
        whole, cpu = time_workflow(clone, profile)
        again, _ = time_workflow(clone, profile)
        module = clone / "harc/results/figures/figure1.py"
        module.write_text(module.read_text() + "\nTOUCHED = True\n")
        figure, _ = time_workflow(clone, profile)
        peaks, used = (read_jobs(clone, profile, column) for column in ("peak_memory_mb", "cpu_seconds"))
    return {
        "profile": profile,
        "commit": commit.stdout.strip(),
        "machine": describe_machine(),
        "seconds": {"whole": whole, "nothing_to_do": again, "one_figure": figure},
        "cpu_seconds": {"whole": cpu, "jobs": used},
        "peak_memory_mb": peaks,
    }


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", default="organism")
    profile = parser.parse_args().profile
    measured = measure(profile)
    write_json(MEASURED / f"workflow_{profile}.json", measured)
    seconds, memory = measured["seconds"], max(measured["peak_memory_mb"].values())
    sys.stdout.write(
        f"whole run {seconds['whole']} s, nothing to do {seconds['nothing_to_do']} s, one figure "
        f"{seconds['one_figure']} s, peak memory of a job {memory:.0f} MiB\n"
    )


if __name__ == "__main__":
    main()
