"""Questions about the syntax of a module: what a statement binds, which names stand in it, which lines are remarks."""

import ast
import io
import tokenize
from collections.abc import Iterator

PLAIN_DECORATORS = frozenset(
    {
        "property",
        "cached_property",
        "staticmethod",
        "classmethod",
        "abstractmethod",
        "contextmanager",
        "cache",
    }
    | {"lru_cache", "setter", "override"}
)
"""Decorators that leave a method to be run by name; under any other one it may be run by whoever decorates it."""


def walk_nodes(node: ast.AST, hidden: set[ast.AST]) -> Iterator[ast.AST]:
    """Every node below one, it included, but for the hidden ones and what is below them."""
    waiting = [node]
    while waiting:
        item = waiting.pop()
        if item in hidden:
            continue
        yield item
        waiting.extend(ast.iter_child_nodes(item))


def list_bound_names(node: ast.stmt) -> list[str]:
    """Names that a statement at the top binds, if binding names is all it does."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    targets: list[ast.expr] = []
    if isinstance(node, ast.Assign):
        targets = [
            t for target in node.targets for t in (target.elts if isinstance(target, ast.Tuple) else [target])
        ]
    elif isinstance(node, ast.AnnAssign | ast.AugAssign):
        targets = [node.target]
    return (
        [t.id for t in targets if isinstance(t, ast.Name)]
        if all(isinstance(t, ast.Name) for t in targets)
        else []
    )


def is_guard(test: ast.expr) -> bool:
    """Whether a condition at the top is for type checkers, or for running the file as a program."""
    return "TYPE_CHECKING" in ast.unparse(test) or "__name__" in ast.unparse(test)


def list_decorators(node: ast.AST) -> list[ast.expr]:
    """Decorators of a function or a class; none for anything else."""
    return getattr(node, "decorator_list", [])


def find_first_line(node: ast.AST) -> int:
    """Number of the line on which a statement begins, its decorators included."""
    return min([node.lineno, *(decorator.lineno for decorator in list_decorators(node))])


def runs_by_name(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether nothing runs a method but code that names it."""
    if node.name.startswith("__") and node.name.endswith("__"):
        return False
    words = [d.func if isinstance(d, ast.Call) else d for d in node.decorator_list]
    return all(getattr(word, "attr", getattr(word, "id", "")) in PLAIN_DECORATORS for word in words)


def list_annotations(node: ast.AST) -> list[ast.expr]:
    """Annotations that stand in a node itself."""
    if isinstance(node, ast.AnnAssign):
        return [node.annotation]
    if isinstance(node, ast.arg):
        return [node.annotation] if node.annotation else []
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return [node.returns] if node.returns else []
    return []


def list_names(node: ast.AST) -> set[str]:
    """Names in an expression, also inside annotations that are texts."""
    found = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            try:
                found |= {
                    n.id for n in ast.walk(ast.parse(part.value, mode="eval")) if isinstance(n, ast.Name)
                }
            except SyntaxError:
                continue
    return found


def list_descriptions(node: ast.AST) -> list[ast.expr]:
    """Texts that describe a setting: remarks, though not by their form."""
    return [
        keyword.value
        for part in ast.walk(node)
        if isinstance(part, ast.Call) and getattr(part.func, "id", "") == "Field"
        for keyword in part.keywords
        if keyword.arg == "description"
    ]


def blank_parts(number: int, line: str, parts: list[ast.expr]) -> str:
    """A line without what belongs to the given expressions."""
    data = line.encode()
    for part in sorted(parts, key=lambda part: part.col_offset, reverse=True):
        if part.lineno <= number <= part.end_lineno:
            first = part.col_offset if number == part.lineno else 0
            last = part.end_col_offset if number == part.end_lineno else len(data)
            data = data[:first] + data[last:]
    return data.decode(errors="replace").rstrip()


def _list_docstrings(tree: ast.AST) -> set[int]:
    lines: set[int] = set()
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if not isinstance(body, list):
            continue
        for statement in body:
            value = getattr(statement, "value", None) if isinstance(statement, ast.Expr) else None
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                lines.update(range(statement.lineno, statement.end_lineno + 1))
    return lines


def strip_remarks(source: str, tree: ast.AST) -> list[str]:
    """Lines of a source, empty where they hold nothing but comments and docstrings; numbers of lines stay."""
    lines = source.split("\n")  # not splitlines(), which breaks at more characters than Python does
    if "#" in source:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type == tokenize.COMMENT:
                row, column = token.start
                lines[row - 1] = lines[row - 1][:column]
    docstrings = _list_docstrings(tree)
    return ["" if number in docstrings else line.rstrip() for number, line in enumerate(lines, start=1)]
