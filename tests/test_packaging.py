"""Pins, versions and the set-up scripts: the same everywhere, and clear when the machine lacks something."""

import ast
import os
import re
import shutil
import stat
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from fixtures.project_copy import copy_project
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import harc
from harc.cli.running import explain
from harc.core.errors import ConfigError
from harc.core.shipped import STUDY_FILES, lay_out_study

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT, SETUPTOOLS = PYPROJECT["project"], PYPROJECT["tool"]["setuptools"]


def read_ranges(requirements: list[str]) -> dict[str, Requirement]:
    """Name -> requirement; extras of this project stand for what they hold and are left out."""
    found = [Requirement(entry) for entry in requirements]
    return {canonicalize_name(one.name): one for one in found if one.name != PROJECT["name"]}


CORE = read_ranges(PROJECT["dependencies"])
EXTRAS = {name: read_ranges(entries) for name, entries in PROJECT["optional-dependencies"].items()}
BESIDE_THE_LOCK = ("attack", "ifeval", "inspect", "s3", "s3-test")
LOCKED = CORE | {
    name: one
    for extra, ranges in EXTRAS.items()
    if extra not in BESIDE_THE_LOCK
    for name, one in ranges.items()
}


def read_lock() -> dict[str, str]:
    """Name -> version; torch's stands in a remark, see scripts/lock.py."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    return dict(re.findall(r"^(?:# (?=torch))?([\w.-]+)==([\w.+]+)", lock, flags=re.MULTILINE))


def read_environment() -> tuple[list[str], list[str]]:
    """Conda's specs and pip's lines of environment.yml."""
    listed = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    pip = next(entry["pip"] for entry in listed if isinstance(entry, dict))
    return [entry for entry in listed if isinstance(entry, str)], pip


def test_every_range_is_bounded_and_holds_the_locked_release():
    lock = read_lock()
    assert {"torch", "numpy", "snakemake", "mypy"} <= LOCKED.keys()
    for name, requirement in LOCKED.items():
        assert {one.operator for one in requirement.specifier} == {">=", "<"}, name
        assert requirement.specifier.contains(lock[name]), f"{name}: run `make lock`"


def test_every_locked_package_has_hashes_but_torch():
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    entries = re.split(r"^(?=[A-Za-z0-9])", lock, flags=re.MULTILINE)[1:]
    assert len(entries) == len(read_lock()) - 1 > 150
    assert [entry.split("==")[0] for entry in entries if "--hash=sha256:" not in entry] == []


def test_environment_holds_the_versions_of_the_lock():
    _, pip = read_environment()
    assert dict(line.split("==") for line in pip if "==" in line) == read_lock()
    assert [line for line in pip if "==" not in line] == ["--editable ."]


def test_condas_python_is_one_the_project_takes():
    conda, _ = read_environment()
    specs = dict(entry.partition(" ")[::2] for entry in conda)
    assert {"python", "pip", "git", "make", "tectonic"} <= specs.keys()
    assert specs["python"] == "=3.11"
    assert PROJECT["requires-python"] == ">=3.11"


def test_lock_carries_no_cuda_and_no_local_builds():
    lock = read_lock()
    assert not [name for name in lock if name.startswith(("nvidia", "cuda", "triton"))]
    assert not [version for version in lock.values() if "+" in version]


def test_the_environment_running_these_tests_is_the_locked_one():
    installed = {
        canonicalize_name(d.metadata["Name"]): d.version.split("+")[0] for d in metadata.distributions()
    }
    wrong = {
        name: installed.get(name) for name, version in read_lock().items() if installed.get(name) != version
    }
    assert wrong == {}, "run `make venv`"


def list_imports(*folders: str) -> set[str]:
    """Distributions that the code below some folders imports, without Python's and the project's own."""
    own = {"harc", *(path.stem for folder in folders for path in (ROOT / folder).rglob("*.py"))}
    own |= {path.name for folder in folders for path in (ROOT / folder).rglob("*") if path.is_dir()} | {
        "unit"
    }
    found = set()
    for path in (path for folder in folders for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found.update(alias.name.split(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found.add(node.module.split(".")[0])
    return {
        canonicalize_name({"yaml": "pyyaml", "xdist": "pytest-xdist"}.get(name, name))
        for name in found - sys.stdlib_module_names - own
    }


PACKAGE_FOLDERS = ("harc", "snakemake_logger_plugin_harc")
USED_UNIMPORTED = {
    "fastapi": "`transformers serve`",
    "uvicorn": "`transformers serve`",
    "coverage": "command",
    "import-linter": "command",
    "mkdocs": "command",
    "mkdocs-material": "theme of the site",
    "mkdocstrings-python": "plugin of the site",
    "mypy": "command",
    "ruff": "command",
    "setuptools": "builds the package",
    "snakefmt": "command",
    "types-pyyaml": "for mypy",
    "types-requests": "for mypy",
}


def test_every_import_is_declared_and_everything_declared_is_used():
    runtime = CORE.keys() | {
        name
        for extra in ("models", "train", "evaluate", "attack", "inspect", "study")
        for name in EXTRAS[extra]
    }
    imported = list_imports(*PACKAGE_FOLDERS)
    assert {"torch", "pyyaml", "pooch"} <= imported
    assert imported - runtime == set()
    tested = list_imports("tests", "benchmarks")
    assert tested - LOCKED.keys() - {"moto", "boto3", "inspect-ai"} == set()  # of extras s3-test and inspect
    assert LOCKED.keys() - imported - tested == USED_UNIMPORTED.keys()


def run_core(code: str, folder: Path) -> subprocess.CompletedProcess:
    """Run code where only the core's packages are installed."""
    absent = {name for ranges in EXTRAS.values() for name in ranges if name not in CORE} - {
        "packaging",
        "setuptools",
    }
    modules = sorted(name.replace("-", "_") for name in absent)
    (folder / "sitecustomize.py").write_text(
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] in {modules}:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Absent())\n"
    )
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={"PYTHONPATH": f"{folder}:{ROOT}", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


HARC = "import sys; from harc.cli import main; sys.argv[1:] = {}; main()"


@pytest.mark.parametrize(
    "words",
    [
        ["--version"],
        ["config", "check"],
        ["config", "describe"],
        ["data", "list"],
        ["judges", "list"],
        ["claims", "--reference", "organism"],
        ["train", "--help"],
    ],
    ids=" ".join,
)
def test_the_core_alone_runs(words: list[str], tmp_path: Path):
    done = run_core(HARC.format(words), tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_tables_and_audit_need_the_core_alone(tmp_path: Path):
    tables = sorted(path.stem for path in (ROOT / "harc/results/tables").glob("*.py"))
    names = [*(f"harc.results.tables.{name}" for name in tables), "harc.steps.analysis", "harc.audit.tree"]
    done = run_core("import " + ", ".join(names), tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("words", "missing", "extra"),
    [
        (["train", "--model", "a", "--config", "b", "--out", "c"], "torch", "train"),
        (["evaluate", "--model", "a", "--suite", "b.csv", "--out", "c"], "torch", "evaluate"),
        (["cache", "pull", "--remote", "a", "--pin", "b"], "dvc", "study"),
    ],
)
def test_what_an_extra_brings_is_named_in_one_line(words: list[str], missing: str, extra: str, monkeypatch):
    problem = ModuleNotFoundError(f"No module named {missing!r}", name=missing)
    fix = f"run `pip install 'harc-reproduction[{extra}]'`"
    assert explain(problem, words) == (
        f"harc {words[0]}: expected the package {missing}; found none; {fix}",
        1,
    )


def test_a_module_of_no_extra_is_an_unexpected_error():
    assert explain(ModuleNotFoundError("No module named 'x'", name="x"), ["train"])[0].startswith(
        "unexpected Mod"
    )


def test_one_version_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert citation["version"] == harc.__version__ == re.search(r"^## ([0-9.]+)", changes, re.MULTILINE)[1]
    assert PROJECT["dynamic"] == ["version"] and "version" not in PROJECT
    assert SETUPTOOLS["dynamic"]["version"] == {"attr": "harc.__version__"}
    assert citation["license"] == PROJECT["license"] == "MIT"


def test_records_for_archives_follow_from_the_citation_file(tmp_path: Path):
    """codemeta.json and .zenodo.json, which `make lint` checks; an edited version or author is noticed."""
    script = "scripts/write_citation.py"
    assert run(sys.executable, script, "--check", path="").returncode == 0
    for name in (script, "CITATION.cff", "pyproject.toml", "codemeta.json", ".zenodo.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    cited = (tmp_path / "CITATION.cff").read_text(encoding="utf-8")
    (tmp_path / "CITATION.cff").write_text(cited.replace("reproduction authors", "authors"), encoding="utf-8")
    done = run(sys.executable, script, "--check", path="", cwd=tmp_path)
    assert done.returncode == 1
    assert [line.partition(": expected ")[0] for line in done.stderr.splitlines()] == [
        "codemeta.json",
        ".zenodo.json",
    ]
    assert run(sys.executable, script, path="", cwd=tmp_path).returncode == 0
    assert run(sys.executable, script, "--check", path="", cwd=tmp_path).returncode == 0
    assert "The HARC authors" in (tmp_path / ".zenodo.json").read_text(encoding="utf-8")


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
    copy_project(folder / "project")
    code = "from setuptools.build_meta import build_wheel; print(build_wheel('..'))"
    built = subprocess.run(
        [sys.executable, "-c", code], cwd=folder / "project", capture_output=True, text=True, check=True
    )
    wheel = folder / built.stdout.splitlines()[-1]
    assert wheel.name == f"harc_reproduction-{harc.__version__}-py3-none-any.whl"
    zipfile.ZipFile(wheel).extractall(folder / "site")
    return folder / "site"


def list_files(folder: Path) -> set[Path]:
    return {
        path.relative_to(folder)
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_a_built_wheel_carries_the_package_and_the_files_of_a_study(installed: Path):
    shipped = installed / "harc" / "shipped"
    for name in STUDY_FILES:
        assert list_files(shipped / name) == list_files(ROOT / name), name
        assert (shipped / name).exists()
    carried = {path for path in list_files(installed / "harc") if path.parts[0] != "shipped"}
    assert carried == {path for path in list_files(ROOT / "harc") if path.suffix != ".md"}
    assert (installed / "snakemake_logger_plugin_harc" / "__init__.py").is_file()
    (record,) = installed.glob("harc_reproduction-*.dist-info/entry_points.txt")
    assert "harc = harc.cli:main" in record.read_text()


def run_installed(installed: Path, folder: Path, *command: str) -> str:
    """What a command of the installed package prints in a folder of the user's own."""
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env={"PYTHONPATH": str(installed), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_installed_package_knows_its_profiles(installed: Path, tmp_path: Path):
    (tmp_path / "mine.yaml").write_text("extends: organism\nseeds: [0, 3]\n")
    assert "seeds: 0\n" in run_installed(installed, tmp_path, "harc", "config", "check")
    checked = run_installed(installed, tmp_path, "harc", "config", "check", "--profile", "mine.yaml")
    assert "seeds: 0, 3\n" in checked


def test_an_installed_package_lays_out_a_study_that_plans_and_has_its_rows(installed: Path, tmp_path: Path):
    said = run_installed(installed, tmp_path, "harc", "new-study", "mine")
    assert "cd mine && snakemake --cores all --config profile=ci" in said
    study = tmp_path / "mine"
    assert {path.name for path in study.iterdir()} == {Path(name).parts[0] for name in STUDY_FILES}
    plan = run_installed(installed, study, "snakemake", "--cores", "2", "--dry-run", "--config", "profile=ci")
    assert "build_paper" in plan and "train_adapter" in plan and "audit" in plan
    run_installed(installed, study, "harc", "data", "pull")
    assert (study / "data/organism/world.json").is_file()


def test_a_study_is_laid_out_nowhere_else_than_in_a_new_folder(tmp_path: Path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match="expected a new or an empty folder"):
        lay_out_study(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_an_editable_install_stays_a_plain_path_entry():
    """Snakemake finds its plugins in path entries, not behind an import hook."""
    assert SETUPTOOLS["package-dir"] == {"": "."}
    code = "import snakemake_logger_plugin_harc as p; print(p.__spec__.loader.__class__.__name__, p.__file__)"
    done = subprocess.run([sys.executable, "-c", code], cwd="/", capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["SourceFileLoader", str(ROOT / "snakemake_logger_plugin_harc/__init__.py")]
