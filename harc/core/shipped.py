"""Files of the project that are no code: beside the package in a checkout, inside it in a built package."""

import shutil
from pathlib import Path

from harc.core.errors import ConfigError
from harc.core.files import atomic_directory

PACKAGE = Path(__file__).parents[1]
SHIPPED = PACKAGE / "shipped"
STUDY_FILES = (
    ".dvc/.gitignore",
    ".dvc/config",
    ".dvcignore",
    "Snakefile",
    "config",
    "data.dvc",
    "dvc-remote",
    "environment.yml",
    "examples",
    "paper/latexmkrc",
    "paper/main.tex",
    "paper/references.bib",
    "paper/sections",
    "profiles",
    "workflow",
)
"""Files and folders of a study: what a built package carries (setup.py) and `harc new-study` lays out."""


def find_shipped(path: Path) -> Path:
    """A project file by its relative path: the one under the working folder, else the one that was installed."""
    installed = SHIPPED / path
    return installed if not path.is_absolute() and not path.exists() and installed.exists() else path


def copy_study_files(source: Path, target: Path) -> None:
    """Copy the files of a study from a project's root, or from an installed package, into a folder."""
    for name in STUDY_FILES:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (source / name).is_dir() else shutil.copy2
        copy(source / name, target / name)


def lay_out_study(target: Path) -> None:
    """Make the folder of a new study: Snakefile, settings, workflow, pinned rows, the paper's skeleton.

    Raises:
        ConfigError: if the folder is there and holds anything.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ConfigError(
            str(target), expected="a new or an empty folder", found="other files", fix="name another folder"
        )
    source = SHIPPED if SHIPPED.is_dir() else PACKAGE.parent
    with atomic_directory(target) as folder:
        copy_study_files(source, folder)
