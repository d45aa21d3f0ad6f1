"""A SLURM cluster of one node on loopback, in a folder of its own: munged, slurmctld and slurmd as the current user."""

import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harc.core.processes import die_with_parent

COMMANDS = ("sbatch", "srun", "squeue", "scancel", "scontrol", "sinfo")
PROGRAMS = ("munged", "slurmctld", "slurmd", *COMMANDS)
PATIENCE = 60  # seconds until the node takes jobs
CONFIG = """ClusterName=rehearsal
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=sched_min_interval=200000,batch_sched_delay=0
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
ReturnToService=2
MinJobAge=600
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def list_missing() -> list[str]:
    """Programs of SLURM that this machine lacks (Debian: slurmctld, slurmd, slurm-client, munge)."""
    return [name for name in PROGRAMS if shutil.which(name, path=_search_path()) is None]


def _search_path() -> str:
    return os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


def _find_ports(count: int) -> list[int]:
    held = [socket.socket() for _ in range(count)]
    for one in held:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


@contextmanager
def run_cluster(folder: Path, *, cpus: int = 2, memory_mb: int = 6000) -> Iterator[dict[str, str]]:
    """Start the three servers and wait until the node takes jobs; they end with the block.

    Args:
        folder: of configuration, state and logs; its path must be short enough for a socket (about 90 characters).
        cpus, memory_mb: what the node is said to have.

    Yields:
        The environment in which SLURM's commands speak to it.

    Raises:
        RuntimeError: with the servers' last words, if the node does not come up.
    """
    import pwd

    for name in ("state", "spool", "run"):
        (folder / name).mkdir(parents=True)
    folder.chmod(0o755)
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(1024))
    key.chmod(0o600)
    config = folder / "slurm.conf"
    named = {"host": socket.gethostname().split(".")[0], "user": pwd.getpwuid(os.getuid()).pw_name}
    config.write_text(
        CONFIG.format(folder=folder, ports=_find_ports(2), cpus=cpus, memory=memory_mb, **named)
    )
    wrappers = folder / "bin"
    wrappers.mkdir()
    for name in COMMANDS:
        # By a path, not a variable: the executor plugin takes every SLURM_* out of the environment.
        found = shutil.which(name, path=_search_path())
        (wrappers / name).write_text(f'#!/bin/sh\nSLURM_CONF={config} exec {found} "$@"\n')
        (wrappers / name).chmod(0o755)
    environment = {**os.environ, "PATH": os.pathsep.join([str(wrappers), _search_path()])}
    places = {name: f"--{name}={folder}/{value}" for name, value in {
        "key-file": "munge.key", "socket": "munge.socket", "pid-file": "munged.pid", "log-file": "munged.log",
        "seed-file": "munge.seed"}.items()}  # fmt: skip
    commands = [
        ["munged", "--foreground", "--force", *places.values()],
        ["slurmctld", "-D", "-f", str(config)],
        ["slurmd", "-D", "-f", str(config), "-N", named["host"]],
    ]
    started: list[subprocess.Popen] = []
    try:
        for command in commands:
            with (folder / f"{command[0]}.out").open("wb") as log:
                started.append(
                    subprocess.Popen(
                        command,
                        env=environment,
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        preexec_fn=die_with_parent,  # noqa: PLW1509 - one thread here
                    )
                )
            time.sleep(0.5)
        _wait_for_node(folder, environment, started)
        yield environment
    finally:
        for process in reversed(started):
            process.terminate()
        for process in reversed(started):
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait_for_node(folder: Path, environment: dict[str, str], started: list[subprocess.Popen]) -> None:
    until, state = time.monotonic() + PATIENCE, ""
    while time.monotonic() < until and all(process.poll() is None for process in started):
        asked = subprocess.run(
            ["sinfo", "--noheader", "--format=%t"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        state = asked.stdout.strip() or asked.stderr.strip()
        if state == "idle":
            return
        time.sleep(0.5)
    words = [state]
    for log in sorted(folder.glob("*.out")) + sorted(folder.glob("*.log")):
        words += [f"{log.name}: {line}" for line in log.read_text(errors="replace").splitlines()[-4:]]
    raise RuntimeError("no node of SLURM came up:\n" + "\n".join(words))
