"""The numbers that the paper reports: facts from one file, checked, to lay this project's beside."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from harc.core.errors import ConfigError
from harc.core.yaml_text import read_yaml

Share = Annotated[float, Field(ge=0, le=1)]


class PublishedColumn(BaseModel):
    """One published quantity, and what is measured here in its place."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    label: str
    group: Literal["attack", "over_refusal", "helpfulness"]
    ours: str
    items: int | None


class PublishedModel(BaseModel):
    """The published rows of one model; None where the paper leaves a cell out."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    model_id: str
    source: str = Field(min_length=1)
    rows: dict[str, tuple[Share | None, ...]]


class Published(BaseModel):
    """Every published number that is known here."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    columns: dict[str, PublishedColumn]
    methods: dict[str, tuple[str, ...]]
    models: tuple[PublishedModel, ...]

    @model_validator(mode="after")
    def check_rows(self) -> "Published":
        """Refuse rows of another length than the columns, and rows of a method that nothing is laid beside."""
        for model in self.models:
            for method, values in model.rows.items():
                if len(values) != len(self.columns):
                    raise ValueError(
                        f"{len(self.columns)} values in row {method} of {model.model_id}, not {len(values)}"
                    )
                if method not in self.methods:
                    raise ValueError(f"methods that name {method}, a row of {model.model_id}")
        return self


def load_published(path: Path) -> Published:
    """Read and check the published numbers.

    Raises:
        ConfigError: naming what is wrong first: an unknown key, a rate outside 0 to 1, a row that is too short.
    """
    try:
        return Published.model_validate(read_yaml(path))
    except ValidationError as problem:
        first = problem.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "top"
        raise ConfigError(
            f"{path}: {key}",
            expected=first["msg"].removeprefix("Value error, "),
            found=repr(first["input"])[:60] if key != "top" else "other rows",
            fix="mend the file",
        ) from None
