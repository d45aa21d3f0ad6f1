"""Questions about the syntax of a module: what a statement binds, which names stand in it, which lines are remarks."""

import ast
import io
import tokenize
from collections.abc import Collection, Iterator

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
DEFINING = (*FUNCTIONS, ast.ClassDef)
PLAIN_DECORATORS = frozenset(
    {"property", "cached_property", "staticmethod", "classmethod", "abstractmethod", "contextmanager"}
    | {"cache", "lru_cache", "setter", "override"}
)
"""Decorators that leave a method to be run by name; under any other one it may be run by whoever decorates it."""


def walk_nodes(node: ast.AST, hidden: Collection[ast.AST]) -> Iterator[ast.AST]:
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
    if isinstance(node, DEFINING):
        return [node.name]
    targets: list[ast.expr] = []
    if isinstance(node, ast.Assign):
        targets = [
            t for target in node.targets for t in (target.elts if isinstance(target, ast.Tuple) else [target])
        ]
    elif isinstance(node, ast.AnnAssign | ast.AugAssign):
        targets = [node.target]
    names = [target.id for target in targets if isinstance(target, ast.Name)]
    return names if len(names) == len(targets) else []


def is_guard(test: ast.expr) -> bool:
    """Whether a condition at the top is for type checkers, or for running the file as a program."""
    return "TYPE_CHECKING" in ast.unparse(test) or "__name__" in ast.unparse(test)


def list_lines(node: ast.stmt) -> range:
    """Numbers of the lines of a statement, its decorators included."""
    first = min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", []))])
    return range(first, (node.end_lineno or node.lineno) + 1)


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
    if isinstance(node, FUNCTIONS):
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


def _list_descriptions(tree: ast.AST) -> list[ast.expr]:
    """Texts that describe a setting: remarks, though not by their form."""
    return [
        keyword.value
        for part in ast.walk(tree)
        if isinstance(part, ast.Call) and getattr(part.func, "id", "") == "Field"
        for keyword in part.keywords
        if keyword.arg == "description"
    ]


def _blank(lines: list[str], part: ast.expr) -> None:
    """Take an expression's characters out of the lines that it stands on; columns are counted in bytes."""
    for number in range(part.lineno, (part.end_lineno or part.lineno) + 1):
        data = lines[number - 1].encode()
        first = part.col_offset if number == part.lineno else 0
        last = part.end_col_offset if number == part.end_lineno else len(data)
        lines[number - 1] = (data[:first] + data[last:]).decode(errors="replace")


def _list_docstrings(tree: ast.AST) -> Iterator[ast.Expr]:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        for statement in body if isinstance(body, list) else []:
            value = statement.value if isinstance(statement, ast.Expr) else None
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield statement


def strip_remarks(source: str, tree: ast.AST) -> list[str]:
    """Lines of a source without comments, docstrings and descriptions of settings; numbers of lines stay."""
    lines = source.split("\n")  # not splitlines(), which breaks at more characters than Python does
    if "#" in source:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type == tokenize.COMMENT:
                row, column = token.start
                lines[row - 1] = lines[row - 1][:column]
    for part in sorted(_list_descriptions(tree), key=lambda part: part.col_offset, reverse=True):
        _blank(lines, part)  # from the right: columns of the others on the line stay
    for docstring in _list_docstrings(tree):
        for number in list_lines(docstring):
            lines[number - 1] = ""
    return [line.rstrip() for line in lines]
