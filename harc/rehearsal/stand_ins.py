"""Everything that a rehearsal puts in the place of what lies elsewhere, made in a folder: models, datasets, files."""

import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harc.core.errors import ConfigError
from harc.core.files import read_json, write_json
from harc.rehearsal.hub import HOST, Repository
from harc.rehearsal.published import PUBLISHED
from harc.settings.backbones import HubBackbone
from harc.settings.endpoints import EndpointSettings
from harc.settings.profile import Profile

TOKEN = "hf_rehearsal"
LIST = "stand_ins.json"


@dataclass(frozen=True)
class Ports:
    """Where the stand-ins listen: the hub, and the server of models."""

    hub: int
    server: int


def find_free_ports() -> Ports:
    """Two ports of this machine that nobody listens on."""
    with socket.socket() as one, socket.socket() as two:
        one.bind((HOST, 0))
        two.bind((HOST, 0))
        return Ports(one.getsockname()[1], two.getsockname()[1])


def list_endpoints(profile: Profile) -> dict[str, EndpointSettings]:
    """Models that a profile asks beside those under study, by their role."""
    found = {
        "attacker": profile.evaluation.attacker_endpoint,
        "judge": profile.evaluation.judge_endpoint,
        "grader": profile.helpfulness.judge if profile.helpfulness else None,
    }
    return {role: endpoint for role, endpoint in found.items() if endpoint is not None}


def list_models(profile: Profile) -> dict[str, tuple[str, bool]]:
    """Models of the hub that a profile needs: what each is there for, and whether it is gated.

    Raises:
        ConfigError: for a model whose shape is not known.
    """
    found = {
        backbone.model_id: ("chat", backbone.gated)
        for backbone in profile.all_backbones.values()
        if isinstance(backbone, HubBackbone)
    }
    for role, endpoint in list_endpoints(profile).items():
        found.setdefault(endpoint.model, ("attacker" if role == "attacker" else "judge", False))
    for name in found:
        if name not in PUBLISHED:
            raise ConfigError(
                f"rehearsal of {profile.name}",
                expected=f"models whose shape is known: {', '.join(PUBLISHED)}",
                found=name,
                fix="add its shape to harc/rehearsal/published.py",
            )
    return found


def make_stand_ins(profile: Profile, folder: Path, ports: Ports) -> None:
    """Make what is not there yet: models, datasets and public files, with a list of them for the server."""
    from harc.rehearsal.models import CHAT_REPLIES, GRADES, PROPOSALS, save_stand_in
    from harc.rehearsal.public_files import write_hub_datasets, write_public_files

    replies = {"chat": CHAT_REPLIES, "attacker": PROPOSALS, "judge": GRADES}
    repositories = []
    for name, (purpose, gated) in list_models(profile).items():
        place = folder / "models" / name
        if not place.is_dir():
            save_stand_in(place, PUBLISHED[name], replies[purpose])
        repositories.append({"name": name, "folder": str(place), "kind": "model", "gated": gated})
    for name, place in write_hub_datasets(folder / "datasets").items():
        repositories.append({"name": name, "folder": str(place), "kind": "dataset", "gated": False})
    write_public_files(folder / "public", f"http://{HOST}:{ports.hub}/files", folder / "registry.yaml")
    served = any(endpoint.kind != "local" for endpoint in list_endpoints(profile).values())
    listed = {
        "profile": profile.source,
        "ports": vars(ports),
        "repositories": repositories,
        "serves_models": served,
    }
    write_json(folder / LIST, listed)


def read_ports(folder: Path) -> Ports | None:
    """The ports of a rehearsal that was begun; None where there is none."""
    path = folder / LIST
    return Ports(**read_json(path)["ports"]) if path.is_file() else None


def find_rehearsed(folder: Path) -> str:
    """What the profile that is rehearsed was called."""
    return str(read_json(folder / LIST)["profile"])


def serves_models(folder: Path) -> bool:
    """Whether a rehearsal needs a server of models beside the hub."""
    return bool(read_json(folder / LIST)["serves_models"])


def read_repositories(folder: Path) -> list[Repository]:
    """What the stand-in hub holds."""
    listed: list[Mapping[str, Any]] = read_json(folder / LIST)["repositories"]
    return [Repository(one["name"], Path(one["folder"]), one["kind"], one["gated"]) for one in listed]


def write_profile(path: Path, values: Mapping[str, Any]) -> None:
    """Write a profile, which is YAML, as JSON, which is YAML too."""
    from harc.core.files import write_text

    write_text(path, json.dumps(values, indent=1) + "\n")
