"""Fingerprints of code: what a result depends on, found by following names from one definition to the next.

A fingerprint covers every function, class and constant of the package that a given piece of code can reach, wherever
it stands; no module is exempt. What cannot be reached is left out, so that a new helper or another method's code makes
nothing stale. Comments, docstrings, blank lines and descriptions of settings are left out too.

What is reached:

- names: those that a definition uses, through imports at the top and inside functions;
- methods and properties: those of reached classes whose name occurs as an attribute, or as a text, in reached code;
  all of them where a base class of another package may call them;
- statements that run when a reached module is imported and bind no name, and definitions behind decorators of ours;
- files of the package (templates, the sandbox's guest) whose name occurs as a text in reached code;
- settings classes: fields and validators only where reached code makes an instance. Elsewhere the values are in the
  step's settings, which have a hash of their own.

- registries (`harc.core.registry`): where one is asked for a package's declarations, the names that occur there as
  texts, in every module of the package.

Other modules that are chosen at run time (`import_module`) must be given beside the rest: `list_plugins` of the steps.
"""

import hashlib
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import no_type_check

from harc.core.definitions import INERT_BASES, ClassCode, Definition, ModuleCode, Place

PACKAGE = "harc"
ROOT = Path(__file__).parents[1]
REGISTRY_CALL = re.compile(r'\b(?:gather|pick)\((?:__package__|"([\w.]+)"),')  # see harc.core.registry
SETTINGS_BASE = "BaseModel"  # pydantic's, from which every group of settings descends


