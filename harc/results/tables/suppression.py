"""Suppression: refusal kept by method and condition, rounds of removal, stability; benign refusals when steered."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from harc.results.latex import MISSING, escape_latex, format_rate
from harc.results.printer import (
    BY_BACKBONE,
    Column,
    Record,
    Table,
    make_frame,
    plain_words,
    show_name,
    show_rate,
    span_row,
)
from harc.results.suppression import (
    ROUND,
    count_until_half,
    estimate_kept,
    read_card,
    read_rounds,
    select_condition,
)
from harc.results.view import Results
from harc.results.vocabulary import name_method, sort_methods
from harc.settings.suppression import CONTROL
from harc.suites.records import WARN_ABOVE, exceeds

RATES = (
    "backbone", "method", "condition", "rate", "low", "high", "n", "seeds", "garbled", "benign_refused",
    "benign_garbled", "benign_n", "likelihood_change",
)  # fmt: skip
MISSED = "$^*$"  # behind a value that misses its bar
BARS = {
    "bootstrap_low": "bootstrap", "half_cosine": "halves", "frame_cosine": "frames", "separation": "separation",
    "over_null": "over null",
}  # fmt: skip
STEERING = ("backbone", "method", "condition", "rate", "low", "high", "n", "seeds", "garbled")
CARDS = ("backbone", "method", "seed", "slot", *BARS, "stable")
ROUNDS = ("backbone", "method", "seed", "slot", "plain_refused", "until_half", "removed", "refused", "ended")


def list_methods(view: Results) -> list[str]:
    """Methods and arms that the profile suppresses, in table order; none without such a section."""
    settings = view.study.suppression if view.study else None
    return sort_methods(settings.methods) if settings else []


def _measure_condition(by_seed: Mapping[int, pd.DataFrame], condition: str, confidence: float) -> dict:
    """Rate, and what stands beside it, of one method under one condition."""
    harmful, benign, plain = (
        [select_condition(frame, name, benign=part) for frame in by_seed.values()]
        for name, part in ((condition, False), (condition, True), ("none", True))
    )
    rate = estimate_kept(harmful, confidence)
    if rate is None:
        return {}
    asked, every = pd.concat(benign), pd.concat(harmful)
    row = {"rate": rate.estimate, "low": rate.low, "high": rate.high, "n": rate.n, "seeds": rate.seeds}
    row |= {"garbled": float(every["garbled"].mean()), "benign_n": len(asked)}
    if len(asked):
        row |= {
            "benign_refused": float(asked["hit"].mean()),
            "benign_garbled": float(asked["garbled"].mean()),
        }
    if asked["likelihood"].notna().any():
        row["likelihood_change"] = float(asked["likelihood"].mean() - pd.concat(plain)["likelihood"].mean())
    return row


def _list_conditions(by_method: Mapping[str, Mapping[int, pd.DataFrame]]) -> list[str]:
    """Conditions that any model was asked under, in file order; rounds are in a table of their own."""
    found = (
        name for own in by_method.values() for frame in own.values() for name in frame["condition"].unique()
    )
    return [name for name in dict.fromkeys(found) if not name.startswith(ROUND)]


def _list_columns(first: str, methods: Sequence[str]) -> list[Column]:
    """The condition, and a rate of each method."""
    return [
        Column(first, show_name("condition", plain_words)),
        *(
            Column(escape_latex(name_method(method)), show_rate("rate"), "c", where={"method": method})
            for method in methods
        ),
    ]


def build_suppression(view: Results) -> Table:
    """Refusal kept: a line a condition, a column a method; the CSV holds what benign answers lose."""
    methods, rows = list_methods(view), []
    for backbone in view.backbones if methods else ():
        by_method = {method: view.suppressions(backbone, method) for method in methods}
        for condition in _list_conditions(by_method):
            for method, by_seed in by_method.items():
                measured = _measure_condition(by_seed, condition, view.confidence)
                if measured:
                    names = {"backbone": backbone, "method": method, "condition": condition}
                    rows.append(names | measured)
    prompts = ", ".join(map(str, sorted({row["n"] for row in rows}))) or MISSING
    notes = [
        "Share of harmful requests that are refused, seeds pooled. Small type: "
        f"{100 * view.confidence:g}\\% interval. Prompts per cell and seed: {prompts}. No refusal is not yet harm: an "
        "answer may be broken or empty of content.",
        *_warn_garbled(rows),
    ]
    columns = _list_columns("taken out", methods)
    return Table(
        "suppression",
        make_frame(RATES, rows),
        columns,
        lines=("condition",),
        **BY_BACKBONE,
        notes=notes,
        absent=span_row("no model of this profile is suppressed", 1 + len(methods)),
    )


def _list_added(view: Results) -> list[str]:
    """The control, and the conditions that add a direction; none where the profile has no such condition."""
    settings = view.study.suppression if view.study else None
    added = [name for name, own in settings.conditions.items() if own.how == "add"] if settings else []
    return [CONTROL, *added] if added else []


def build_steering(view: Results) -> Table:
    """Benign requests refused once a direction is added: a line a condition, a column a method."""
    methods, rows = list_methods(view), []
    for backbone in view.backbones:
        for method in methods:
            by_seed = view.suppressions(backbone, method)
            for condition in _list_added(view):
                asked = [select_condition(frame, condition, benign=True) for frame in by_seed.values()]
                rate = estimate_kept(asked, view.confidence)
                if rate is not None:
                    row: dict[str, Any] = {"backbone": backbone, "method": method, "condition": condition}
                    row |= {"rate": rate.estimate, "low": rate.low, "high": rate.high, "n": rate.n}
                    rows.append(
                        row | {"seeds": rate.seeds, "garbled": float(pd.concat(asked)["garbled"].mean())}
                    )
    prompts = ", ".join(map(str, sorted({row["n"] for row in rows}))) or MISSING
    notes = [
        "Share of benign requests that are refused when a direction is added to the residual stream at the slot where "
        "it was read, as long as the difference of means there: its own direction of refusal, of harmfulness, or a "
        f"random one. Seeds pooled. Small type: {100 * view.confidence:g}\\% interval. Prompts per cell and seed: "
        f"{prompts}.",
        *_warn_garbled(rows),
    ]
    columns = _list_columns("added", methods)
    return Table(
        "steering",
        make_frame(STEERING, rows),
        columns,
        lines=("condition",),
        **BY_BACKBONE,
        notes=notes,
        absent=span_row("no direction is added in this profile", 1 + len(methods)),
    )


def _warn_garbled(rows: Sequence[Mapping]) -> list[str]:
    """Says in how many cells answers are broken, which lowers a rate of refusal without any compliance."""
    broken = [row for row in rows if exceeds("garbled", row["garbled"], 1)]
    if not broken:
        return []
    most = max(broken, key=lambda row: row["garbled"])
    return [
        f"In {len(broken)} of {len(rows)} cells more than {100 * WARN_ABOVE:g}\\% of the answers are garbled, at most "
        f"{format_rate(most['garbled'])} (CSV): a low rate there may be broken answers."
    ]


def _make_rounds_row(rounds: Sequence[Mapping[str, str]]) -> dict:
    asked = [row for row in rounds if row["refused"]]
    last = asked[-1]
    return {
        "slot": int(last["slot"]),
        "plain_refused": float(asked[0]["refused"]),
        "until_half": count_until_half(rounds),
        "removed": int(last["removed"]),
        "refused": float(last["refused"]),
        "ended": rounds[-1]["ended"],
    }


def _show_numbers(name: str) -> Column:
    """A column of one number a seed."""

    def show(records: list[Record]) -> str:
        return ", ".join("---" if row[name] is None else f"{row[name]:.2g}" for row in records)

    return Column(escape_latex(plain_words(name)), show, "c", whole=True)


def build_removal_rounds(view: Results) -> Table:
    """Iterated removal: a line a method, a number a seed."""
    rows = []
    for backbone in view.backbones:
        for method in list_methods(view):
            for seed in view.seeds:
                if rounds := read_rounds(view.root, backbone, method, seed):
                    names = {"backbone": backbone, "method": method, "seed": seed}
                    rows.append(names | _make_rounds_row(rounds))
    columns = [
        Column("method", lambda found: escape_latex(name_method(found["method"]))),
        *map(_show_numbers, ("slot", "plain_refused", "until_half", "removed", "refused")),
    ]
    notes = [
        "A number a seed: the slot that directions are read at, refusal before, directions until refusal is at most "
        "half of it (---: it never is), directions taken out in all, refusal then."
    ]
    return Table(
        "removal_rounds",
        make_frame(ROUNDS, rows),
        columns,
        lines=("method",),
        **BY_BACKBONE,
        notes=notes,
        absent=span_row("no model of this profile is suppressed", 6),
    )


def _show_bar(name: str) -> Column:
    """A column of one value a seed, marked where its bar is missed."""

    def show(records: list[Record]) -> str:
        shown = [row for row in records if not pd.isna(row[name])]
        return (
            ", ".join(f"{format_rate(row[name])}{'' if row[f'_{name}'] else MISSED}" for row in shown)
            or MISSING
        )

    return Column(BARS[name], show, "c", whole=True)


def build_stability(view: Results) -> Table:
    """The stability cards: a line a method, a value a seed."""
    rows: list[dict] = []
    least: dict[str, float] = {}
    for backbone in view.backbones:
        for method in list_methods(view):
            for seed in view.seeds:
                if card := read_card(view.root, backbone, method, seed):
                    row = {"backbone": backbone, "method": method, "seed": seed, "slot": card["slot"]}
                    row |= dict.fromkeys(BARS)
                    for name, bar in card["bars"].items():
                        row |= {name: bar["value"], f"_{name}": bar["holds"]}
                        least[name] = bar["least"]
                    rows.append(row | {"stable": card["stable"]})
    asked = ", ".join(f"{BARS[name]} {format_rate(value)}" for name, value in least.items()) or MISSING
    notes = [
        "A value a seed, of the model's own direction of refusal at the slot that suppression reads. Bootstrap: cosine "
        "with directions of resampled prompts, 2.5\\% quantile. Halves: mean cosine of two halves' directions. "
        "Frames: least cosine with directions of the same prompts in other words. "
        "Separation: held-out area under the curve of harmful against harmless prompts. Over null: length of the "
        f"difference of means over its 95\\% quantile under shuffled labels. {MISSED}: below the bar ({asked})."
    ]
    columns = [
        Column("method", lambda found: escape_latex(name_method(found["method"]))),
        _show_numbers("slot"),
        *map(_show_bar, BARS),
    ]
    return Table(
        "stability",
        make_frame(CARDS, rows),
        columns,
        lines=("method",),
        **BY_BACKBONE,
        notes=notes,
        absent=span_row("no model of this profile is suppressed", 6),
    )
