"""A whole run of profile ci on a SLURM cluster of one node, one job of which is killed on the way."""

import importlib.util
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from cluster.one_node import list_missing, run_cluster
from fixtures.project_copy import Copy, copy_project

from harc.core.files import read_json

PLUGIN = "snakemake_executor_plugin_slurm"
PATIENCE = 1800  # seconds
# A cluster without accounting, asked often: for the test alone.
OPTIONS = (
    "--slurm-no-account", "--slurm-keep-successful-logs", "--slurm-status-command", "squeue",
    "--slurm-init-seconds-before-status-checks", "2", "--seconds-between-status-checks", "2", "--latency-wait", "10",
)  # fmt: skip

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(list_missing()), reason=f"needs {', '.join(list_missing())}"),
    pytest.mark.skipif(importlib.util.find_spec(PLUGIN) is None, reason=f"needs the package {PLUGIN}"),
]


@pytest.fixture
def copy(tmp_path) -> Copy:
    return copy_project(tmp_path / "project")


def find_process(words: str) -> int | None:
    """A process of `harc step` whose command holds these words."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it has ended
            continue
        if words in command and "snakemake" not in command and "bash" not in command:
            return int(path.parent.name)
    return None


def kill_once(process: subprocess.Popen, words: str) -> None:
    """Kill the first process with these words, as a node does that runs out of memory."""
    until = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < until:
        if found := find_process(words):
            time.sleep(0.5)
            os.kill(found, signal.SIGKILL)
            return
        time.sleep(0.1)
    pytest.fail(f"no process with {words!r} was seen")


def test_a_job_that_is_killed_is_tried_again_with_more_memory_and_the_run_ends_sound(copy):
    with tempfile.TemporaryDirectory(prefix="slurm") as name, run_cluster(Path(name)) as environment:
        log = copy.root / "run.log"
        with log.open("w") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "snakemake", "--profile", "profiles/slurm", *OPTIONS, "--config", "profile=ci"],
                cwd=copy.root,
                env={**environment, "PYTHONPATH": str(copy.root)},
                stdout=out,
                stderr=subprocess.STDOUT,
            )  # fmt: skip
        try:
            kill_once(process, "harc step train_adapter")
            assert process.wait(PATIENCE) == 0, log.read_text()[-6000:]
        finally:
            process.kill()
    assert read_json(copy.root / "results/ci/audit/audit.json")["ok"] is True
    jobs = [path.read_text() for path in (copy.root / "results/logs/slurm").rglob("*.log")]
    tries = [re.findall(r"--attempt (\d)", text)[0] for text in jobs if "rule train_adapter" in text]
    assert "2" in tries, "nothing was tried again"