@cache
def _find_module(module: str) -> Path | None:
    """Source file of a module of the package, or None if there is no such module."""
    first, *rest = module.split(".")
    if first != PACKAGE:
        return None
    base = ROOT.joinpath(*rest)
    for candidate in (base.with_suffix(".py"), base / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


@cache
def _read_module(module: str) -> ModuleCode | None:
    path = _find_module(module)
    return None if path is None else ModuleCode(module, path)


@cache
def _list_data_files() -> dict[str, tuple[Path, ...]]:
    """Files of the package by name."""
    found: dict[str, tuple[Path, ...]] = {}
    for path in sorted(ROOT.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith("__"):
            found[path.name] = (*found.get(path.name, ()), path)
    return found


def clear_caches() -> None:
    """Forget what was read, after the sources have changed under a running process."""
    for function in (_find_module, _read_module, _list_data_files, _reach_from):
        function.cache_clear()


@no_type_check  # by the tests: some hundred thousand calls
class _Reach:
    """Everything that some definitions can reach, found step by step until nothing new turns up.

    Attributes:
        found: places that were reached, each with its text.
    """

    def __init__(self) -> None:
        self.found: set[tuple[str, str]] = set()
        self._loaded: set[str] = set()
        self._seen: set[tuple[str, str, bool]] = set()
        self._attributes: set[str] = set()
        self._classes: dict[tuple[str, str], tuple[ModuleCode, ClassCode]] = {}

    def load(self, module: str) -> None:
        """Take in what importing a module runs."""
        parent = module.rpartition(".")[0]
        if module in self._loaded:
            return
        code = _read_module(module)
        if code is None:
            return
        self._loaded.add(module)
        if parent:
            self.load(parent)
        for definition in code.loose:
            self._take(code, definition)
        for other in sorted(code.loaded):
            self.load(other)
        for name, words in code.decorated.items():
            if any(self._is_ours(code, word) for word in words):
                self.reach(module, name)

    def reach_all(self, module: str) -> None:
        """Take in every definition of a module."""
        code = _read_module(module)
        if code is None:
            return
        self.load(module)
        for name in code.statements:
            self.reach(module, name)
            self._reach_methods(code, name)

    def _reach_methods(self, code: ModuleCode, name: str) -> None:
        parts = code.find_class(name)
        if parts is not None:
            for method in parts.methods.values():
                self._take(code, method)

    def reach(self, module: str, name: str, *, as_type: bool = False) -> None:
        """Take in a name of a module.

        Args:
            module: a module of the package; others are passed over.
            name: a definition, something imported there, or a module below.
            as_type: whether the name only annotates: no instance is made.
        """
        code = _read_module(module)
        if code is None or (module, name, as_type) in self._seen:
            return
        self._seen.add((module, name, as_type))
        self.load(module)
        if name in code.statements:
            self._reach_own(code, name, as_type)
        elif name in code.imports:
            self._follow(code.imports[name], as_type)
        elif _find_module(f"{module}.{name}") is not None:
            self.reach_all(f"{module}.{name}")
        elif name == "*":
            self.reach_all(module)

    def _follow(self, place: Place, as_type: bool = False) -> None:
        module, name = place
        if name is None:
            self.reach_all(module)
        else:
            self.reach(module, name, as_type=as_type)

    def _reach_own(self, code: ModuleCode, name: str, as_type: bool) -> None:
        parts = code.find_class(name)
        if parts is None:
            for definition in code.list_definitions(name):
                self._take(code, definition)
            return
        bases = list(self._list_bases(code, parts))
        outline = as_type and SETTINGS_BASE in bases
        self._take(code, parts.outline if outline else parts.head)
        if any(base not in INERT_BASES for base in bases):
            for method in parts.methods.values():
                self._take(code, method)
        elif (code.name, name) not in self._classes:
            self._classes[code.name, name] = code, parts
            for called in self._attributes & set(parts.methods):
                self._take(code, parts.methods[called])

    def _list_bases(self, code: ModuleCode, parts: ClassCode) -> Iterable[str]:
        """Last words of the foreign bases that a class has, directly or through classes of ours."""
        for base in parts.bases:
            word = base.partition("[")[0]
            word = code.find_made_base(word) or word
            place = self._locate(code, word)
            found = None if place is None else place[0].find_class(place[1])
            if place is None or found is None:
                yield word.rpartition(".")[2]
            else:
                yield from self._list_bases(place[0], found)

    def _locate(self, code: ModuleCode, name: str) -> tuple[ModuleCode, str] | None:
        """Where a name of a module is defined in the package; None for a foreign or a missing one."""
        if name in code.statements:
            return code, name
        module, attribute = code.imports.get(name, ("", None))
        other = _read_module(module)
        return None if other is None or attribute is None else self._locate(other, attribute)

    def _is_ours(self, code: ModuleCode, name: str) -> bool:
        return self._locate(code, name) is not None

    def _take(self, code: ModuleCode, definition: Definition) -> None:
        entry = (f"{code.name}:{definition.name}", definition.text)
        if entry not in self.found:
            self.found.add(entry)
            self._visit(code, definition)

    def _visit(self, code: ModuleCode, definition: Definition) -> None:
        for name, place in definition.imports.items():
            self._use_import(place, name, definition)
        for name in definition.names:
            if name in code.imports and name not in code.statements:
                self._use_import(code.imports[name], name, definition)
            else:
                self.reach(code.name, name)
        for name in definition.types - definition.names:
            self.reach(code.name, name, as_type=True)
        self._name_attributes(definition.attributes)
        for name in definition.files:
            for path in _list_data_files().get(name, ()):
                if path.suffix != ".py" or path.parent == code.folder:
                    self._take_file(path)
        for call in REGISTRY_CALL.finditer(definition.text):
            package = call[1] or (code.name if code.is_package else code.name.rpartition(".")[0])
            start = _find_module(package)
            for path in sorted(start.parent.glob("[!_]*.py")) if start else ():
                member = f"{package}.{path.stem}"
                for name in definition.attributes & set(getattr(_read_module(member), "statements", ())):
                    self.reach(member, name)

    def _is_module(self, place: Place) -> bool:
        module, name = place
        return _find_module(module if name is None else f"{module}.{name}") is not None and (
            name is None or name not in getattr(_read_module(module), "statements", {})
        )

    def _use_import(self, place: Place, name: str, definition: Definition) -> None:
        """An imported definition; of an imported module what is read of it, or all if it is handed on whole."""
        module, attribute = place
        if not self._is_module(place):
            self._follow(place)
        elif attribute is None or name in definition.bare:
            self.reach_all(module if attribute is None else f"{module}.{attribute}")
        else:
            for owner, read in definition.chains:
                if owner == name:
                    self._reach_attribute(f"{module}.{attribute}", read)

    def _reach_attribute(self, module: str, name: str) -> None:
        """What is read of a module by its name; the whole file where its path is, since the text may be run."""
        code, path = _read_module(module), _find_module(module)
        if code is None or path is None:
            return
        if name == "__file__":
            self._take_file(path)
        elif name in code.statements or name in code.imports or _find_module(f"{module}.{name}") is not None:
            self.reach(module, name)
        else:
            self.reach_all(module)

    def _take_file(self, path: Path) -> None:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        self.found.add((f"file {path.relative_to(ROOT).as_posix()}", digest))

    def _name_attributes(self, names: frozenset[str]) -> None:
        new = names - self._attributes
        if not new:
            return
        self._attributes |= new
        for code, parts in list(self._classes.values()):
            for method in new & set(parts.methods):
                self._take(code, parts.methods[method])


@cache
def _reach_from(roots: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    reach = _Reach()
    for root in roots:
        module, _, name = root.partition(":")
        code = _read_module(module)
        if code is None or (name and name not in code.statements and name not in code.imports):
            raise ModuleNotFoundError(f"no {'definition' if code else 'module'} {root} under {ROOT}")
        if name:
            reach.load(module)
            reach.reach(module, name)
        else:
            reach.reach_all(module)
    return tuple(sorted(reach.found))


def list_definitions(roots: Iterable[str]) -> list[str]:
    """Places of everything that the roots can reach, sorted: `module:name`, `module:Class.method`, `file path`.

    A settings class whose values alone matter stands as `module:Class (outline)`.

    Args:
        roots: modules (all that they define), or single definitions as `module:name`.

    Raises:
        ModuleNotFoundError: if a root is nothing in the package.
    """
    return sorted({place for place, _ in _reach_from(tuple(sorted(set(roots))))})


def fingerprint_code(roots: Iterable[str]) -> str:
    """SHA-256 over the places and remark-free sources of all that the roots can reach; see `list_definitions`."""
    digest = hashlib.sha256()
    for place, text in _reach_from(tuple(sorted(set(roots)))):
        digest.update(f"{place}\n{hashlib.sha256(text.encode()).hexdigest()}\n".encode())
    return digest.hexdigest()
