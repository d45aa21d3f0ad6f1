"""The code of a module as definitions: what each says without remarks, and what it refers to.

A definition is a function, a class, a method that only a caller by name can run, or an assignment at the top of a
module. Everything is read from the source; nothing is imported or run.
"""

import ast
import symtable
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from harc.core.syntax import (
    DEFINING,
    FUNCTIONS,
    is_guard,
    list_annotations,
    list_bound_names,
    list_lines,
    list_names,
    runs_by_name,
    strip_remarks,
    walk_nodes,
)

INERT_BASES = frozenset(
    {"object", "Protocol", "NamedTuple", "TypedDict", "Generic", "Enum", "StrEnum", "BaseModel"}
    | {"Exception", "RuntimeError", "ValueError"}
)
"""Foreign bases that run no method of a class but those with two underscores and validators."""
Place = tuple[str, str | None]
"""A module, and a name in it; None for the module itself."""


@dataclass(frozen=True)
class Definition:
    """One piece of code.

    Attributes:
        name: `f`, `Class`, `Class.method`, or `<statement>` for one that binds no name.
        text: its source without comments, docstrings, blank lines and descriptions of settings.
        names: names that it takes from the module around it.
        types: the same, where they stand in annotations alone.
        attributes: attributes that it reads or calls of anything, and texts that could name one.
        chains: (name, attribute) pairs, for names that stand for modules.
        bare: names that occur without an attribute, so that what they stand for may be handed on.
        imports: what its own imports bind.
        files: texts that could name a file beside the code.
    """

    name: str
    text: str
    names: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()
    attributes: frozenset[str] = frozenset()
    chains: frozenset[tuple[str, str]] = frozenset()
    bare: frozenset[str] = frozenset()
    imports: dict[str, Place] = field(default_factory=dict)
    files: frozenset[str] = frozenset()


@dataclass(frozen=True)
class ClassCode:
    """A class in parts.

    Attributes:
        head: everything that running the class statement or making an instance runs.
        outline: the head without fields and validators: of a settings class whose values are hashed as values.
        methods: what runs only when somebody names it.
        bases: expressions of its bases as dotted names.
    """

    head: Definition
    outline: Definition
    methods: dict[str, Definition]
    bases: tuple[str, ...]


