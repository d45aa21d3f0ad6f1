"""Every profile plans: all jobs are listed without network, GPU or token, and nothing is fetched or written."""

import re
import socket
from collections import Counter

import pytest
from fixtures.project_copy import PROJECT

import harc.cli
from harc.cli.running import run_command
from harc.settings.profile import list_profiles, load_profile
from harc.steps.machine import Machine
from harc.steps.paper import find_latex
from harc.steps.preflight import find_profile_lacks

PROFILES = sorted(path.stem for path in (PROJECT / "config/profiles").glob("*.yaml"))
ON_PUBLISHED_MODELS = ("smol", "smollm2", "smol_attacker", "small", "paper", "large")
PLANNED = re.compile(r"^(\w+) +(\d+)$", re.MULTILINE)


def count_jobs(profile) -> dict[str, int]:
    """Jobs of a full run by rule, from the profile's own numbers."""
    kinds = [backbone.kind == "organism" for backbone in profile.backbones.values()]
    others = [backbone.kind == "organism" for backbone in profile.families.backbones.values()]
    seeds, few = len(profile.seeds), profile.method_seeds
    runs = {name: len(few.get(name, profile.seeds)) for name in profile.methods}
    fitted = sum(runs[name] for name, method in profile.methods.items() if method.is_fitted)
    warm = sum(getattr(backbone, "warm_start", None) is not None for backbone in profile.backbones.values())
    trained = sum(kinds) * seeds + sum(others) * len(profile.families.seeds)
    fetched = len(kinds) - sum(kinds), len(others) - sum(others)  # the same at every seed
    bases, arms = sum(kinds) * seeds + fetched[0], len(profile.list_arm_units())
    models = trained + sum(fetched)
    adapted = len(kinds) * sum(runs.values())
    jobs = {
        "pull_data": 1,
        "check_contamination": 1,
        "train_judge": int("refusal_classifier" in profile.evaluation.judges),
        "train_backbone": trained,
        "fetch_backbone": sum(fetched) - warm,
        "warm_start": warm,
        "merge_warm_start": warm,
        "write_answers": models * (profile.data.answers == "own"),
        "extract_directions": models,
        "train_adapter": adapted - len(kinds) * fitted + arms,
        "fit_steering": len(kinds) * fitted,
        "evaluate": bases + adapted + arms,
        "score": bases + adapted + arms,
        "trace_responses": sum(
            bases if name == "base" else len(kinds) * runs[name] for name in profile.trajectories.methods
        ),
        "finetune_harmful": len(kinds)
        * len(profile.finetuning.methods)
        * len(set(profile.seeds) & set(profile.finetuning.seeds)),
        "erode_refusal": len(kinds)
        * len(profile.erosion.methods)
        * len(set(profile.seeds) & set(profile.erosion.seeds)),
        "suppress_refusal": len(profile.list_suppressed_units()),
        "measure_helpfulness": len(profile.list_helpfulness_units()),
        "make_tables": 1,
        "make_figure": len(profile.figures),
        "tabulate_compute": 1,
        "seal_results": 1,
        "build_paper": 1 if find_latex() else 0,
        "build_report": 1,
        "audit": 1,
        "all": 1,
    }
    return {rule: count for rule, count in jobs.items() if count}


def run_profile(copy, name, *arguments, **environment):
    """Run or plan a profile under other environment variables."""
    return copy.run("snakemake", "--cores", "1", "--config", f"profile={name}", *arguments, **environment)


def test_every_shipped_profile_is_planned_here():
    assert list_profiles() == PROFILES
    assert set(ON_PUBLISHED_MODELS) < set(PROFILES)


@pytest.mark.parametrize("name", PROFILES)
def test_a_plan_lists_every_job_and_touches_nothing(plans, plain, name):
    planned = Counter(job.split()[0] for job in plans[name]["all"]["planned"])
    assert planned == {rule: count for rule, count in count_jobs(load_profile(name)).items() if rule != "all"}
    assert not (plain.root / "results").exists()
    assert not (plain.root / "data/public").exists()


