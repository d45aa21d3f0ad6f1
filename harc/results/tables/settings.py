"""Settings as tables: every one of the run, and what the release's files say of theirs and where they contradict."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from typing import NamedTuple

from pydantic import BaseModel

from harc.methods.harc_released import Conflict, Switch, list_conflicts, list_switches
from harc.results.latex import escape_latex, make_breakable
from harc.results.printer import Column, Record, Table, make_frame, plain_words, set_paragraphs
from harc.results.view import Results

COLUMNS = ("setting", "value", "description")
METHODS = "methods."
# Not hyperparameters, or shown in full under `methods` or in the table of tuning points.
HIDDEN = ("name", "source", "description", "figures", "training", "data.", "backbones.", "tuning.grids")


class Leaf(NamedTuple):
    """A setting: dotted name, value, description, and whether it is another value than the setting's default."""

    setting: str
    value: str
    description: str
    chosen: bool


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
    """Every leaf, in declaration order; groups are walked into."""
    for name, field in type(settings).model_fields.items():
        value, path = getattr(settings, name), f"{prefix}{name}"
        description = " ".join((field.description or "").split())
        if isinstance(value, BaseModel):
            yield from list_settings(value, f"{path}.")
        elif isinstance(value, Mapping):
            chosen = value != field.get_default(call_default_factory=True)
            yield from (leaf._replace(chosen=chosen) for leaf in _list_mapping(value, path, description))
        elif isinstance(value, Sequence) and value and all(_is_group(entry) for entry in value):
            for index, entry in enumerate(value):
                label = getattr(entry, "name", None) or index
                yield from (
                    list_settings(entry, f"{path}.{label}.")
                    if isinstance(entry, BaseModel)
                    else _list_mapping(entry, f"{path}.{label}", description)
                )
        else:
            yield Leaf(path, _show(value), description, value != field.get_default(call_default_factory=True))


def _list_mapping(values: Mapping, path: str, description: str) -> Iterator[Leaf]:
    """Leaves of a mapping: groups are walked into, plain values of one level share a line."""
    plain = {key: value for key, value in values.items() if not _is_group(value)}
    if plain or not values:
        entries = "; ".join(f"{key} {_show(value)}" for key, value in plain.items())
        yield Leaf(path, f"{len(plain)} entries", f"{description}: {entries or 'none'}", chosen=True)
    for key, value in values.items():
        if isinstance(value, BaseModel):
            yield from list_settings(value, f"{path}.{key}.")
        elif isinstance(value, Mapping):
            yield from _list_mapping(value, f"{path}.{key}", description)


def merge_methods(leaves: Sequence[Leaf]) -> list[Leaf]:
    """The methods' settings once each: one value where all agree, else also who differs."""
    merged: dict[str, dict[str, Leaf]] = {}
    for leaf in leaves:
        method, _, rest = leaf.setting.removeprefix(METHODS).partition(".")
        if leaf.setting.startswith(METHODS):
            merged.setdefault(f"{METHODS}*.{rest}", {})[method] = leaf
        else:
            merged[leaf.setting] = {"": leaf}
    return [
        Leaf(
            name,
            _merge_values({method: leaf.value for method, leaf in held.items()}),
            next(iter(held.values())).description,
            any(leaf.chosen for leaf in held.values()),
        )
        for name, held in merged.items()
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


def build_hyperparameters(view: Results) -> Table:
    """Every setting of the profile with its value and its description (unit and source included); all in the CSV."""
    leaves = list(list_settings(view.profile)) if view.profile else []
    widths = set_paragraphs(0.33, 0.17, 0.44)
    heads = ("setting", "value", "meaning, unit and source")
    return Table(
        "hyperparameters",
        make_frame(COLUMNS, [leaf._asdict() for leaf in leaves]),
        [
            Column(head, _show_leaf(name), width)
            for head, name, width in zip(heads, COLUMNS, widths, strict=True)
        ],
        printed=[
            leaf._asdict() for leaf in merge_methods(leaves) if leaf.chosen and not is_hidden(leaf.setting)
        ],
        notes=[
            "Generated from the settings models of the run; nothing here is typed by hand. Settings that have their "
            "default value are in the CSV alone, with all others."
        ],
        long=True,
    )


def _show_leaf(column: str) -> Callable[[Record], str]:
    def show(row: Record) -> str:
        text = make_breakable(escape_latex(row[column]))
        return f"{{\\ttfamily {text}}}" if column == "setting" else text

    return show


def _show_words(*columns: str) -> Callable[[Record], str]:
    """Columns as words, a value and its source with a colon between; a dash where they are silent."""
    return lambda row: escape_latex(plain_words(": ".join(str(row[name]) for name in columns))) or "--"


def build_switches(_: Results) -> Table:
    """One line per switch: what the released value does, both values, and the source of both."""
    shown = {
        "switch": ("name",),
        "what the released value does": ("effect",),
        "released": ("released", "source_released"),
        "corrected": ("corrected", "source_corrected"),
    }
    widths = set_paragraphs(0.15, 0.27, 0.25, 0.25)
    return Table(
        "switches",
        make_frame([field.name for field in fields(Switch)], [asdict(switch) for switch in list_switches()]),
        [
            Column(head, _show_words(*names), width)
            for (head, names), width in zip(shown.items(), widths, strict=True)
        ],
        long=True,
    )


def build_conflicts(_: Results) -> Table:
    """One line per thing that the release says in more than one way."""
    names = [field.name for field in fields(Conflict)]
    heads = ("topic", "README", "HYPERPARAMS", "YAML", "code", "here")
    widths = set_paragraphs(0.11, 0.13, 0.16, 0.13, 0.16, 0.16)
    return Table(
        "conflicts",
        make_frame(names, [asdict(conflict) for conflict in list_conflicts()]),
        [
            Column(head, _show_words(name), width)
            for head, name, width in zip(heads, names, widths, strict=True)
        ],
        notes=["Read in microsoft/HARC@c3565e5; a dash where a source is silent."],
        long=True,
    )
