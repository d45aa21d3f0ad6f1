"""The hyperparameter table, generated from the settings that the run used."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from pydantic import BaseModel

from harc.results.latex import escape_latex, make_breakable
from harc.results.tables.layout import Table

COLUMNS = ("setting", "value", "description")
METHODS = "methods."
# Not hyperparameters, or shown in full under `methods`.
HIDDEN = ("name", "source", "description", "figures", "training", "data.", "backbones.")
Leaf = tuple[str, str, str]


def _is_group(value: object) -> bool:
    return isinstance(value, BaseModel | Mapping)


def _show(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(_show(entry) for entry in value) or "none"
    return str(getattr(value, "value", value))


def list_settings(settings: BaseModel, prefix: str = "") -> Iterator[Leaf]:
    """(dotted name, value, description) of every leaf, in declaration order; groups are walked into."""
    for name, field in type(settings).model_fields.items():
        value, path = getattr(settings, name), f"{prefix}{name}"
        description = " ".join((field.description or "").split())
        if isinstance(value, BaseModel):
            yield from list_settings(value, f"{path}.")
        elif isinstance(value, Mapping):
            yield from _list_mapping(value, path, description)
        elif isinstance(value, Sequence) and value and all(_is_group(entry) for entry in value):
            for index, entry in enumerate(value):
                label = getattr(entry, "name", None) or index
                yield from (
                    list_settings(entry, f"{path}.{label}.")
                    if isinstance(entry, BaseModel)
                    else _list_mapping(entry, f"{path}.{label}", description)
                )
        else:
            yield path, _show(value), description


def _list_mapping(values: Mapping, path: str, description: str) -> Iterator[Leaf]:
    """Leaves of a mapping: groups are walked into, plain values of one level share a line."""
    plain = {key: value for key, value in values.items() if not _is_group(value)}
    if plain or not values:
        entries = "; ".join(f"{key} {_show(value)}" for key, value in plain.items())
        yield path, f"{len(plain)} entries", f"{description}: {entries or 'none'}"
    for key, value in values.items():
        if isinstance(value, BaseModel):
            yield from list_settings(value, f"{path}.{key}.")
        elif isinstance(value, Mapping):
            yield from _list_mapping(value, f"{path}.{key}", description)


def merge_methods(leaves: Sequence[Leaf]) -> list[Leaf]:
    """The methods' settings once each: one value where all agree, else also who differs."""
    merged: dict[str, dict[str, str]] = {}
    kept: list[Leaf] = []
    for name, value, description in leaves:
        if not name.startswith(METHODS):
            kept.append((name, value, description))
            continue
        method, _, rest = name.removeprefix(METHODS).partition(".")
        if rest not in merged:
            kept.append((f"{METHODS}*.{rest}", rest, description))
        merged.setdefault(rest, {})[method] = value
    return [
        (name, _merge_values(merged[value]), text) if name.startswith(f"{METHODS}*.") else (name, value, text)
        for name, value, text in kept
    ]


def _merge_values(values: Mapping[str, str]) -> str:
    """The value that most methods share, then who differs; each method's own where no two agree."""
    shared, count = Counter(values.values()).most_common(1)[0]
    if count == len(values):
        return shared
    others = {method: value for method, value in values.items() if count == 1 or value != shared}
    listed = "; ".join(f"{method}: {value}" for method, value in others.items())
    return listed if count == 1 else f"{shared}; but {listed}"


def is_hidden(name: str) -> bool:
    """Whether a setting is no hyperparameter; what a backbone changes of the methods is one."""
    if name.startswith("backbones.") and name.endswith(".training"):
        return False
    return name in HIDDEN or name.startswith(tuple(f"{hidden.rstrip('.')}." for hidden in HIDDEN))


def build_table(settings: BaseModel) -> Table:
    """Every setting of the profile with its value and its description (unit and source included)."""
    leaves = list(list_settings(settings))
    body = [
        f"{{\\ttfamily {make_breakable(escape_latex(name))}}} & {make_breakable(escape_latex(value))} & "
        f"{make_breakable(escape_latex(description))} \\\\"
        for name, value, description in merge_methods(leaves)
        if not is_hidden(name)
    ]
    ragged = ">{\\raggedright\\arraybackslash}"
    return Table(
        "hyperparameters",
        COLUMNS,
        [dict(zip(COLUMNS, leaf, strict=True)) for leaf in leaves],
        f"@{{}}{ragged}p{{0.33\\textwidth}}{ragged}p{{0.17\\textwidth}}{ragged}p{{0.44\\textwidth}}@{{}}",
        ["setting & value & meaning, unit and source"],
        body,
        ["Generated from the settings models of the run; nothing here is typed by hand."],
        long=True,
    )
