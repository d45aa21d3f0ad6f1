"""The base of every settings model, and the one place where given values meet presets and defaults."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic.fields import FieldInfo

from harc.core.errors import ConfigError


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
        if isinstance(inner, Settings) and isinstance(value, dict) and not _is_other_kind(inner, value):
            merged[name] = _lay_over_group(inner, merged.get(name, {}), value)
        else:
            merged[name] = value
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


def merge(
    base: dict[str, Any], changes: dict[str, Any], kind: Any, where: str | None = None
) -> dict[str, Any]:
    """`base` with `changes` laid over it, mapping by mapping.

    What null means follows from the setting: where null is one of its values, that value; for any other setting, back
    to its default; for an entry that a user named (a method, a backbone), its removal.

    Args:
        base, changes: partly given settings.
        kind: the settings model or annotation that both are part of.
        where: what stands before the key in messages; None accepts the removal of an entry that is not there.

    Raises:
        ConfigError: for the removal of an entry that is not there.
    """
    merged = dict(base)
    for key, value in changes.items():
        inner = find_kind(kind, key)
        place = f"{where}{key}" if where else None
        if value is not None:
            both = isinstance(value, dict) and isinstance(merged.get(key), dict)
            merged[key] = merge(merged[key], value, inner, place and f"{place}.") if both else value
        elif NoneType in list_members(inner):
            merged[key] = None
        elif key in merged or where is None or _is_setting(kind, key):
            merged.pop(key, None)
        else:
            raise ConfigError(
                place or key,
                expected="an inherited entry, which null removes",
                found="none of this name",
                fix="check the spelling, or write {} for an entry that changes nothing",
            )
    return merged


def find_kind(kind: Any, key: str) -> Any:
    """The annotation of what lies under a key of settings of some kind; Any where that is open or unknown."""
    for member in list_members(kind):
        if is_group(member) and key in member.model_fields:
            field = member.model_fields[key]
            part = next((mark.group for mark in field.metadata if isinstance(mark, PartOf)), None)
            return part or field.annotation
        if get_origin(member) is dict:
            return get_args(member)[1]
    return Any


def _is_setting(kind: Any, key: str) -> bool:
    return any(is_group(member) and key in member.model_fields for member in list_members(kind))


def list_members(kind: Any) -> Iterator[Any]:
    """The members of a union, Annotated's wrapping taken off; of anything else itself."""
    origin = get_origin(kind)
    if origin is Annotated:
        yield from list_members(get_args(kind)[0])
    elif origin in (Union, UnionType):
        for member in get_args(kind):
            yield from list_members(member)
    else:
        yield kind


def is_group(kind: Any) -> bool:
    """Whether an annotation is a settings model."""
    return isinstance(kind, type) and issubclass(kind, Settings)
