"""Bad input to the workflow: one clear line, exit status 1, nothing half-written."""

import os
import signal
import subprocess
import sys
import time

import pytest

TIMED = ("compute.tex", "artifacts.tex")  # what steps took, and the hashes that hold it; the PDF shows both
SAME = (".csv", ".tex", ".pdf", ".png")  # what two runs on one machine must give byte for byte


def errors_of(run):
    return [line for line in run.text.splitlines() if "expected" in line and "found" in line]


def list_written(copy):
    return (
        sorted(path for path in (copy.root / "results").rglob("*") if path.is_file())
        if (copy.root / "results").exists()
        else []
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "extends: ci\nmethods: {harc: {loss: {margn: 0.3}}}\n",
            "mine.yaml: methods.harc.loss.margn: expected a known setting; found an unknown key; "
            "did you mean 'margin'?",
        ),
        (
            "extends: ci\nmethods: {harc: {loss: {margin: 1.5}}}\n",
            "mine.yaml: methods.harc.loss.margin: expected less than or equal to 1; found 1.5; change the value",
        ),
        (
            "extends: ci\nmethods: {hark: {}}\n",
            "mine.yaml: methods.hark.preset: expected 'harc', 'harc_released'",
        ),
        (
            "extends: ci\nbackbones: {organism-lama: {kind: organism, architecture: lama}}\n",
            "mine.yaml: backbones.organism-lama.organism.architecture: expected 'llama', 'qwen2', 'mistral', 'gemma' "
            "or 'phi3'; found 'lama'",
        ),
        ("extends: [ci\n", "mine.yaml:2: expected YAML"),
        (
            "extends: mine.yaml\n",
            "mine.yaml: extends: expected a profile that ends the chain; found a circle",
        ),
    ],
)
def test_bad_profile_is_one_line(fresh, content, message):
    (fresh.root / "mine.yaml").write_text(content)
    run = fresh.snakemake(profile="mine.yaml")
    assert run.status == 1
    assert message in run.text
    assert len(errors_of(run)) == 1, run.text
    assert list_written(fresh) == []


def test_unknown_profile_names_the_known_ones(fresh):
    run = fresh.snakemake(profile="organsm")
    assert run.status == 1
    assert "profile 'organsm': expected one of ci, " in run.text
    assert len(errors_of(run)) == 1, run.text


def test_misspelt_key_of_the_workflow_is_one_line(fresh):
    (fresh.root / "more.yaml").write_text("cores: 3\n")
    for arguments, key, fix in (
        (["--config", "profle=smol"], "profle", "did you mean 'profile'?"),
        (["--configfile", "more.yaml"], "cores", "known here: profile"),
    ):
        run = fresh.run("snakemake", "--cores", "1", *arguments)
        assert run.status == 1
        where = f"workflow config (config/config.yaml, --configfile, --config): {key}"
        assert errors_of(run) == [f"{where}: expected a known setting; found an unknown key; {fix}"]
    assert list_written(fresh) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["train_adapter", "--backbone", "organism-lama"],
            "backbone of train_adapter: expected one of organism-llama",
        ),
        (
            ["train_adapter", "--method", "hark"],
            "method of train_adapter: expected one of base, sft, cast, harc, ",
        ),
        (["trane"], "harc step: expected one of pull_data"),
    ],
)
def test_unknown_names_are_one_line(fresh, arguments, message):
    run = fresh.run("harc", "step", *arguments, "--profile", "ci")
    assert run.status == 1
    assert message in run.text
    assert len(run.text.splitlines()) == 1, run.text


def test_damaged_object_of_the_remote_stops_the_pull(fresh):
    subprocess.run(["git", "init", "-q"], cwd=fresh.root, check=True)
    objects = [path for path in (fresh.root / "dvc-remote").rglob("*") if path.is_file()]
    victim = max(objects, key=lambda path: path.stat().st_size)
    os.chmod(victim, 0o644)
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(bytes(data))
    run = fresh.snakemake("pull_data", profile="organism")
    assert run.status == 1
    assert "git checkout -- dvc-remote" in run.text
    assert not (fresh.root / "data/organism").exists() or not any((fresh.root / "data/organism").iterdir())
    assert list_written(fresh) == [] or all("logs" in str(path) for path in list_written(fresh))


def test_killed_run_continues_and_ends_as_an_uninterrupted_one(fresh, finished):
    """kill -9 of Snakemake and of its jobs in the middle; the next run finishes with the same scores."""
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--config", "profile=ci"]
    process = subprocess.Popen(
        command,
        cwd=fresh.root,
        env={**os.environ, "PYTHONPATH": str(fresh.root)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    marker = fresh.root / "results/ci/directions/organism-llama/base/seed0/layers.json"
    deadline = time.monotonic() + 900
    while not marker.exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.2)
    time.sleep(5)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert marker.exists()
    locked = fresh.snakemake()
    assert locked.status != 0
    assert "unlock" in locked.text
    assert fresh.snakemake("--unlock").status == 0
    again = fresh.snakemake()
    assert again.status == 0, again.text[-3000:]
    for place in ("results/ci/scores", "results/ci/tables", "results/ci/figures", "paper/generated"):
        paths = [
            path
            for path in sorted((finished.root / place).rglob("*"))
            if path.suffix in SAME and path.name not in TIMED
        ]
        assert paths
        for path in paths:
            other = fresh.root / path.relative_to(finished.root)
            assert other.read_bytes() == path.read_bytes(), path
    roots = [(project.root / "results/ci/root_hash.json").read_bytes() for project in (fresh, finished)]
    assert roots[0] == roots[1]
