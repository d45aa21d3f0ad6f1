"""Robustness: rates after fine-tuning on harmful answers (figure 8), and answers read token by token (figure 4)."""

from collections.abc import Callable, Sequence

import numpy as np

from harc.results.geometry import AXES, Trajectories, choose_slot, read_band, read_trajectories
from harc.results.latex import MISSING, escape_latex, format_interval, format_rate
from harc.results.outcomes import SHARES, read_finetuning
from harc.results.printer import (
    BY_BACKBONE,
    ENDS,
    Column,
    Record,
    Table,
    make_frame,
    plain_words,
    show_name,
    show_rate,
    span_row,
)
from harc.results.rates import trace_rates
from harc.results.view import Results
from harc.results.vocabulary import OVER_REFUSAL, name_backbone, name_method, name_suite
from harc.settings.analysis import AnalysisSettings
from harc.settings.robustness import FinetuningSettings, TrajectorySettings
from harc.stats.areas import estimate_area
from harc.stats.intervals import mean_interval
from harc.suites.records import WARN_ABOVE, exceeds

RATES = ("backbone", "method", "suite", "counted", "examples", "rate", "low", "high", "n", *SHARES)
QUANTITIES = {"harm": "harm", "refusal": "refusal", "area": "AUC of harm"}
CLASSES = (
    "backbone", "method", "class", "n", "slot", *(f"{name}{end}" for name in QUANTITIES for end in ENDS)
)  # fmt: skip
BENIGN = "benign_answered"


def _measure_finetuned(view: Results, backbone: str, methods: Sequence[str], seed: int) -> list[dict]:
    """Rows of one backbone, suite by suite."""
    answers = {method: read_finetuning(view.root, backbone, method, seed) for method in methods}
    suites = dict.fromkeys(
        suite for own in answers.values() for found in own.values() for suite in found["suite"]
    )
    return [
        {
            "backbone": backbone,
            "method": method,
            "suite": suite,
            "counted": "over-refusal" if suite in OVER_REFUSAL else "attack success",
            **point._asdict(),
        }
        for suite in suites
        for method in methods
        for point in trace_rates(answers[method], suite, view.settings.confidence)
    ]


def build_finetuning(view: Results) -> Table:
    """Rates by number of harmful answers: a line per suite and method; the first seed that is fine-tuned."""
    tuned = view.study.finetuning if view.study else FinetuningSettings()
    seeds = [seed for seed in view.seeds if seed in tuned.seeds]
    rows = [
        row
        for backbone in (view.backbones if seeds else ())
        for row in _measure_finetuned(view, backbone, tuned.methods, seeds[0])
    ]
    prompts = ", ".join(map(str, sorted({row["n"] for row in rows}))) or MISSING
    notes = [
        "Columns: number of harmful answers. Direct requests and attacks: share answered; safe requests: share "
        f"refused. Small type: {100 * view.settings.confidence:g}\\% Wilson interval. Prompts per cell: {prompts}. "
        "Every fine-tuning starts from the method's own model; one seed.",
    ]
    garbled = [row for row in rows if exceeds("garbled", row["garbled"], 1)]
    if garbled:
        most = max(garbled, key=lambda row: row["garbled"])
        notes.append(
            f"In {len(garbled)} of {len(rows)} cells more than {100 * WARN_ABOVE:g}\\% of the answers are garbled, at "
            f"most {format_rate(most['garbled'])} (CSV): a low rate there may be broken answers."
        )
    columns = [
        Column("suite", show_name("suite", name_suite)),
        Column("method", show_name("method", name_method)),
    ]
    columns += [
        Column(str(count), show_rate("rate"), "c", where={"examples": count})
        for count in sorted({row["examples"] for row in rows})
    ]
    return Table(
        "finetuning",
        make_frame(RATES, rows),
        columns,
        lines=("suite", "method"),
        **BY_BACKBONE,
        notes=notes,
        absent=span_row("no model of this profile is fine-tuned on harmful answers", 2),
    )


def _measure_classes(traced: Trajectories, slot: int, settings: AnalysisSettings) -> list[dict]:
    """A row per class of answers: mean cosines, and the area of harm against the benign answers."""
    means = {
        name: {axis: np.nanmean(traced.select(name, axis, slot), axis=1) for axis in AXES}
        for name in dict.fromkeys(traced.classes)
    }
    rows = []
    for name, held in means.items():
        row: dict = {"class": name, "n": len(held["harm"]), "slot": slot}
        for axis, values in held.items():
            bounds = mean_interval(
                values, resamples=settings.trajectory_resamples, seed=0, confidence=settings.confidence
            )
            row |= {f"{axis}{end}": bound for end, bound in zip(ENDS, bounds, strict=True)}
        if name != BENIGN and BENIGN in means:
            area = estimate_area(held["harm"], means[BENIGN]["harm"], settings.confidence)
            row |= {f"area{end}": bound for end, bound in zip(ENDS, area[:3], strict=True)} if area else {}
        rows.append(row)
    return rows


def _show_mean(column: str) -> Callable[[Record], str]:
    def show(row: Record) -> str:
        if row[column] is None:
            return MISSING
        interval = format_interval(row[f"{column}_low"], row[f"{column}_high"])
        return f"${format_rate(row[column])}$ {interval}"

    return show


def build_trajectories(view: Results) -> Table:
    """What a model's state reads as while it writes: means over the tokens of its answers by class; first seed."""
    methods = (view.study.trajectories if view.study else TrajectorySettings()).methods
    rows = []
    for backbone in view.backbones:
        for method in methods:
            traced = read_trajectories(view.layout.trajectories(backbone, method, view.seeds[0]))
            if traced is not None:
                band = read_band(view.root, backbone, view.seeds[0])
                slot = choose_slot(view.settings, band, traced.slots)
                names = {"backbone": backbone, "method": method}
                rows += [names | row for row in _measure_classes(traced, slot, view.settings)]
    slots = dict.fromkeys((row["backbone"], row["slot"]) for row in rows)
    shown = ", ".join(f"{slot} ({escape_latex(name_backbone(name))})" for name, slot in slots) or MISSING
    note = (
        f"Cosines with the untreated model's response directions at slot {shown}, averaged over an answer's tokens, "
        "then over answers, with bootstrap intervals over answers. AUC: against the benign answers of the same "
        f"reader, with DeLong's interval; {MISSING}: the benign answers themselves, or too few."
    )
    columns = [
        Column("backbone", show_name("backbone", name_backbone)),
        Column("reader", show_name("method", name_method)),
        Column("answers", show_name("class", plain_words)),
        Column("$n$", lambda row: str(row["n"]), "r"),
        *(Column(head, _show_mean(name), "c") for name, head in QUANTITIES.items()),
    ]
    none = span_row("no answers are read token by token in this profile", 4)
    return Table("trajectories", make_frame(CLASSES, rows), columns, notes=[note], absent=none)
