"""Reference reproduction of HARC (Harmfulness-And-Refusal Coupling, arXiv 2607.00572).

    >>> from harc import Monitor, evaluate, extract_directions, load_model, train_adapter

Imports are lazy: `import harc` loads nothing else. See docs/python.md.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harc.cli.library import evaluate, extract_directions, load_model, train_adapter
    from harc.geometry.monitor import Monitor

__version__ = "0.2.0"
__all__ = ["Monitor", "__version__", "evaluate", "extract_directions", "load_model", "train_adapter"]
_PLACES = {
    "Monitor": "harc.geometry.monitor",
    "evaluate": "harc.cli.library",
    "extract_directions": "harc.cli.library",
    "load_model": "harc.cli.library",
    "train_adapter": "harc.cli.library",
}


def __getattr__(name: str) -> Any:
    """The public functions and classes, from where they stand."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    """What there is, before anything of it is loaded."""
    return sorted({*globals(), *__all__})
