"""Libraries that take long to import, loaded at their first use.

For modules that the command line reads at its start and that also compute: the declarations of methods, and what they
are made from. Such a module says `from __future__ import annotations`; its annotations are loaded when somebody checks
them, as the tests do.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__all__ = ["Bool", "Float", "Int", "torch"]


class _Late:
    """A module, or a name in it, that is imported when something of it is asked for."""

    def __init__(self, module: str, name: str | None = None) -> None:
        self._module, self._name = module, name

    def _load(self) -> Any:
        module = import_module(self._module)
        return module if self._name is None else getattr(module, self._name)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._load(), name)

    def __getitem__(self, item: Any) -> Any:
        return self._load()[item]


if TYPE_CHECKING:
    import torch
    from jaxtyping import Bool, Float, Int
else:
    torch = _Late("torch")
    Bool, Float, Int = (_Late("jaxtyping", name) for name in ("Bool", "Float", "Int"))
