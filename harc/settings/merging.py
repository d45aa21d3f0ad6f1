"""Laying the changes of one settings file over another, and partly given settings over complete ones."""

from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from harc.core.errors import ConfigError
from harc.settings.base import PartOf, Settings


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
