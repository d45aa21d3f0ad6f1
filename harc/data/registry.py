"""The registry of public datasets: for every file its home, commit, SHA-256, size, licence and citation."""

from functools import cache
from pathlib import Path

from pydantic import Field, field_validator

from harc.core.errors import ConfigError
from harc.core.listings import find_name_fault
from harc.core.yaml_text import parse_yaml
from harc.settings.base import Settings
from harc.settings.data import DataSettings

REGISTRY_FILE = Path(__file__).with_name("registry.yaml")


class RegisteredFile(Settings):
    """One file of a public dataset."""

    path: str = Field(description="where the file is kept, below the data folder and below a mirror")
    url: str = Field(pattern=r"^https?://", description="where it is published, commit included")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="hex digest of its bytes")
    bytes: int = Field(gt=0, description="its size (bytes)")

    @field_validator("path")
    @classmethod
    def check_path(cls, path: str) -> str:
        """Refuse a path that leads out of the data folder."""
        fault = find_name_fault(path)
        if fault is not None:
            raise ValueError(f"a relative path of a file; found {fault}")
        return path


class Dataset(Settings):
    """One public dataset."""

    title: str = Field(description="what it is called")
    used_for: str = Field(description="what the study takes it for")
    home: str = Field(description="its authors' page, which may differ from where a file is fetched")
    licence: str = Field(description="SPDX expression")
    citation: str = Field(description="the work to cite")
    note: str = Field("", description="what else a user must know")
    files: list[RegisteredFile] = Field(min_length=1, description="its files")


class Registry(Settings):
    """Every public dataset, by name."""

    datasets: dict[str, Dataset] = Field(description="name -> dataset")

    def find(self, name: str) -> Dataset:
        """The dataset of that name.

        Raises:
            ConfigError: if there is none.
        """
        if name not in self.datasets:
            raise ConfigError(
                "dataset name",
                expected=f"one of {', '.join(sorted(self.datasets))}",
                found=repr(name),
                fix="run `harc data list`",
            )
        return self.datasets[name]


@cache
def load_registry(path: Path = REGISTRY_FILE) -> Registry:
    """Read and check a registry file.

    Raises:
        ConfigError: if it cannot be read as one.
    """
    try:
        return Registry.model_validate(parse_yaml(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as problem:
        raise ConfigError(
            str(path), expected="a registry of datasets", found=str(problem), fix="mend the file"
        ) from None


def choose_registry(data: DataSettings) -> Registry:
    """The registry that settings name, or the project's.

    Raises:
        ConfigError: if it cannot be read as one.
    """
    return load_registry(data.registry or REGISTRY_FILE)


def render_sources(registry: Registry) -> str:
    """Markdown table of every registered file, in the order of names and paths."""
    lines = [
        "| dataset | used for | file | bytes | sha256 | source | licence | cite |",
        "|---|---|---|---:|---|---|---|---|",
    ]
    for name, dataset in sorted(registry.datasets.items()):
        for file in dataset.files:
            lines.append(
                f"| [{name}]({dataset.home}) | {dataset.used_for} | `{file.path}` | {file.bytes} | "
                f"`{file.sha256[:16]}…` | [commit]({file.url}) | {dataset.licence} | {dataset.citation} |"
            )
    notes = [f"- {name}: {d.note}" for name, d in sorted(registry.datasets.items()) if d.note]
    return "\n".join([*lines, "", *notes]).rstrip() + "\n"
