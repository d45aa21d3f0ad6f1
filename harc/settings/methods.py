"""What a method declares of itself, and all methods that are declared: one file each in harc.methods.

Nothing here imports torch: profiles are read before any model is.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from harc.core.registry import gather
from harc.settings.base import Settings

if TYPE_CHECKING:
    from harc.settings.training import MethodSettings

Style = tuple[str, str, Any]
"""Colour, marker and line style of matplotlib."""
Own = TypeVar("Own", bound="Section")


@dataclass(frozen=True)
class Look:
    """How readers see what is run under a name: apart from its settings, so that no colour makes an adapter stale.

    Attributes:
        label: in tables, figures and text.
        place: among the rows of tables, ascending; None: after all others, in the order of the profile.
        style: in figures; None: the grey of those without one.
        is_baseline: whether HARC itself is compared with it.
    """

    label: str
    place: int | None = None
    style: Style | None = None
    is_baseline: bool = False


class Section(Settings):
    """Settings of one method alone; `key` names them within a method's settings, `title` for readers."""

    key: ClassVar[str]
    title: ClassVar[str]

    @classmethod
    def of(cls: type[Own], settings: MethodSettings) -> Own:
        """These settings of a method."""
        return getattr(settings, cls.key)


@dataclass(frozen=True)
class Method:
    """A way to make an adapter or a steering.

    Attributes:
        objective: its name in `objective`, and the name of its file.
        place: among the methods, ascending.
        aim: what it minimises, in words, where the name does not say it.
        section: its own settings.
        reads: dotted names of further settings that it reads and some others do not.
        fitted: whether it is fitted (a steering) rather than trained (an adapter).
        check: refuses settings with a ValueError.
    """

    objective: str
    place: int
    aim: str = ""
    section: type[Section] | None = None
    reads: tuple[str, ...] = ()
    fitted: bool = False
    check: Callable[[MethodSettings], None] | None = None


@cache
def list_presets() -> dict[str, Mapping[str, Any]]:
    """What every named preset changes of the defaults of MethodSettings."""
    declared = gather("harc.methods", "PRESETS")
    return {name: changes for _, presets in declared for name, changes in presets.items()}


@cache
def list_looks() -> dict[str, Look]:
    """The look of every name that has one, in the order of tables."""
    found = [pair for _, looks in gather("harc.methods", "LOOKS") for pair in looks.items()]
    return dict(sorted(found, key=lambda pair: float("inf") if pair[1].place is None else pair[1].place))


@cache
def list_methods() -> dict[str, Method]:
    """Every method by its objective, in their order."""
    found = [method for _, method in gather("harc.methods", "METHOD")]
    return {method.objective: method for method in sorted(found, key=lambda method: method.place)}


def list_readers(section: type[Section]) -> list[str]:
    """Objectives that read a section."""
    return [
        name
        for name, method in list_methods().items()
        if method.section is section or section.key in method.reads
    ]


COMMON = ("preset", "objective", "max_prompt_tokens", "max_response_tokens")
"""All that a fitted method reads beside its section."""


def is_read(name: str, objective: str) -> bool:
    """Whether an objective reads a setting, given by its dotted name.

    A setting that any method names among its own is read by those that do; the longest such name decides.
    """
    own = {
        other: {*method.reads, *([method.section.key] if method.section else [])}
        for other, method in list_methods().items()
    }
    if list_methods()[objective].fitted and name.partition(".")[0] not in {*COMMON, *own[objective]}:
        return False
    named = [key for keys in own.values() for key in keys if f"{name}.".startswith(f"{key}.")]
    return not named or max(named, key=len) in own[objective]


def list_objective_code(*methods: MethodSettings | None) -> list[str]:
    """Where the code of methods' objectives begins, for fingerprints: no import leads there.

    Args:
        methods: settings of methods, or None; a fitted method has no objective.
    """
    modules = dict.fromkeys(f"harc.methods.{method.objective}" for method in methods if method is not None)
    names = ("create_objective", "list_depths", "DIRECTED")
    return [f"{module}:{name}" for module in modules for name in names if hasattr(sys.modules[module], name)]
