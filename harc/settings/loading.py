"""Checking given settings against their model: errors that name the key and the likely meaning."""

import difflib
from typing import Any, TypeVar, get_args

from pydantic import ValidationError

from harc.core.errors import ConfigError
from harc.settings.base import Settings


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
