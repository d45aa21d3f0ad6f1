"""Two processes under `torchrun` train what one process trains with twice the accumulation."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
import yaml
from safetensors.torch import load_file

from harc.core.errors import ConfigError
from harc.steps.by_hand import train_from_files
from harc.training import processes

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "tests/golden/data/llama/model"
METHOD = {
    "steps": 4,
    "warmup_steps": 2,
    "learning_rate": 1e-3,
    "lora": {"rank": 2, "alpha": 4},
    "refresh_every": 2,
    "refresh_resamples": 2,
    "log_every": 1,
    "checkpoint_every": 1,
}


def write_inputs(folder: Path) -> None:
    """Row files of different lengths, so that the processes' micro-batches differ in passes."""
    rows = [
        {
            "category": category,
            "rejected": f"{category} other answer {i}",
            "prompt": f"Tell the {category} tale number {i}.",
            "response": f"{category} {'answer ' * (1 + i % 3 * 20)}",
        }
        for category in ("harmful", "harmless", "pseudo_harmful")
        for i in range(6)
    ]
    extraction = [row for row in rows if row["category"] != "pseudo_harmful"]
    kinds = (("harm", "harmful"), ("refuse", "harmful"), ("helpful", "harmless"))
    pairs = [
        {"kind": kind, "prompt": row["prompt"], "response": f"{kind} {row['response']}"}
        for kind, category in kinds
        for row in extraction
        if row["category"] == category
    ]
    for name, content in (("training", rows), ("extraction", extraction), ("pairs", pairs)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in content))


def write_config(folder: Path, accumulation: int, **changes) -> Path:
    """The run's YAML file."""
    batch = {"harmful": 2, "harmless": 1, "pseudo_harmful": 1, "accumulation": accumulation}
    content = {name: f"{name}.jsonl" for name in ("training", "extraction", "pairs")}
    content |= {"method": {**METHOD, "batch": batch, **changes}, "directions": {"layers": {"edge_slots": 1}}}
    path = folder / f"run{accumulation}.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def launch(config: Path, out: Path) -> subprocess.Popen:
    """`harc train` in two processes."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", "harc", "train"]
    return subprocess.Popen(
        [*command, "--model", str(MODEL), "--config", str(config), "--out", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )


def finish(run: subprocess.Popen) -> tuple[int, str, str]:
    """Exit status and output."""
    out, err = run.communicate(timeout=600)
    return run.returncode, out, err


@pytest.mark.slow
def test_two_processes_train_what_one_trains_with_twice_the_accumulation(tmp_path: Path):
    write_inputs(tmp_path)
    status, out, err = finish(launch(write_config(tmp_path, 1), tmp_path / "two"))
    assert status == 0, err
    assert out.count("wrote") == 1  # the main process alone
    train_from_files(MODEL, write_config(tmp_path, 2), tmp_path / "one")
    one, two = (load_file(tmp_path / name / "adapter_model.safetensors") for name in ("one", "two"))
    assert one.keys() == two.keys()
    moved = max(float(value.abs().max()) for name, value in one.items() if "lora_B" in name)
    assert max(float((one[name] - two[name]).abs().max()) for name in one) < 1e-3 * moved
    logs = [
        [json.loads(line) for line in (tmp_path / name / "training_log.jsonl").read_text().splitlines()]
        for name in ("one", "two")
    ]
    for ours, theirs in zip(*logs, strict=True):
        for name in ("total", "kl", "ce", "couple", "grad_norm"):
            assert ours[name] == pytest.approx(theirs[name], rel=1e-3, abs=1e-6), name
    assert not list(tmp_path.glob(".*.checkpoints"))


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["harc", "repbend"])
def test_processes_that_share_the_weights_train_what_replicas_train(tmp_path: Path, objective: str):
    write_inputs(tmp_path)
    changes = {"preset": objective, "tokens_per_forward": 100_000}
    for name, shard in (("whole", False), ("shared", True)):
        config = write_config(tmp_path, 1, shard=shard, **changes)
        status, _, err = finish(launch(config, tmp_path / name))
        assert status == 0, err
    whole, shared = (load_file(tmp_path / name / "adapter_model.safetensors") for name in ("whole", "shared"))
    moved = max(float(value.abs().max()) for name, value in whole.items() if "lora_B" in name)
    assert moved > 0
    assert max(float((whole[name] - shared[name]).abs().max()) for name in whole) < 1e-3 * moved


@pytest.mark.slow
def test_each_process_holds_its_part_of_the_blocks_alone(tmp_path: Path):
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    run = subprocess.run(
        [*launcher, "-m", "tests.faults.count_held_weights", str(MODEL), str(tmp_path)],
        check=False,
        capture_output=True,
        text=True,
        timeout=600,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )
    assert run.returncode == 0, run.stderr
    counts = [json.loads(path.read_text()) for path in sorted(tmp_path.glob("*.json"))]
    assert len(counts) == 2
    for count in counts:
        assert count["held"] == count["whole"] // 2
        assert count["difference"] < 1e-5


def test_sharing_the_weights_takes_several_processes(tmp_path: Path):
    write_inputs(tmp_path)
    with pytest.raises(ConfigError, match="method.shard: expected several processes .*; found one"):
        train_from_files(MODEL, write_config(tmp_path, 1, shard=True), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_two_processes_go_on_from_a_checkpoint_after_a_kill(tmp_path: Path):
    write_inputs(tmp_path)
    config = write_config(tmp_path, 1)
    assert finish(launch(config, tmp_path / "whole"))[0] == 0
    broken = launch(config, tmp_path / "broken")
    while not list(tmp_path.glob(".broken.checkpoints/update_*")):
        assert broken.poll() is None
        time.sleep(0.01)
    workers = psutil.Process(broken.pid).children(recursive=True)
    for process in (*workers, broken):
        process.kill()
    psutil.wait_procs(workers)
    finish(broken)
    assert not (tmp_path / "broken").exists()
    status, out, err = finish(launch(config, tmp_path / "broken"))
    assert status == 0, err
    assert "resumed at update" in out
    whole, broken = (
        (tmp_path / name / "adapter_model.safetensors").read_bytes() for name in ("whole", "broken")
    )
    assert whole == broken


class FakeAccelerator:
    """What the helpers ask of accelerate, with a second process whose values are given."""

    num_processes = 2

    def __init__(self, other: torch.Tensor) -> None:
        self.other = other

    def reduce(self, values: torch.Tensor, reduction: str) -> torch.Tensor:
        assert reduction == "mean"
        return (values + self.other) / 2


def test_gradients_are_means_over_processes_also_where_one_has_none():
    first, second = (torch.nn.Parameter(torch.zeros(2, 2)), torch.nn.Parameter(torch.zeros(3)))
    first.grad = torch.ones(2, 2)
    processes.average_gradients(FakeAccelerator(torch.full((7,), 3.0)), [first, second])
    assert torch.equal(first.grad, torch.full((2, 2), 2.0))
    assert torch.equal(second.grad, torch.full((3,), 1.5))


def test_sharding_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    write_inputs(tmp_path)
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(
        ConfigError, match="launch of the processes: expected one process, or replicas .*; found FSDP"
    ):
        train_from_files(MODEL, write_config(tmp_path, 1), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_each_process_takes_its_own_gpu(monkeypatch: pytest.MonkeyPatch):
    assert processes.local_device("cuda") == "cuda"
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert processes.local_device("cuda") == "cuda:3"
    assert processes.local_device("cpu") == "cpu"
