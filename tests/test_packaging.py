"""Pins, versions and the set-up scripts: the same everywhere, and clear when the machine lacks something."""

import ast
import re
import shutil
import stat
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from rattler import MatchSpec

import harc

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT, SETUPTOOLS = PYPROJECT["project"], PYPROJECT["tool"]["setuptools"]


def normalize(name: str) -> str:
    """A package name as PyPI compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_pins(requirements: list[str]) -> dict[str, str]:
    """Name -> exact version; an inexact requirement is an error."""
    pins = {}
    for requirement in requirements:
        spec = MatchSpec(requirement.split("#")[0].strip())
        exact = re.fullmatch(r"==([\w.+!]+)", str(spec.version))
        assert exact, f"{requirement} is not an exact pin"
        name = normalize(spec.name if isinstance(spec.name, str) else spec.name.normalized)
        assert name not in pins, f"{name} is pinned twice"
        pins[name] = exact[1]
    return pins


DIRECT = read_pins(PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"])


def read_lock() -> dict[str, str]:
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    return read_pins([line for line in lines if line[:1].isalnum()])


def read_environment() -> tuple[list[str], list[str]]:
    """Conda's specs and pip's lines of environment.yml."""
    listed = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    pip = next(entry["pip"] for entry in listed if isinstance(entry, dict))
    return [entry for entry in listed if isinstance(entry, str)], pip


def test_lock_holds_every_direct_pin():
    lock = read_lock()
    assert len(DIRECT) == 42
    assert {name: lock.get(name) for name in DIRECT} == DIRECT


def test_environment_holds_every_direct_pin_and_the_rest_by_the_lock():
    _, pip = read_environment()
    assert read_pins([line for line in pip if not line.startswith("-")]) == DIRECT
    assert "--constraint requirements.lock" in pip
    assert "--editable ." in pip


def test_condas_python_is_one_the_project_takes():
    conda, _ = read_environment()
    specs = {MatchSpec(entry).name.normalized: MatchSpec(entry) for entry in conda}
    assert {"python", "pip", "git", "make", "tectonic"} <= specs.keys()
    assert str(specs["python"].version) == "3.11.*"
    assert PROJECT["requires-python"] == ">=3.11"


def test_lock_carries_no_cuda_and_no_local_builds():
    lock = read_lock()
    assert not [name for name in lock if name.startswith(("nvidia", "cuda", "triton"))]
    assert not [version for version in lock.values() if "+" in version]


def test_the_environment_running_these_tests_is_the_locked_one():
    from importlib import metadata

    installed = {normalize(d.metadata["Name"]): d.version.split("+")[0] for d in metadata.distributions()}
    wrong = {
        name: installed.get(name) for name, version in read_lock().items() if installed.get(name) != version
    }
    assert wrong == {}, "run `make venv`"


def list_imports(folder: str) -> set[str]:
    """Top-level names of every import below a folder, of modules that are neither Python's nor the project's."""
    found = set()
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found.update(alias.name.split(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found.add(node.module.split(".")[0])
    return found - sys.stdlib_module_names - {"harc"}


def test_every_import_is_a_direct_dependency():
    distributions = {"yaml": "pyyaml"}
    imported = list_imports("harc") | list_imports("snakemake_logger_plugin_harc")
    names = {normalize(distributions.get(name, name)) for name in imported}
    assert {"torch", "pyyaml", "pooch"} <= names
    assert names <= {normalize(MatchSpec(entry).name.normalized) for entry in PROJECT["dependencies"]}


def test_one_version_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert citation["version"] == harc.__version__ == re.search(r"^## ([0-9.]+)", changes, re.MULTILINE)[1]
    assert PROJECT["dynamic"] == ["version"] and "version" not in PROJECT
    assert SETUPTOOLS["dynamic"]["version"] == {"attr": "harc.__version__"}
    assert citation["license"] == PROJECT["license"] == "MIT"


def test_an_inexact_pin_would_be_noticed():
    with pytest.raises(AssertionError, match="is not an exact pin"):
        read_pins(["numpy>=2"])


def make_program(folder: Path, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/bash\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def run(*command: str, path: str, cwd: Path = ROOT) -> subprocess.CompletedProcess:
    return subprocess.run(
        command, cwd=cwd, env={"PATH": path}, capture_output=True, text=True, timeout=60, check=False
    )


def test_make_says_when_python_is_too_old(tmp_path: Path):
    for name in ("python3", "python3.11", "python3.12", "python3.13"):
        make_program(tmp_path / "bin", name, '[ "$1" = --version ] && echo Python 3.9.2')
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        (tmp_path / name).write_text((ROOT / name).read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "scripts").symlink_to(ROOT / "scripts")
    done = run("make", "venv", path=f"{tmp_path}/bin:/usr/bin:/bin", cwd=tmp_path)
    assert done.returncode != 0
    assert (
        "python3: expected version 3.11 or newer; found Python 3.9.2; install one, or name it" in done.stderr
    )
    assert not (tmp_path / ".venv").exists()


@pytest.mark.parametrize(
    ("answers", "has_gpu", "options"),
    [
        (True, False, "--index-url https://download.pytorch.org/whl/cpu --no-deps "),
        (False, False, ""),
        (True, True, ""),
    ],
    ids=["cpu index", "index unreachable", "gpu"],
)
def test_torch_comes_from_the_right_index(tmp_path: Path, answers: bool, has_gpu: bool, options: str):
    log = tmp_path / "log"
    # Not installed yet; then the probe of the index; then pip.
    make_program(
        tmp_path / "bin",
        "python",
        f'case "$*" in *metadata*) exit 1;; *urlopen*) exit {int(not answers)};; esac; echo "$*" >> {log}',
    )
    make_program(tmp_path / "bin", "uname", "echo Linux")
    if has_gpu:
        make_program(tmp_path / "bin", "nvidia-smi", "exit 0")
    path = f"{tmp_path}/bin:/usr/bin:/bin"
    done = run(str(ROOT / "scripts/install_torch.sh"), f"{tmp_path}/bin/python", "2.13.0", path=path)
    assert (done.returncode, done.stderr) == (0, "")
    assert log.read_text() == f"-m pip install -qq --disable-pip-version-check {options}torch==2.13.0\n"


def test_without_latex_the_hint_is_one_line_and_nothing_fails(tmp_path: Path):
    make_program(tmp_path / "bin", "env", "exec /usr/bin/env $@")
    done = run("/bin/bash", str(ROOT / "scripts/get_latex.sh"), "hint", path=f"{tmp_path}/bin")
    assert done.returncode == 0
    assert re.fullmatch(
        r"No PDF was made: LaTeX is missing\. Get it with `sudo apt-get install .*\n", done.stdout
    )


@pytest.mark.parametrize(
    ("script", "arguments", "package"),
    [
        ("get_latex.sh", [], "latexmk"),
        ("get_program.sh", ["bwrap", "bubblewrap", "SANDBOX"], "bubblewrap"),
        ("get_program.sh", ["chromium,google-chrome", "chromium", "CHROMIUM"], "chromium"),
    ],
)
def test_programs_are_left_alone_when_asked_or_not_allowed(
    tmp_path: Path, script: str, arguments: list[str], package: str
):
    log = tmp_path / "log"
    make_program(tmp_path / "bin", "apt-get", f'echo "$*" >> {log}')
    make_program(tmp_path / "bin", "sudo", "exit 1")
    make_program(tmp_path / "bin", "id", "echo 1000")
    for choice in ("auto", "no", "hint"):
        done = run("/bin/bash", str(ROOT / "scripts" / script), choice, *arguments, path=f"{tmp_path}/bin")
        assert done.returncode == 0
    assert not log.exists()
    # The twin: with a sudo that needs no password it does install.
    make_program(tmp_path / "bin", "sudo", 'shift; exec "$@"')
    for name in ("env", "mktemp", "rm", "grep", "tail", "true"):
        (tmp_path / "bin" / name).symlink_to(f"/usr/bin/{name}")
    run("/bin/bash", str(ROOT / "scripts" / script), "auto", *arguments, path=f"{tmp_path}/bin")
    assert f"install --yes --no-install-recommends {package}" in log.read_text()


def test_make_passes_the_profile_on():
    done = run("make", "--dry-run", "reproduce", "PROFILE=smol", path="/usr/bin:/bin")
    assert ".venv/bin/snakemake --cores all --config profile=smol" in done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked wheel of this project."""
    folder = tmp_path_factory.mktemp("wheel")
    project = folder / "project"
    shutil.copytree(
        ROOT,
        project,
        ignore=shutil.ignore_patterns(".*", "results", "tests", "data", "paper", "dvc-remote", "build"),
    )
    code = "from setuptools.build_meta import build_wheel; print(build_wheel('..'))"
    built = subprocess.run(
        [sys.executable, "-c", code], cwd=project, capture_output=True, text=True, check=True
    )
    wheel = folder / built.stdout.splitlines()[-1]
    assert wheel.name == f"harc_reproduction-{harc.__version__}-py3-none-any.whl"
    zipfile.ZipFile(wheel).extractall(folder / "site")
    return folder / "site"


