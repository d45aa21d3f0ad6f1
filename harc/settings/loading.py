"""Checking given settings against their model: errors that name the key and the likely meaning."""

import difflib
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, get_args

from pydantic import Field, ValidationError

from harc.core.errors import ConfigError
from harc.settings.backbones import TemplateSettings
from harc.settings.base import Settings
from harc.settings.directions import DirectionSettings
from harc.settings.training import MethodSettings


class SecretValue(ValueError):
    """A validator's error about a value that may hold a secret, so is not shown."""


def _known_keys(model: type[Settings], location: tuple) -> list[str]:
    """Field names that would have been right where an unknown key was found."""
    kinds: list[Any] = [model]
    for part in location:
        following: list[Any] = []
        for kind in kinds:
            if isinstance(kind, type) and issubclass(kind, Settings):
                field = kind.model_fields.get(part) if isinstance(part, str) else None
                following.extend(_settings_within(field.annotation) if field else [kind])
        kinds = following or kinds
    return sorted({name for kind in kinds for name in kind.model_fields})


def _settings_within(annotation: Any) -> list[type[Settings]]:
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return [annotation]
    return [kind for argument in get_args(annotation) for kind in _settings_within(argument)]


def _describe_value(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def explain(problem: ValidationError, model: type[Settings], where: str) -> ConfigError:
    """The first of a model's complaints as one line with a next step."""
    first = problem.errors()[0]
    location = first["loc"]
    key = ".".join(str(part) for part in location)
    if first["type"] == "extra_forbidden":
        known = _known_keys(model, location[:-1])
        close = difflib.get_close_matches(str(location[-1]), known, n=1, cutoff=0.5)
        fix = f"did you mean {close[0]!r}?" if close else f"known here: {', '.join(known)}"
        return ConfigError(f"{where}: {key}", expected="a known setting", found="an unknown key", fix=fix)
    if first["type"] == "missing":
        return ConfigError(f"{where}: {key}", expected="a value", found="none", fix="add the setting")
    hidden = isinstance(first.get("ctx", {}).get("error"), SecretValue) or key.endswith(
        "key_variable"
    )  # where a key may stand by mistake
    several = first["type"] == "value_error" and isinstance(
        first["input"], dict
    )  # no single value is at fault
    message = first["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    return ConfigError(
        f"{where}: {key}" if key else where,
        expected=message[0].lower() + message[1:],
        found="a value that is not shown, since it may hold a secret"
        if hidden
        else "other values"
        if several
        else _describe_value(first["input"]),
        fix="change the value",
    )


Model = TypeVar("Model", bound=Settings)  # PEP 695 syntax needs Python 3.12


def parse_settings(model: type[Model], values: dict[str, Any], where: str) -> Model:
    """Check values against a settings model.

    Raises:
        ConfigError: one line for the first unknown key, missing value or value out of range.
    """
    try:
        return model.model_validate(values)
    except ValidationError as problem:
        raise explain(problem, model, where) from None


class WorkflowSettings(Settings):
    """Which study to run; everything else is a setting of its profile."""

    profile: str = Field(
        min_length=1, description="a name under config/profiles/, or the path of a YAML file"
    )
    rehearse: bool = Field(False, description="run it on stand-ins first; see docs/rehearsals.md")


def read_workflow_settings(values: Mapping[str, Any]) -> WorkflowSettings:
    """Check Snakemake's config.

    Raises:
        ConfigError: one line for the first unknown key, missing value or value of another type.
    """
    where = "workflow config (config/config.yaml, --configfile, --config)"
    return parse_settings(WorkflowSettings, dict(values), where)


class TrainingFile(TemplateSettings):
    """The content of the file given to `harc train --config`; paths are relative to that file."""

    training: str = Field(
        description="JSONL rows to train on: category (harmful, harmless, pseudo_harmful), prompt, response; for dpo, "
        "cb, repbend, cast and joint also rejected, the response that is not wanted"
    )
    extraction: str | None = Field(
        None, description="JSONL prompts to read directions from: category, prompt"
    )
    pairs: str | None = Field(
        None,
        description="JSONL pairs to read directions from: kind (harm, refuse, helpful), prompt, response",
    )
    validation: str | None = Field(
        None, description="JSONL prompts for held-out projections: category, prompt; none: some training rows"
    )
    method: MethodSettings = Field(
        MethodSettings(), description="the method: preset, and values that override it"
    )
    directions: DirectionSettings = Field(
        DirectionSettings(), description="how directions are read, before the method's own changes"
    )
    seed: int = Field(0, ge=0, description="seed of the adapter's start and of the order of rows")
    dtype: Literal["float32", "bfloat16", "float16"] = Field(
        "float32", description="precision of the frozen weights"
    )
    device: str = Field("cpu", description="cpu, cuda, cuda:1, or auto to spread the model over all GPUs")
