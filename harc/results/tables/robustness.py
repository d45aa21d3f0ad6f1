"""Robustness: rates after fine-tuning on harmful (figure 8) or benign answers, and answers read by token (figure 4)."""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from harc.results.geometry import AXES, Trajectories, choose_slot, read_band, read_trajectories
from harc.results.latex import MISSING, escape_latex, format_interval, format_rate
from harc.results.outcomes import SHARES, ByExamples, read_finetuning
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
from harc.settings.robustness import ErosionSettings, FinetuningSettings, TrajectorySettings
from harc.stats.areas import estimate_area
from harc.stats.intervals import mean_interval
from harc.suites.records import WARN_ABOVE, exceeds

RATES = ("backbone", "method", "suite", "counted", "examples", "rate", "low", "high", "n", *SHARES)
QUANTITIES = {"harm": "harm", "refusal": "refusal", "area": "AUC of harm"}
CLASSES = (
    "backbone", "method", "class", "n", "slot", *(f"{name}{end}" for name in QUANTITIES for end in ENDS)
)  # fmt: skip
BENIGN = "benign_answered"


def _measure_finetuned(
    view: Results, backbone: str, own: FinetuningSettings, answers: Mapping[str, ByExamples]
) -> list[dict]:
    """Rows of one backbone, suite by suite."""
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
        if suite in own.suites
        for method in own.methods
        for point in trace_rates(answers[method], suite, view.settings.confidence)
    ]


def _lay_out_finetuning(
    name: str, view: Results, own: FinetuningSettings, read: Callable[[str, str, int], ByExamples], what: str
) -> Table:
    """Rates by number of examples: a line per suite and method; the first seed that is fine-tuned."""
    seeds = [seed for seed in view.seeds if seed in own.seeds]
    rows = [
        row
        for backbone in (view.backbones if seeds else ())
        for row in _measure_finetuned(
            view, backbone, own, {method: read(backbone, method, seeds[0]) for method in own.methods}
        )
    ]
    prompts = ", ".join(map(str, sorted({row["n"] for row in rows}))) or MISSING
    notes = [
        f"Columns: number of {what}. Direct requests and attacks: share answered; safe requests: share "
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
        name,
        make_frame(RATES, rows),
        columns,
        lines=("suite", "method"),
        **BY_BACKBONE,
        notes=notes,
        absent=span_row(f"no model of this profile is fine-tuned on {what}", 2),
    )


def build_finetuning(view: Results) -> Table:
    """Rates by number of harmful answers."""
    own = view.study.finetuning if view.study else FinetuningSettings()
    return _lay_out_finetuning(
        "finetuning", view, own, partial(read_finetuning, view.root), "harmful answers"
    )


def build_erosion(view: Results) -> Table:
    """Rates by number of benign rows; at 0 stands what the scores count of the model as it is."""
    own = view.study.erosion if view.study else ErosionSettings()

    def read(backbone: str, method: str, seed: int) -> ByExamples:
        after = read_finetuning(view.root, backbone, method, seed, benign=True)
        before = view.outcomes(backbone, method, paired=True).get(seed)
        return {} if not after or before is None else {0: before} | after

    return _lay_out_finetuning("erosion", view, own, read, "benign rows")


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