def test_a_built_wheel_carries_profiles_workflow_and_types(installed: Path):
    shipped = installed / "harc" / "shipped"
    for folder in ("config", "workflow", "profiles"):
        names = {path.relative_to(ROOT) for path in (ROOT / folder).rglob("*") if path.is_file()}
        names = {name for name in names if "__pycache__" not in name.parts}
        assert names == {
            path.relative_to(shipped) for path in (shipped / folder).rglob("*") if path.is_file()
        }
    assert (shipped / "Snakefile").is_file() and (installed / "harc" / "py.typed").is_file()
    assert (installed / "snakemake_logger_plugin_harc" / "__init__.py").is_file()
    (record,) = installed.glob("harc_reproduction-*.dist-info/entry_points.txt")
    assert "harc = harc.cli:main" in record.read_text()


def test_an_installed_package_loads_profiles_outside_a_checkout(installed: Path, tmp_path: Path):
    (tmp_path / "mine.yaml").write_text("extends: organism\nseeds: [0, 3]\n")
    code = (
        "import harc; from harc.settings.profile import list_profiles, load_profile;"
        "print(harc.__file__, load_profile('organism').seeds, load_profile('mine.yaml').seeds, *list_profiles())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == "", done.stderr
    where, rest = done.stdout.split(" ", 1)
    assert Path(where).is_relative_to(installed)
    assert rest.startswith("(0,) (0, 3) ci large organism ")


def test_an_editable_install_stays_a_plain_path_entry():
    """Snakemake finds its plugins in path entries, not behind an import hook."""
    assert SETUPTOOLS["package-dir"] == {"": "."}
    code = "import snakemake_logger_plugin_harc as p; print(p.__spec__.loader.__class__.__name__, p.__file__)"
    done = subprocess.run([sys.executable, "-c", code], cwd="/", capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["SourceFileLoader", str(ROOT / "snakemake_logger_plugin_harc/__init__.py")]