def test_a_dry_run_prints_such_a_plan(plain, closed):
    dead = {"HTTP_PROXY": closed, "HTTPS_PROXY": closed, "HF_ENDPOINT": closed, "HF_TOKEN": ""}
    run = run_profile(plain, "smol", "--dry-run", **dead)
    assert run.status == 0, run.text[-3000:]
    planned = {rule: int(count) for rule, count in PLANNED.findall(run.text) if rule != "total"}
    assert planned == count_jobs(load_profile("smol"))
    assert "error" not in run.text.lower()
    assert not (plain.root / "results").exists()


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_passes_its_check(monkeypatch, capsys, name):
    monkeypatch.chdir(PROJECT)
    assert run_command(harc.cli.app, ["config", "check", "--profile", name]) == 0
    assert capsys.readouterr().out.startswith(f"{name}: ")


NO_GPU = r"backbone {}: expected (a GPU|4 GPUs) with \d+ GB of memory; found "


@pytest.mark.parametrize("name", ["small", "paper", "large"])
def test_a_machine_without_gpu_lacks_one_for_these(closed, monkeypatch, name):
    monkeypatch.chdir(PROJECT)
    monkeypatch.setattr(Machine, "gpu_memory_gb", [])
    monkeypatch.setattr(Machine, "reaches_directly", lambda self, url: False)
    profile = load_profile(name)
    lacks = find_profile_lacks(profile, Machine(profile.results_root))
    assert re.match(NO_GPU.format(next(iter(profile.backbones))), str(lacks[0]))
    assert len(lacks) > 1


def test_a_machine_without_gpu_is_told_so_before_any_work(plain, closed):
    environment = {"CUDA_VISIBLE_DEVICES": "", "HF_ENDPOINT": closed, "HF_TOKEN": "", "HTTPS_PROXY": closed}
    run = run_profile(plain, "large", **environment)
    lines = [line for line in run.text.splitlines() if "expected" in line]
    assert run.status == 1
    assert len(lines) == 1, run.text
    first = next(iter(load_profile("large").backbones))
    assert re.match(NO_GPU.format(first), lines[0])
    assert lines[0].endswith("more: `harc preflight --profile large` lists them)")
    assert "Traceback" not in run.text
    assert not (plain.root / "results/large").exists()


CPU_PROFILE = """\
extends: smol
description: a hub model on the CPU
backbones:
  smollm2-135m: null
  qwen2.5-coder-0.5b: null
  chat: {kind: hub, model_id: lab/chat, gpu: false, memory_gb: 0.1, disk_gb: 0.001, gated: true}
tuning: null
"""


def ask_hub(plain, endpoint, mirror):
    """What `harc preflight` says of a machine that lacks the hub's side alone, offline switches off."""
    (plain.root / "mine.yaml").write_text(CPU_PROFILE)
    environment = {"HF_ENDPOINT": endpoint, "HF_HUB_OFFLINE": "0", "HF_HOME": str(plain.root / ".hub")}
    environment |= {"HARC_DATA_MIRROR": str(mirror), "HF_TOKEN": ""}
    run = plain.run("harc", "preflight", "--profile", "mine.yaml", **environment)
    assert run.status == 1
    lines = [line for line in run.text.splitlines() if "expected" in line]
    assert len(lines) == 1, run.text
    return lines[0].removeprefix("error: ")


def test_no_network_for_a_hub_model_is_told(plain, closed, tmp_path):
    assert ask_hub(plain, closed, tmp_path) == (
        "backbone chat: expected lab/chat at revision main in the hub's cache, or a network; found neither; "
        "run `hf download lab/chat` where there is a network, or set HF_HOME to its cache"
    )


def test_no_token_for_a_gated_model_is_told(plain, tmp_path):
    with socket.socket() as hub:
        hub.bind(("127.0.0.1", 0))
        hub.listen()
        line = ask_hub(plain, f"http://127.0.0.1:{hub.getsockname()[1]}", tmp_path)
    assert line == (
        "backbone chat: expected a token for the gated model lab/chat; found none; "
        "accept its licence at https://huggingface.co/lab/chat, then `hf auth login`"
    )


def test_no_network_for_public_data_is_told_before_any_work(plain, closed):
    proxies = {"HTTPS_PROXY": closed, "https_proxy": closed}
    run = run_profile(
        plain, "smol", HARC_DATA_MIRROR="", PIP_FIND_LINKS="wheels", **proxies
    )  # pip has folders
    lines = [line for line in run.text.splitlines() if "expected" in line]
    assert run.status == 1
    assert lines == [
        "public data: expected 16 files in data/public, or a network; found neither; run `harc data fetch` where "
        "there is a network, or set HARC_DATA_MIRROR to a folder with the files (and 1 more: `harc preflight "
        "--profile smol` lists them)"
    ]
    assert not (plain.root / "results/smol").exists()
