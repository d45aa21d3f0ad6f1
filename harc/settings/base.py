"""The base of every settings model, and the one place where given values meet presets and defaults."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic.fields import FieldInfo


class Settings(BaseModel):
    """A group of settings; each field's description names its unit and its source.

    Unknown keys, numbers that are not finite, and true or false in place of a number are errors; values cannot change
    after loading. A mapping given for a field whose default is another group changes the named values of that default
    and keeps what the default declares, so that a profile need say only what it changes:
    `Outer(inner=given)` is `Outer(inner=Inner(**declared | given))`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)

    @classmethod
    def find_preset(cls, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Values that the given ones are laid over: none, but for groups with presets, which replace this."""
        return {}

    @model_validator(mode="before")
    @classmethod
    def complete_groups(cls, values: Any) -> Any:
        """Lay given values over their preset's, and partly given groups over their defaults."""
        if not isinstance(values, dict):
            return values
        laid = lay_over(cls.find_preset(values), values)
        fields = cls.model_fields
        return {
            name: _complete(fields[name], value) if name in fields else value for name, value in laid.items()
        }


@dataclass(frozen=True)
class PartOf:
    """Marks a field that holds some values of another group, to be laid over that group later."""

    group: type[Settings]


def lay_over(below: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """`values` over `below`, mapping by mapping; settings objects among the values count as complete."""
    merged = dict(below)
    for name, value in values.items():
        both = isinstance(merged.get(name), dict) and isinstance(value, dict)
        merged[name] = lay_over(merged[name], value) if both else value
    return merged


def _complete(field: FieldInfo, value: Any) -> Any:
    """A partly given group with what its default declares; anything else as it is."""
    default = field.default
    if isinstance(default, Settings) and isinstance(value, dict) and not _is_other_kind(default, value):
        return _lay_over_group(default, list_declared(default), value)
    kinds = set(_list_types(field.annotation))
    return _mark_bools(value) if kinds & {int, float} and not kinds & {bool, Any} else value


def _lay_over_group(group: Settings, declared: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Given values over declared ones, group by group; a mapping that is no group replaces the declared one."""
    merged = dict(declared)
    for name, value in given.items():
        inner = getattr(group, name, None) if name in type(group).model_fields else None
        partly = isinstance(inner, Settings) and isinstance(value, dict) and not _is_other_kind(inner, value)
        merged[name] = _lay_over_group(inner, merged.get(name, {}), value) if partly else value
    return merged


def list_declared(group: Settings, preset: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The values that a group was made with: neither its class's defaults nor its preset's values."""
    preset = type(group).find_preset(vars(group)) if preset is None else preset
    declared: dict[str, Any] = {}
    for name in group.model_fields_set:
        value, below = getattr(group, name), preset.get(name)
        if isinstance(value, Settings):
            if inner := list_declared(value, below):
                declared[name] = inner
        elif name not in preset or value != below:
            declared[name] = value
    return declared


def _is_other_kind(default: Settings, given: Mapping[str, Any]) -> bool:
    """Whether the given values name another member of a union than the default's: nothing of it is kept then."""
    return any(
        get_origin(field.annotation) is Literal
        and len(get_args(field.annotation)) == 1
        and given.get(name, getattr(default, name)) != getattr(default, name)
        for name, field in type(default).model_fields.items()
    )


def _list_types(annotation: Any) -> Iterator[Any]:
    """The plain types that an annotation is made of."""
    if get_origin(annotation) is Literal:
        return
    arguments = get_args(annotation)
    if not arguments:
        yield annotation
    for argument in arguments:
        yield from _list_types(argument)


class _NoNumber:
    """True or false where a number is meant, which pydantic would count as 1 or 0; of this it says that it is none."""

    def __init__(self, value: bool) -> None:
        self.value = value

    def __repr__(self) -> str:
        return str(self.value).lower()


def _mark_bools(value: Any) -> Any:
    if isinstance(value, bool):
        return _NoNumber(value)
    if isinstance(value, dict):
        return {name: _mark_bools(item) for name, item in value.items()}
    return [_mark_bools(item) for item in value] if isinstance(value, list | tuple) else value
