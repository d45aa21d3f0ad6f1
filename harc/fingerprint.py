"""Fingerprints of code: what a step's result depends on, found by walking imports.

A fingerprint covers the source of every `harc` module that the given modules import, directly or not, also where
the import stands inside a function. Comments, docstrings and blank lines are left out, so mending a text reruns
nothing. Infrastructure that cannot change a number is left out by name.
"""

import ast
import hashlib
import io
import tokenize
from collections.abc import Iterable
from functools import cache
from pathlib import Path

PACKAGE = "harc"
ROOT = Path(__file__).parent

# Settings are hashed by value, beside the code; the rest reports, names files or parses commands.
INFRASTRUCTURE = (
    "harc.artifacts",
    "harc.cli",
    "harc.config",
    "harc.energy",
    "harc.errors",
    "harc.fingerprint",
    "harc.pipeline",
    "harc.preflight",
    "harc.progress",
    "harc.provenance",
)


def _module_path(module: str) -> Path | None:
    """Source file of a module of the package, or None if there is no such module."""
    base = ROOT.joinpath(*module.split(".")[1:])
    for candidate in (base.with_suffix(".py"), base / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


def _is_infrastructure(module: str) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in INFRASTRUCTURE)


def _imported_names(module: str, source: str, is_package: bool) -> Iterable[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parent = node.module or ""
            if node.level:
                parts = module.split(".")[: None if is_package else -1]
                parts = parts[: len(parts) - node.level + 1]
                parent = ".".join([*parts, *([node.module] if node.module else [])])
            yield parent
            yield from (f"{parent}.{alias.name}" for alias in node.names)


@cache
def _direct_imports(module: str) -> tuple[str, ...]:
    path = _module_path(module)
    names = _imported_names(module, path.read_text(encoding="utf-8"), path.name == "__init__.py")
    own = {name for name in names if name == PACKAGE or name.startswith(f"{PACKAGE}.")}
    return tuple(sorted(name for name in own if _module_path(name) and not _is_infrastructure(name)))


def list_modules(modules: Iterable[str]) -> list[str]:
    """Names of the given modules and of all package modules that they import, sorted.

    Raises:
        ModuleNotFoundError: if a given name is no module of the package.
    """
    found: set[str] = set()
    waiting = list(modules)
    for module in waiting:
        if _module_path(module) is None:
            raise ModuleNotFoundError(f"no module {module} under {ROOT}")
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            waiting.extend(_direct_imports(module))
    return sorted(found)


def _docstring_lines(tree: ast.AST) -> set[int]:
    lines: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.body:
            first = node.body[0]
            value = getattr(first, "value", None) if isinstance(first, ast.Expr) else None
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                lines.update(range(first.lineno, first.end_lineno + 1))
    return lines


def strip_remarks(source: str) -> str:
    """Source without comments, docstrings and blank lines; the text of the code itself is untouched."""
    lines = source.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    docstrings = _docstring_lines(ast.parse(source))
    kept = (line.rstrip() for number, line in enumerate(lines, start=1) if number not in docstrings)
    return "\n".join(line for line in kept if line)


@cache
def _module_hash(module: str) -> str:
    return hashlib.sha256(
        strip_remarks(_module_path(module).read_text(encoding="utf-8")).encode()
    ).hexdigest()


def fingerprint_code(modules: Iterable[str]) -> str:
    """SHA-256 over the names and remark-free sources of the modules and all that they import."""
    digest = hashlib.sha256()
    for module in list_modules(modules):
        digest.update(f"{module} {_module_hash(module)}\n".encode())
    return digest.hexdigest()
