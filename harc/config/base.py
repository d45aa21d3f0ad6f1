"""The base of every settings model: unknown keys are errors, values cannot change after loading."""

from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator


class Settings(BaseModel):
    """A group of settings; each field's description names its unit and its source.

    A mapping given for a field whose default is another group changes the named values of that default and keeps
    the others, so that a profile need say only what it changes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    @model_validator(mode="before")
    @classmethod
    def complete_groups(cls, values: Any) -> Any:
        """Lay partly given groups over their defaults."""
        if not isinstance(values, dict):
            return values
        defaults = {name: field.default for name, field in cls.model_fields.items()}
        return {name: _overlay(defaults.get(name), value) for name, value in values.items()}


def _overlay(default: Any, value: Any) -> Any:
    if not (isinstance(default, Settings) and isinstance(value, dict)):
        return value
    kept = {name: getattr(default, name) for name in type(default).model_fields}
    return {**kept, **{name: _overlay(kept.get(name), item) for name, item in value.items()}}
