"""The untreated models: did each become what the study needs, and do families agree on the directions' structure."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from harc.core.artifacts import BASE, Layout
from harc.core.files import read_json
from harc.results.evidence import (
    estimate_agreement,
    list_seed_correlations,
    read_family_profiles,
)
from harc.results.latex import MISSING, escape_latex, format_interval, format_rate, format_signed
from harc.results.printer import (
    RAGGED,
    Column,
    Record,
    Table,
    make_frame,
    plain_words,
    show_name,
    span_row,
)
from harc.results.view import Results
from harc.results.vocabulary import name_backbone
from harc.stats.agreement import RankAgreement

CRITERIA = ("backbone", "seed", "criterion", "value", "least", "greatest", "holds", "split")
FAMILIES = (
    "model", "seeds", "examples", "peak_slot", "peak_cosine", "last_cosine", "mean_cosine", "correlation",
    "criteria", "criteria_met", "agreement", "agreement_low", "agreement_high", "models", "seed_correlation",
    "seed_pairs",
)  # fmt: skip


def read_criteria(results_root: Path, backbone: str, seed: int) -> Iterator[dict]:
    """Criteria of one backbone with their values and limits; none for a model without an acceptance report."""
    path = Layout(results_root).backbone(backbone, seed) / "acceptance.json"
    report = read_json(path) if path.is_file() else {}
    for name, entry in report.get("bounds", {}).items():
        bounds = {key: entry.get(key) for key in ("value", "least", "greatest", "holds")}
        yield {"backbone": backbone, "seed": seed, "criterion": name, "split": report.get("split")} | bounds


def _show_bound(row: Record) -> str:
    if row["greatest"] is None or row["greatest"] >= 1:
        return f"$\\geq$ {format_rate(row['least'])}"
    return f"{format_rate(row['least'])} to {format_rate(row['greatest'])}"


def _show_values(seeds: Sequence[int], rows: list[Record]) -> str:
    """A backbone's values of one criterion, seed by seed; what is not met is bold."""
    by_seed = {row["seed"]: row for row in rows}
    cells = []
    for seed in seeds:
        row = by_seed.get(seed)
        shown = MISSING if row is None else format_rate(row["value"])
        met = row is None or row["value"] is None or row["holds"]
        cells.append(shown if met else f"\\textbf{{{shown}}}$^\\ddagger$")
    return " / ".join(cells)


def build_acceptance(view: Results) -> Table:
    """Every criterion; a backbone of another kind (a published model) has none and is named in the notes."""
    rows = [row for b in view.backbones for s in view.seeds for row in read_criteria(view.root, b, s)]
    found = {row["backbone"] for row in rows}
    shown = [backbone for backbone in view.backbones if backbone in found]
    absent = [name_backbone(backbone) for backbone in view.backbones if backbone not in found]
    splits = " and ".join(sorted({str(row["split"]) for row in rows})) or MISSING
    notes = [
        f"Shares, measured on the {escape_latex(splits)} split, in which no evaluation prompt occurs; "
        f"seeds in order: {', '.join(map(str, view.seeds))}.",
        "$^\\ddagger$ criterion not met; the backbone is used all the same.",
    ]
    notes += [f"No criteria for: {escape_latex(', '.join(absent))}."] if absent else []
    columns = [Column("criterion", show_name("criterion", plain_words)), Column("bound", _show_bound)]
    columns += [
        Column(
            escape_latex(name_backbone(backbone)),
            partial(_show_values, view.seeds),
            where={"backbone": backbone},
            whole=True,
        )
        for backbone in shown
    ]
    none = span_row("no backbone of this profile has acceptance criteria", 2)
    frame = make_frame(CRITERIA, rows)
    return Table("acceptance", frame, columns, lines=("criterion",), notes=notes, absent=none)


def _measure_family(
    view: Results, model: str, profiles: dict[str, np.ndarray], agreement: RankAgreement | None
) -> dict:
    found = view.geometries(model, BASE)
    criteria = list(read_criteria(view.root, model, view.family_seeds[0])) if view.family_seeds else []
    failed = [f"{plain_words(c['criterion'])} {format_rate(c['value'])}" for c in criteria if not c["holds"]]
    row: dict = {
        "model": model,
        "seeds": len(found.keys() & set(view.family_seeds)),
        "criteria": len(criteria),
        "criteria_met": len(criteria) - len(failed),
        "_failed": "; ".join(failed),
    }
    if model not in profiles:
        return row
    profile = profiles[model]
    row |= {
        "examples": next(iter(found.values())).examples,
        "peak_slot": int(np.nanargmax(profile)),
        "peak_cosine": float(np.nanmax(profile)),
        "last_cosine": float(profile[-1]),
        "mean_cosine": float(np.nanmean(profile)),
    }
    if agreement is not None:
        own = agreement.pairs[list(profiles).index(model)]
        row["correlation"] = float((own.sum() - 1) / (len(own) - 1))
    return row


def _show_peak(row: Record) -> str:
    return MISSING if row["peak_slot"] is None else f"{format_rate(row['peak_cosine'])} ({row['peak_slot']})"


def _show_shortfall(row: Record) -> str:
    """The criteria that a model does not meet, with their values; a dash where it meets all."""
    return (escape_latex(row["_failed"]) or "--") if row["criteria"] else MISSING


def _write_notes(view: Results, rows: Sequence[Record], shared: Record) -> list[str]:
    if not rows:
        return ["This profile compares no families."]
    sizes = sorted({row["examples"] for row in rows if row.get("examples")})
    notes = [
        f"Prompt side, seed {', '.join(map(str, view.family_seeds))}, {sizes[0] if sizes else MISSING} prompts per "
        "class. Correlation: mean of Spearman's with each other family, by relative depth."
    ]
    if "agreement" in shared:
        interval = format_interval(shared["agreement_low"], shared["agreement_high"])
        notes.append(
            f"Mean over all pairs of the {shared['models']} families: {format_signed(shared['agreement'])} {interval} "
            f"({100 * view.confidence:g}\\% interval, jackknife over families)."
        )
    if shared.get("seed_pairs"):
        notes.append(
            f"For comparison, seeds of one family: {format_signed(shared['seed_correlation'])}, mean over "
            f"{shared['seed_pairs']} pairs."
        )
    return notes


def build_families(view: Results) -> Table:
    """Direction structure by family; a model without directions shows n/a."""
    profiles = read_family_profiles(view)
    agreement = estimate_agreement(profiles)
    shared: dict = {}
    if agreement is not None:
        values = (agreement.estimate, *agreement.interval(view.confidence)[1:], len(profiles))
        shared = dict(zip(("agreement", "agreement_low", "agreement_high", "models"), values, strict=True))
    if within := list_seed_correlations(view):
        shared |= {"seed_correlation": float(np.mean(within)), "seed_pairs": len(within)}
    rows = [_measure_family(view, model, profiles, agreement) | shared for model in view.families]
    columns = [
        Column("model", show_name("model", name_backbone)),
        Column("peak (slot)", _show_peak, "c"),
        Column("last", lambda row: format_rate(row["last_cosine"]), "c"),
        Column("mean", lambda row: format_rate(row["mean_cosine"]), "c"),
        Column("correlation", lambda row: format_signed(row["correlation"]), "c"),
        Column("criteria not met", _show_shortfall, f"{RAGGED}p{{0.25\\textwidth}}"),
    ]
    none = span_row("no families in this profile", len(columns))
    notes = _write_notes(view, rows, shared)
    return Table("families", make_frame(FAMILIES, rows), columns, notes=notes, absent=none)
