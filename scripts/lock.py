"""Resolve pyproject.toml into requirements.lock, keeping what still fits, and copy its versions into environment.yml.

torch has a line of its own there, without hashes: its CPU and CUDA builds of one version are different files, and
scripts/install_torch.sh chooses. So the lock is installed with `--no-deps --require-hashes`, after torch.
"""

import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from venv import EnvBuilder

LOCK, ENVIRONMENT = Path("requirements.lock"), Path("environment.yml")
PIP_TOOLS = "pip-tools==7.6.2"
EXTRAS = ("study", "serve", "dev")
OTHERS = ("nvidia-", "cuda-", "triton", "harc-reproduction")
"""Distributions that torch brings by itself where there is a GPU, and this one."""
HEADER = """\
# Every package of the environment, resolved from pyproject.toml by `make lock`. Do not edit by hand.
# No CUDA packages: torch is installed first (scripts/install_torch.sh) and brings its own where there is a GPU.
# Then: pip install --no-deps --require-hashes --requirement requirements.lock
# torch=={torch}
"""


def split_entries(lock: str) -> dict[str, str]:
    """Name -> entry (version, hashes, comment), of a lock as pip-compile writes it."""
    entries = re.split(r"^(?=[A-Za-z0-9])", lock, flags=re.MULTILINE)[1:]
    return {re.split(r"[=\[ ]", entry, maxsplit=1)[0]: entry for entry in entries}


def resolve() -> str:
    """What pip-compile writes, told of the lock in place."""
    with TemporaryDirectory() as folder:
        work = Path(folder)
        EnvBuilder(with_pip=True).create(work / "tools")
        python = str(work / "tools" / "bin" / "python")
        subprocess.run([python, "-m", "pip", "install", "-q", PIP_TOOLS], check=True)
        (work / "pyproject.toml").write_bytes(Path("pyproject.toml").read_bytes())
        (work / "harc").mkdir()
        (work / "harc" / "__init__.py").write_bytes(Path("harc/__init__.py").read_bytes())  # the version
        known = LOCK.read_text(encoding="utf-8")
        (work / LOCK.name).write_text(
            re.sub("^# (torch==)", r"\1", known, flags=re.MULTILINE), encoding="utf-8"
        )
        extras = [word for extra in EXTRAS for word in ("--extra", extra)]
        options = (
            "--quiet --generate-hashes --strip-extras --allow-unsafe --annotation-style line --no-header"
        )
        places = "--no-emit-index-url --no-emit-find-links --no-emit-trusted-host"
        command = [python, "-m", "piptools", "compile", *options.split(), *places.split(), *extras]
        subprocess.run([*command, "--output-file", LOCK.name, "pyproject.toml"], cwd=work, check=True)
        return (work / LOCK.name).read_text(encoding="utf-8")


def main() -> None:
    """Write both files."""
    entries = split_entries(resolve())
    versions = {name: re.split(r"==|[ \n]", entry)[1].split("+")[0] for name, entry in entries.items()}
    kept = [name for name in entries if not name.startswith(OTHERS)]
    body = "".join(entries[name] for name in kept if name != "torch")
    LOCK.write_text(HEADER.format(torch=versions["torch"]) + body, encoding="utf-8")
    head = ENVIRONMENT.read_text(encoding="utf-8").partition("  - pip:\n")[0]
    pins = "".join(f"      - {name}=={versions[name]}\n" for name in kept)
    ENVIRONMENT.write_text(f"{head}  - pip:\n{pins}      - --editable .\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
