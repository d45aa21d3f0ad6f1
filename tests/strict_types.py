"""The type checks that tests put on every function of harc (production code runs without them).

jaxtyping's import hook decorates each function and dataclass. Its decorator is slow, at each call and at the import, so
only functions that annotate the shape of a tensor get it; the others get beartype alone, which checks the same types.
"""

import inspect
from typing import Any, get_args, get_type_hints

import jaxtyping
from beartype import BeartypeConf, beartype
from jaxtyping import AbstractArray, jaxtyped

# An int where a float is declared is fine, as everywhere in Python.
check = beartype(conf=BeartypeConf(is_pep484_tower=True))


def install() -> None:
    """Check every function and dataclass of harc that is imported from here on."""
    jaxtyping.install_import_hook("harc", "strict_types.check")
    jaxtyping.jaxtyped = decorate  # by this name the hook's code calls it


def decorate(part: Any = None, *, typechecker: Any) -> Any:
    """A function with its annotations checked, a dataclass with those of its fields."""
    if part is None:
        return lambda part: decorate(part, typechecker=typechecker)
    if inspect.isclass(part):
        if "__dataclass_fields__" in vars(part) and not hasattr(part.__init__, "__wrapped__"):
            part.__init__ = decorate(part.__init__, typechecker=typechecker)
        return part
    if not inspect.isfunction(part):
        return jaxtyped(part, typechecker=typechecker)
    hints = read_hints(part)
    if any(map(names_shape, hints.values())):
        return jaxtyped(part, typechecker=typechecker)
    part.__annotations__ = hints
    return typechecker(part)


def read_hints(function: Any) -> dict[str, Any]:
    """A function's annotations as types; Any for what only type checkers import."""
    try:
        return get_type_hints(function, include_extras=True)
    except Exception:
        return {
            name: _read_hint(hint, function.__globals__) for name, hint in function.__annotations__.items()
        }


def _read_hint(hint: Any, names: dict[str, Any]) -> Any:
    def holder(value): ...

    holder.__annotations__ = {"value": hint}
    try:
        return get_type_hints(holder, names, include_extras=True)["value"]
    except Exception:
        return Any


def names_shape(hint: Any) -> bool:
    """Whether an annotation holds a jaxtyping type."""
    if inspect.isclass(hint) and issubclass(hint, AbstractArray):
        return True
    parts = hint if isinstance(hint, list) else get_args(hint)  # a list: the parameters of a Callable
    return any(map(names_shape, parts))
