"""From a profile to its rehearsal: the same methods, seeds, suites and jobs, on stand-ins and a handful of rows."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from harc.core.errors import ConfigError
from harc.settings.backbones import HubBackbone
from harc.settings.endpoints import EndpointSettings
from harc.settings.profile import Profile
from harc.suites.benchmarks import BENCHMARKS

FEW = 4  # rows of a suite
ROWS = {
    "extraction_rows": 12, "pair_rows": 8, "training_rows": 12, "development_rows": FEW, "evaluation_rows": FEW,
    "over_refusal_rows": FEW, "benign_rows": FEW,
}  # fmt: skip
TRAINING: dict[str, Any] = {
    "steps": 4, "warmup_steps": 1, "max_prompt_tokens": 128, "max_response_tokens": 32, "k_ramp_step": 2,
    "refresh_every": 2, "refresh_resamples": 4, "held_out_rows": 4, "checkpoint_every": 2, "log_every": 1,
    "batch": {"harmful": 2, "harmless": 2, "pseudo_harmful": 1, "accumulation": 1},
    "lora": {"rank": 4, "alpha": 8},
}  # fmt: skip
"""Of every training on a backbone; its own settings come last."""
ANSWER = 8  # tokens
WRITTEN = 160  # tokens of what an attacker or a judge writes


def derive_backbone(profile: Profile, name: str) -> dict[str, Any]:
    """What is changed of a backbone: no GPU, next to no memory, a few steps."""
    changed: dict[str, Any] = {
        "memory_gb": 0.5,
        "disk_gb": 0.1,
        "gpu": False,
        "gpus": 1,
        "training": dict(TRAINING),
    }
    if getattr(profile.all_backbones[name], "warm_start", None) is not None:
        changed["warm_start"] = {"rows": FEW, "training": dict(TRAINING)}
    return changed


def derive_endpoint(settings: EndpointSettings, url: str) -> dict[str, Any]:
    """What is changed of a server: a stand-in on this machine, which needs no key; of a local model, its device."""
    if settings.kind == "local":
        return {"device": "cpu", "dtype": "float32"}
    return {"kind": "openai", "gguf": None, "base_url": url, "key_variable": None, "concurrency": 2}


def derive_values(profile: Profile, folder: Path, registry: Path, url: str) -> dict[str, Any]:
    """The rehearsal's settings, as a profile that extends the one it rehearses.

    Args:
        profile: what is rehearsed.
        folder: of the rehearsal.
        registry: of the stand-ins for public files.
        url: of the server that stands in for all servers.

    Raises:
        ConfigError: for a profile of organisms, which needs none: it is rehearsed by profile `ci`; for a model that
            is no repository of the hub.
    """
    if profile.data.source != "public":
        raise ConfigError(
            f"rehearsal of {profile.name}",
            expected="a profile on published models",
            found="one of organisms, which costs nothing to try",
            fix="run profile ci, which has every rule of it: `snakemake --cores all --config profile=ci`",
        )
    other = [
        name for name, backbone in profile.all_backbones.items() if not isinstance(backbone, HubBackbone)
    ]
    if other:
        raise ConfigError(
            f"rehearsal of {profile.name}",
            expected="models of the hub",
            found=f"{other[0]}, for which there is no stand-in yet",
            fix="rehearse small, paper or large",
        )
    values: dict[str, Any] = {
        "extends": profile.source,
        "description": f"Rehearsal of {profile.name} on stand-ins: no number of it means anything.",
        "rehearsal": True,
        "real_study": None,
        "data": {
            "directory": str(folder / "data/rows"),
            "public_dir": str(registry.parent / "fetched"),  # as ever, outside the results
            "registry": str(registry),
            "rows": {**ROWS, "attack_goals": dict.fromkeys(profile.data.rows.attack_goals, 2)},
            "own": {"max_new_tokens": ANSWER},
        },
        "directions": {"bootstrap_resamples": 8, "max_prompt_tokens": 128, "max_response_tokens": 32},
        "backbones": {name: derive_backbone(profile, name) for name in profile.backbones},
        "evaluation": derive_evaluation(profile, url),
    }
    if profile.families.backbones:
        values["families"] = {
            "backbones": {name: derive_backbone(profile, name) for name in profile.families.backbones}
        }
    if profile.suppression is not None:
        values["suppression"] = {"prompts": 2, "benign_prompts": 2, "max_new_tokens": ANSWER}
    if profile.trajectories.methods:
        values["trajectories"] = {"prompts_per_class": 4, "tokens": ANSWER}
    if profile.erosion.methods:
        values["erosion"] = {"examples": [FEW], "epochs": 1}
    if profile.finetuning.methods:
        values["finetuning"] = {"examples": [0, FEW], "epochs": 1}
    if profile.helpfulness is not None:
        values["helpfulness"] = derive_helpfulness(profile, url)
    return values


def derive_evaluation(profile: Profile, url: str) -> dict[str, Any]:
    """What is changed of the evaluation: short answers, little patience with the attacker, stand-ins for servers."""
    settings = profile.evaluation
    changed: dict[str, Any] = {
        "max_new_tokens": ANSWER,
        "batch_size": 8,
        "pair": {"streams": 2, "iterations": 2, "query_budget": 3},
        "attacker_replies": {"max_new_tokens": WRITTEN, "attempts": 2},
    }
    for role in ("attacker_endpoint", "judge_endpoint"):
        endpoint = getattr(settings, role)
        if endpoint is not None:
            changed[role] = derive_endpoint(endpoint, url)
    if settings.classifier is not None:
        changed["classifier"] = {"device": "cpu", "dtype": "float32"}
    return changed


def list_left_out(profile: Profile) -> list[str]:
    """Benchmarks that need packages which are not here: the real run would stop before its first job."""
    settings = profile.helpfulness
    return [
        name
        for name in (settings.benchmarks if settings else ())
        if any(find_spec(package) is None for package in BENCHMARKS[name].packages)
    ]


def derive_helpfulness(profile: Profile, url: str) -> dict[str, Any]:
    """What is changed of the benchmarks: an item of each, short answers."""
    settings = profile.helpfulness
    assert settings is not None
    asked = [name for name in settings.benchmarks if name not in list_left_out(profile)]
    changed: dict[str, Any] = {"benchmarks": asked}
    for name in asked:
        changed[name] = {"limit": 1, "fewshot": 0} | ({} if name == "mmlu" else {"max_new_tokens": ANSWER})
    if settings.judge is not None:
        changed["judge"] = derive_endpoint(settings.judge, url)
    return changed
