"""A training run killed at any moment, then started again, ends bit-identical to one that was left alone."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("train_in_forks.py")
FILES = (
    "adapter_config.json",
    "adapter_model.safetensors",
    "base_model.json",
    "diagnostics.jsonl",
    "selected_layers.jsonl",
    "training_log.jsonl",
)
MOMENTS = 3


class Trainer:
    """A process that trains in forks on request."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(SCRIPT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(SCRIPT.parents[2])},
        )

    def start(self, out: Path, checkpoints: Path) -> int:
        """Begin a run; its process id."""
        self.process.stdin.write(f"{out} {checkpoints}\n")
        self.process.stdin.flush()
        return self._read("pid")

    def wait(self) -> int:
        """Exit status of the run."""
        return self._read("status")

    def _read(self, kind: str) -> int:
        """The next line; a stray one must never be taken for a process to kill."""
        found, value = self.process.stdout.readline().split()
        assert found == kind
        return int(value)


@pytest.fixture(scope="module")
def trainer() -> Iterator[Trainer]:
    """The process, ended with the module."""
    found = Trainer()
    yield found
    found.process.stdin.close()
    found.process.wait()
    found.process.stdout.close()


def read_files(folder: Path) -> dict[str, bytes]:
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    return {name: (folder / name).read_bytes() for name in FILES}


@pytest.fixture(scope="module")
def undisturbed(trainer: Trainer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Files of a run that was left alone."""
    folder = tmp_path_factory.mktemp("undisturbed")
    trainer.start(folder / "out", folder / "checkpoints")
    assert trainer.wait() == 0
    assert not (folder / "checkpoints").exists()
    return read_files(folder / "out")


def kill_after(trainer: Trainer, out: Path, checkpoints: Path, update: int, delay: float) -> None:
    """Start a run and kill it `delay` seconds after its checkpoint of an update is there (0: none yet)."""
    pid = trainer.start(out, checkpoints)
    while update and not any(int(path.name[-8:]) >= update for path in checkpoints.glob("update_*")):
        time.sleep(0.005)
    time.sleep(delay)
    os.kill(pid, signal.SIGKILL)
    assert trainer.wait() == -signal.SIGKILL
    assert not out.exists()


def finish(trainer: Trainer, out: Path, checkpoints: Path) -> str:
    """Start the run again; the update that it went on from."""
    trainer.start(out, checkpoints)
    assert trainer.wait() == 0
    assert not checkpoints.exists()
    return Path(f"{out}.resumed_at").read_text()


def test_killed_runs_end_identical(trainer: Trainer, undisturbed: dict[str, bytes], tmp_path: Path):
    moments = random.Random(20261121)
    for number, update in enumerate([0, *moments.sample(range(1, 7), MOMENTS)]):
        out, checkpoints = tmp_path / f"out{number}", tmp_path / f"checkpoints{number}"
        kill_after(trainer, out, checkpoints, update, moments.uniform(0, 0.05))
        resumed_at = finish(trainer, out, checkpoints)
        assert read_files(out) == undisturbed, f"killed after update {update}"
        assert update == 0 or int(resumed_at) >= update


def test_damaged_checkpoint_is_passed_over(trainer: Trainer, undisturbed: dict[str, bytes], tmp_path: Path):
    out, checkpoints = tmp_path / "out", tmp_path / "checkpoints"
    kill_after(trainer, out, checkpoints, 1, 0)
    for path in checkpoints.glob("update_*/state.safetensors"):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(bytes(data))
    assert finish(trainer, out, checkpoints) == "None"
    assert read_files(out) == undisturbed
