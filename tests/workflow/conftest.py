"""A private copy of the project, in which a whole run of the `ci` profile has ended."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PROFILE = "ci"


@dataclass(frozen=True)
class Run:
    """A finished command: its exit status and what it printed."""

    status: int
    text: str


@dataclass(frozen=True)
class Copy:
    """A copy of the project's files; commands run in it use its own `harc`."""

    root: Path

    def run(self, *command: str, **environment: str) -> Run:
        """Run a command of the environment's Python in the copy."""
        done = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=self.root,
            env={**os.environ, "PYTHONPATH": str(self.root), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return Run(done.returncode, done.stdout)

    def snakemake(self, *arguments: str, profile: str = PROFILE) -> Run:
        """Run the workflow with a profile."""
        return self.run("snakemake", "--cores", "2", "--config", f"profile={profile}", *arguments)

    def list_reruns(self, *arguments: str) -> list[str]:
        """Rules that a run would execute now, without repeats."""
        plan = self.snakemake("--dry-run", *arguments)
        assert plan.status == 0, plan.text
        lines = [line.split() for line in plan.text.splitlines() if line.startswith(("rule ", "localrule "))]
        return sorted({words[1].rstrip(":") for words in lines})


def copy_project(target: Path) -> Copy:
    """Copy every file that git tracks or would track, and nothing that a run made."""
    names = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in filter(None, names.split("\0")):
        if (PROJECT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, target / name)
    return Copy(target)


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Copy:
    """A copy in which `snakemake` has run the ci profile to its end."""
    copy = copy_project(tmp_path_factory.mktemp("project"))
    run = copy.snakemake()
    assert run.status == 0, run.text[-6000:]
    return copy