class ModuleCode:
    """A parsed module of the package."""

    def __init__(self, name: str, path: Path) -> None:
        """Read and parse; the rest is done when it is asked for."""
        self.name, self.folder, self.is_package = name, path.parent, path.name == "__init__.py"
        self.source = path.read_text(encoding="utf-8")
        self.tree = ast.parse(self.source)
        self._definitions: dict[str, list[Definition]] = {}
        self._classes: dict[str, ClassCode] = {}

    @cached_property
    def _table(self) -> symtable.SymbolTable:
        return symtable.symtable(self.source, self.name, "exec")

    @cached_property
    def _lines(self) -> list[str]:
        return strip_remarks(self.source, self.tree)

    @cached_property
    def imports(self) -> dict[str, Place]:
        """What imports at the top bind, those for type checkers among them."""
        return dict(self._list_imports(self._walk_top(typing=True)))

    @cached_property
    def loaded(self) -> frozenset[str]:
        """Modules, or names in them, that importing this module imports."""
        found = set()
        for module, name in (place for _, place in self._list_imports(self._walk_top(typing=False))):
            found |= {module} if name is None else {module, f"{module}.{name}"}
        return frozenset(found)

    @cached_property
    def statements(self) -> dict[str, list[ast.stmt]]:
        """Statements at the top by the name that they bind."""
        bound: dict[str, list[ast.stmt]] = {}
        for node in self.tree.body:
            for name in list_bound_names(node):
                bound.setdefault(name, []).append(node)
        return bound

    @cached_property
    def loose(self) -> list[Definition]:
        """Statements at the top that bind no name: they run whenever the module is imported.

        Assertions, docstrings and the block for `python -m` are none: they change nothing.
        """
        skipped = (ast.Import, ast.ImportFrom, ast.Assert, *DEFINING)
        return [
            self._describe("<statement>", [node])
            for node in self.tree.body
            if not isinstance(node, skipped)
            and not list_bound_names(node)
            and not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
            and not (isinstance(node, ast.If) and is_guard(node.test))
        ]

    @cached_property
    def decorated(self) -> dict[str, frozenset[str]]:
        """Names of functions and classes at the top with the names in their decorators."""
        return {
            node.name: frozenset(
                n.id for d in node.decorator_list for n in ast.walk(d) if isinstance(n, ast.Name)
            )
            for node in self.tree.body
            if isinstance(node, DEFINING) and node.decorator_list
        }

    def list_definitions(self, name: str) -> list[Definition]:
        """Statements that bind a name which is no class."""
        if name not in self._definitions:
            nodes = self.statements.get(name, [])
            self._definitions[name] = [self._describe(name, [node]) for node in nodes]
        return self._definitions[name]

    def find_class(self, name: str) -> ClassCode | None:
        """The class of that name; None if it is something else, or bound more than once."""
        nodes = self.statements.get(name, [])
        if len(nodes) != 1 or not isinstance(nodes[0], ast.ClassDef):
            return None
        if name not in self._classes:
            self._classes[name] = self._split_class(nodes[0])
        return self._classes[name]

    def find_made_base(self, name: str) -> str | None:
        """The class that `name = create_model(..., __base__=Class)` adds fields to; None for anything else."""
        for node in self.statements.get(name, []):
            for part in ast.walk(node):
                if isinstance(part, ast.keyword) and part.arg == "__base__":
                    return ast.unparse(part.value)
        return None

    def _split_class(self, node: ast.ClassDef) -> ClassCode:
        functions = [item for item in node.body if isinstance(item, FUNCTIONS)]
        apart = [item for item in functions if runs_by_name(item)]
        fields = [item for item in node.body if isinstance(item, ast.AnnAssign)]
        checks = [item for item in functions if item not in apart]
        methods: dict[str, Definition] = {}
        for item in apart:
            own = self._describe(f"{node.name}.{item.name}", [item])
            before = methods.get(item.name)  # a property and its setter
            methods[item.name] = own if before is None else _join(before, own)
        outline = self._describe(node.name, [node], left_out=[*apart, *fields, *checks])
        types = frozenset(name for item in fields for name in list_names(item.annotation))
        return ClassCode(
            self._describe(node.name, [node], left_out=apart),
            replace(outline, name=f"{node.name} (outline)", types=outline.types | types),
            methods,
            tuple(ast.unparse(base) for base in node.bases),
        )

    def _describe(self, name: str, nodes: list[ast.stmt], left_out: Iterable[ast.stmt] = ()) -> Definition:
        hidden = set(left_out)
        kept = [node for statement in nodes for node in walk_nodes(statement, hidden)]
        annotations = [part for node in kept for part in list_annotations(node)]
        in_annotations = {id(part) for annotation in annotations for part in ast.walk(annotation)}
        names = [node for node in kept if isinstance(node, ast.Name)]
        attributes = [node for node in kept if isinstance(node, ast.Attribute)]
        texts = {
            node.value for node in kept if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        read = {n.id for n in names if isinstance(n.ctx, ast.Load) and id(n) not in in_annotations}
        owners = {id(node.value) for node in attributes}
        local = {found for statement in nodes for found in self._list_local_names(statement)}
        return Definition(
            name,
            self._cut(nodes, hidden),
            names=frozenset(read - local),
            types=frozenset(found for annotation in annotations for found in list_names(annotation)),
            attributes=frozenset(
                {n.attr for n in attributes} | {text for text in texts if text.isidentifier()}
            ),
            chains=frozenset((n.value.id, n.attr) for n in attributes if isinstance(n.value, ast.Name)),
            bare=frozenset(node.id for node in names if id(node) not in owners),
            imports=dict(self._list_imports(kept)),
            files=frozenset(Path(text).name for text in texts if 0 < len(text) < 200 and "." in text),
        )

    def _list_local_names(self, statement: ast.stmt) -> set[str]:
        """Names that a function binds itself in every scope in which it uses them."""
        if not isinstance(statement, FUNCTIONS):
            return set()
        tables = [t for t in _walk_tables(self._table) if _is_table_of(t, statement)]
        if len(tables) != 1:
            return set()
        scopes = list(_walk_tables(tables[0]))
        local = {s.get_name() for t in scopes for s in t.get_symbols() if not s.is_global()}
        outside = {s.get_name() for t in scopes for s in t.get_symbols() if s.is_global()}
        outer = [
            *statement.decorator_list,
            *statement.args.defaults,
            *filter(None, statement.args.kw_defaults),
        ]
        return local - outside - {name for part in outer for name in list_names(part)}

    def _cut(self, nodes: list[ast.stmt], hidden: Iterable[ast.stmt]) -> str:
        gone = {number for node in hidden for number in list_lines(node)}
        numbers = [number for node in nodes for number in list_lines(node) if number not in gone]
        return "\n".join(self._lines[number - 1] for number in numbers if self._lines[number - 1])

    def _walk_top(self, *, typing: bool) -> Iterator[ast.AST]:
        """Nodes that run when the module is imported, function bodies left out."""
        waiting: list[ast.AST] = list(self.tree.body)
        while waiting:
            node = waiting.pop()
            if isinstance(node, (*FUNCTIONS, ast.Lambda)):
                continue
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test) and not typing:
                continue
            yield node
            waiting.extend(ast.iter_child_nodes(node))

    def _list_imports(self, nodes: Iterable[ast.AST]) -> Iterator[tuple[str, Place]]:
        for node in nodes:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    bound = alias.asname or alias.name.partition(".")[0]
                    yield bound, (alias.name, None)
            elif isinstance(node, ast.ImportFrom):
                parent = self._resolve_parent(node)
                for alias in node.names:
                    yield alias.asname or alias.name, (parent, alias.name)

    def _resolve_parent(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = self.name.split(".")[: None if self.is_package else -1]
        parts = parts[: len(parts) - node.level + 1]
        return ".".join([*parts, *([node.module] if node.module else [])])


def _walk_tables(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    yield table
    for child in table.get_children():
        yield from _walk_tables(child)


def _is_table_of(table: symtable.SymbolTable, node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return table.get_type() == "function" and (table.get_name(), table.get_lineno()) == (
        node.name,
        node.lineno,
    )


def _join(first: Definition, second: Definition) -> Definition:
    return Definition(
        first.name,
        f"{first.text}\n{second.text}",
        first.names | second.names,
        first.types | second.types,
        first.attributes | second.attributes,
        first.chains | second.chains,
        first.bare | second.bare,
        {**first.imports, **second.imports},
        first.files | second.files,
    )
