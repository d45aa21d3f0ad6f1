"""Registries: what the modules of one package declare, found without a list of them.

Call these with `__package__`, or with a name that is written out: the fingerprint of the code follows such calls into
every module of the package.
"""

from importlib import import_module
from pathlib import Path
from typing import Any


def gather(package: str, name: str) -> list[tuple[str, Any]]:
    """(module, what it declares under a name), of every module of a package with a line `NAME = ...` at its top.

    They are told by their text, so that other modules, which may be slow to import, are left alone.

    Args:
        package: its full name.
        name: of the declaration.
    """
    folder = Path(import_module(package).__path__[0])
    stems = [
        path.stem
        for path in sorted(folder.glob("[!_]*.py"))
        if f"\n{name} = " in path.read_text(encoding="utf-8")
    ]
    return [(stem, getattr(import_module(f"{package}.{stem}"), name)) for stem in stems]


def pick(package: str, module: str, name: str, *default: Any) -> Any:
    """One name of one module of a package, chosen at run time; the default, if one is given, where it has none."""
    return getattr(import_module(f"{package}.{module}"), name, *default)
