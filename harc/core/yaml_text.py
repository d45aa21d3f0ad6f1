"""The one reader of YAML: what a text may hold, and the line of what it may not.

Stricter than PyYAML's safe loader, which takes the last of two equal keys, reads `no` as false, `010` as 8 and
`2026-01-01` as a date. Plain words are text unless they are null, true, false or a number (YAML 1.2's core schema).
"""

import re
from pathlib import Path
from typing import Any, ClassVar

import yaml

from harc.core.errors import ConfigError
from harc.core.untrusted import escape_control, is_encodable

MOST_BYTES = 4 * 2**20
MOST_VALUES = 100_000
DEEPEST = 50
LARGEST = 2**63 - 1
"""Bounds on a file: bytes, values once aliases are written out, nesting, and whole numbers (signed 64 bits)."""

_KEYS = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge")
_WORDS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(
    r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)


class YamlError(ValueError):
    """A text that is no YAML, or holds what no file of this project may: the line (None: unknown) and what is wrong."""

    def __init__(self, line: int | None, expected: str, found: str) -> None:
        self.line, self.expected, self.found = line, expected, found
        super().__init__(f"{f'line {line}: ' if line else ''}expected {expected}; found {found}")


class _Loader(yaml.SafeLoader):
    """PyYAML's loader with the scalars of YAML 1.2 and nothing but texts, numbers, lists and mappings."""

    yaml_implicit_resolvers: ClassVar[dict] = {}  # type: ignore[misc]
    yaml_constructors: ClassVar[dict] = {}


def _refuse(node: yaml.Node, expected: str, found: str) -> None:
    raise YamlError(node.start_mark.line + 1, expected, escape_control(found))


def _make_text(loader: _Loader, node: Any) -> str:
    text = loader.construct_scalar(node)
    if not is_encodable(text):
        _refuse(node, "Unicode", "a lone surrogate")
    return text


def _make_bool(loader: _Loader, node: Any) -> bool:
    text = loader.construct_scalar(node)
    if text not in _WORDS:
        _refuse(node, "true or false", text)
    return _WORDS[text]


def _make_integer(loader: _Loader, node: Any) -> int:
    text = loader.construct_scalar(node)
    if not _INTEGER.fullmatch(text) or len(text) > len(str(LARGEST)) + 1:
        _refuse(node, f"a whole number of at most {LARGEST}", text[:40])
    value = int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
    if abs(value) > LARGEST:
        _refuse(node, f"a whole number of at most {LARGEST}", text)
    return value


def _make_float(loader: _Loader, node: Any) -> float:
    text = loader.construct_scalar(node)
    if not _FLOAT.fullmatch(text) and not _INTEGER.fullmatch(text):
        _refuse(node, "a number", text[:40])
    return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))


def _make_list(loader: _Loader, node: Any) -> list[Any]:
    return loader.construct_sequence(node, deep=True)


def _make_mapping(loader: _Loader, node: Any) -> dict[Any, Any]:
    if isinstance(node, yaml.MappingNode):
        _refuse_repeats(node)
    return loader.construct_mapping(node, deep=True)


def _refuse_repeats(node: yaml.MappingNode) -> None:
    lines: dict[str, int] = {}
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.tag not in _KEYS:
            _refuse(key, "names as keys (put a number in quotes)", "a key that is no text")
        if key.value in lines:
            _refuse(key, "each key once", f"the key {key.value!r} again, first in line {lines[key.value]}")
        lines[key.value] = key.start_mark.line + 1


for _tag, _make, _pattern, _starts in (
    ("null", lambda loader, node: None, re.compile(r"~|null|Null|NULL|"), ["~", "n", "N", ""]),
    ("bool", _make_bool, re.compile("|".join(_WORDS)), list("tTfF")),
    ("int", _make_integer, _INTEGER, list("-+0123456789")),
    ("float", _make_float, _FLOAT, list("-+.0123456789")),
    ("merge", _make_text, re.compile("<<"), ["<"]),
    ("str", _make_text, None, []),
    ("seq", _make_list, None, []),
    ("map", _make_mapping, None, []),
    (None, yaml.constructor.SafeConstructor.construct_undefined, None, []),
):
    _name = f"tag:yaml.org,2002:{_tag}" if _tag else None
    _Loader.add_constructor(_name, _make)
    if _pattern is not None:
        _Loader.add_implicit_resolver(_name, re.compile(f"(?:{_pattern.pattern})$"), _starts)


def parse_yaml(text: str) -> Any:
    """The value of a YAML text, or the reason why it is none, always as one kind of error.

    Refused: a key given twice, aliases that write out to more than MOST_VALUES values or to themselves, nesting deeper
    than DEEPEST, whole numbers beyond 64 bits, tags beyond YAML's core, several documents.

    Raises:
        YamlError: with the line, where there is one.
    """
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _count_values(node, {}, 0)
        return loader.construct_document(node)
    except RecursionError:
        raise YamlError(None, "YAML", "values nested too deep") from None
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        found = getattr(problem, "problem", None) or getattr(problem, "reason", None) or str(problem)
        line = mark.line + 1 if mark else None
        raise YamlError(line, "YAML", escape_control(re.sub("^(but )?found ", "", found))) from None


def _count_values(node: yaml.Node, known: dict[int, int], depth: int) -> int:
    """Values below a node once every alias is written out."""
    if depth > DEEPEST:
        _refuse(node, f"at most {DEEPEST} levels", "values nested deeper, or an alias of what holds it")
    if id(node) not in known:
        below = node.value if isinstance(node, yaml.CollectionNode) else []
        parts = [part for item in below for part in (item if isinstance(item, tuple) else (item,))]
        known[id(node)] = 1 + sum(_count_values(part, known, depth + 1) for part in parts)
    if known[id(node)] > MOST_VALUES:
        _refuse(node, f"at most {MOST_VALUES} values", "more, with aliases written out")
    return known[id(node)]


def read_yaml(path: Path | str, what: str = "a settings file") -> dict[str, Any]:
    """Read a YAML file that holds a mapping.

    Args:
        path: the file.
        what: what it should be, for messages.

    Raises:
        ConfigError: naming the file, and the line where there is one, if it cannot be read or holds something else.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError(str(path), expected=what, found="none", fix="check the path") from None
    except OSError as problem:
        found = (problem.strerror or "a file that cannot be read").lower()
        raise ConfigError(str(path), expected=what, found=found, fix="check the path") from None
    if len(data) > MOST_BYTES:
        limit = f"{what} of at most {MOST_BYTES // 2**20} MiB"
        raise ConfigError(str(path), expected=limit, found="a larger one", fix="check the path")
    try:
        value = parse_yaml(data.decode("utf-8-sig"))
    except UnicodeDecodeError as problem:
        line = data.count(b"\n", 0, problem.start) + 1
        raise ConfigError(
            f"{path}:{line}",
            expected="UTF-8",
            found=f"byte {data[problem.start]:#04x}",
            fix="save it as UTF-8",
        ) from None
    except YamlError as problem:
        place = f"{path}:{problem.line}" if problem.line else str(path)
        raise ConfigError(
            place, expected=problem.expected, found=problem.found, fix="mend the line"
        ) from None
    if not isinstance(value, dict):
        kind = "nothing" if value is None else f"a {type(value).__name__}"
        raise ConfigError(str(path), expected="a mapping of settings", found=kind, fix="see config/README.md")
    return value
