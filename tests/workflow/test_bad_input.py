"""Bad input to the workflow: one clear line, exit status 1, nothing half-written."""

import os
import subprocess
from pathlib import Path

import pytest
from fixtures.project_copy import PROJECT

import harc.cli
from harc.cli.running import run_command
from harc.core.errors import ConfigError
from harc.settings.profile import load_profile


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
            "mine.yaml: methods.hark.preset: expected 'cast', 'cb', ",
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
def test_bad_profile_is_one_line(tmp_path, monkeypatch, content, message):
    monkeypatch.chdir(tmp_path)
    Path("config").symlink_to(PROJECT / "config")
    Path("mine.yaml").write_text(content)
    with pytest.raises(ConfigError) as caught:
        load_profile("mine.yaml")
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_the_workflow_stops_at_a_bad_profile_with_its_line(fresh):
    (fresh.root / "mine.yaml").write_text("extends: ci\nmethods: {harc: {loss: {margn: 0.3}}}\n")
    run = fresh.snakemake(profile="mine.yaml")
    assert run.status == 1
    assert errors_of(run) == [
        "mine.yaml: methods.harc.loss.margn: expected a known setting; found an unknown key; did you mean 'margin'?"
    ]
    assert list_written(fresh) == []


def test_unknown_profile_names_the_known_ones():
    with pytest.raises(ConfigError, match="profile 'organsm': expected one of ci, "):
        load_profile("organsm")


def test_misspelt_key_of_the_workflow_is_one_line(fresh):
    (fresh.root / "more.yaml").write_text("cores: 3\n")
    for arguments, key, fix in (
        (["--config", "profle=smol"], "profle", "did you mean 'profile'?"),
        (["--configfile", "more.yaml"], "cores", "known here: profile, rehearse"),
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
def test_unknown_names_are_one_line(monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(PROJECT)
    assert run_command(harc.cli.app, ["step", *arguments, "--profile", "ci"]) == 1
    said = capsys.readouterr().err
    assert message in said
    assert len(said.splitlines()) == 1, said


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
