"""Rehearsals as the workflow runs them: the derived profile, the stand-ins, and the servers for as long as the run."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from harc.core.errors import EnvironmentProblem
from harc.core.processes import die_with_parent
from harc.rehearsal.derive import derive_values
from harc.rehearsal.hub import HOST, Hub
from harc.rehearsal.stand_ins import (
    TOKEN,
    Ports,
    find_free_ports,
    list_models,
    make_stand_ins,
    read_ports,
    read_repositories,
    serves_models,
    write_profile,
)
from harc.settings.profile import Profile, load_profile

ROOT = Path("results/rehearsal")
PATIENCE = 120  # seconds for the servers to listen
READY, LOG = "ready", "servers.log"


def locate_stand_ins(name: str) -> Path:
    """Folder of a rehearsal's stand-ins, beside its results."""
    return ROOT / f"{name}.stand_ins"


def check_profile(name: str) -> None:
    """Say in one line why a profile cannot be rehearsed, before anything is made.

    Raises:
        ConfigError: for one of organisms, or a model whose shape is not known.
    """
    real = load_profile(name)
    list_models(real)
    derive_values(real, ROOT / real.name, ROOT / "registry.yaml", "")


def prepare_rehearsal(name: str) -> Profile:
    """Make a profile's stand-ins and its rehearsal, and point this process's libraries at them.

    Raises:
        ConfigError: for a profile that cannot be rehearsed.
    """
    real = load_profile(name)
    folder = locate_stand_ins(real.name)
    folder.mkdir(parents=True, exist_ok=True)
    ports = read_ports(folder) or find_free_ports()
    set_environment(folder, ports)  # before any of these libraries is imported: they read it once
    make_stand_ins(real, folder, ports)
    path = ROOT / f"{real.name}.yaml"
    url = f"http://{HOST}:{ports.server}/v1"
    write_profile(path, derive_values(real, ROOT / real.name, folder / "registry.yaml", url))
    return load_profile(str(path))


def set_environment(folder: Path, ports: Ports) -> None:
    """Have the libraries of this process, and of those that it starts, ask the stand-ins and nobody else."""
    os.environ.update(
        HF_ENDPOINT=f"http://{HOST}:{ports.hub}",
        HF_HOME=str((folder / "hub_cache").absolute()),
        HF_TOKEN=TOKEN,
        HF_HUB_OFFLINE="0",
        HF_DATASETS_OFFLINE="0",
        TRANSFORMERS_OFFLINE="0",
        HF_HUB_DISABLE_TELEMETRY="1",
        HARC_CACHE=str((folder / "cache").absolute()),
        NO_PROXY=HOST,
        no_proxy=HOST,
    )
    os.environ.pop("HARC_DATA_MIRROR", None)


def start_servers(name: str) -> subprocess.Popen:
    """Start the stand-ins' servers, which end with this process, and wait until they answer.

    Raises:
        EnvironmentProblem: if they do not.
    """
    folder = locate_stand_ins(name)
    ready = folder / READY
    ready.unlink(missing_ok=True)
    with (folder / LOG).open("w") as log:
        command = [sys.executable, "-m", __name__, str(folder), str(os.getpid())]
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    until = time.monotonic() + PATIENCE
    while not ready.is_file():
        if process.poll() is not None or time.monotonic() > until:
            process.kill()
            raise EnvironmentProblem(
                f"rehearsal of {name}",
                expected="servers of the stand-ins on this machine",
                found="none that answer",
                fix=f"see {folder / LOG}; another process may hold their ports: remove {folder} and try again",
            )
        time.sleep(0.1)
    return process


def serve(folder: Path, parent: int) -> None:
    """Serve the hub in this process, and models by `transformers serve` in another, until the run ends."""
    import requests

    die_with_parent(signal.SIGTERM)
    if os.getppid() != parent:
        return
    signal.signal(signal.SIGTERM, lambda *_: os.killpg(0, signal.SIGKILL))
    ports = read_ports(folder)
    assert ports is not None
    hub = Hub(read_repositories(folder), token=TOKEN, plain=folder / "public", port=ports.hub)
    if serves_models(folder):
        command = [
            sys.executable, "-m", "transformers.cli.transformers", "serve", "--host", HOST, "--port", str(ports.server),
            "--device", "cpu", "--dtype", "float32",
        ]  # fmt: skip
        subprocess.Popen(command)  # in this process's group, which ends as one
        with requests.Session() as session:
            session.trust_env = False
            for _ in range(10 * PATIENCE):
                try:
                    if session.get(f"http://{HOST}:{ports.server}/health", timeout=5).ok:
                        break
                except requests.ConnectionError:
                    time.sleep(0.1)
    (folder / READY).touch()
    hub.serve_forever()


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]))
