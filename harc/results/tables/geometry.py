"""Cosines of the directions in the trained slots per method, and separability in the plane."""

import numpy as np

from harc.core.artifacts import BASE
from harc.results.claim_metrics import measure_coupling_gain
from harc.results.geometry import SIDES, mean_profile
from harc.results.latex import MISSING, escape_latex, format_rate, format_signed
from harc.results.printer import (
    Column,
    Record,
    Table,
    format_tight,
    make_frame,
    set_small,
    show_name,
    show_rate,
    span_row,
)
from harc.results.tables.claims import evidence_bounds
from harc.results.tables.rates import SHORT
from harc.results.view import Results
from harc.results.vocabulary import name_backbone, name_method
from harc.stats.areas import estimate_area

COLUMNS = (
    "backbone", "method", "side", "seeds", "slots", "selected_after", "cosine", "gain", "gain_low", "gain_high",
    "peak_slot", "peak_cosine", "last_cosine",
)  # fmt: skip
AREA_COLUMNS = (
    "backbone", "side", "axis", "suite", "slot", "area", "low", "high", "positives", "negatives", "seed",
)  # fmt: skip


def _measure_cosines(view: Results, backbone: str, method: str, side: str) -> dict:
    row: dict[str, object] = {"backbone": backbone, "method": method, "side": side}
    own = view.geometries(backbone, method)
    base = view.geometries(backbone, BASE, paired=method != BASE)
    shared = sorted(base.keys() & own.keys())
    if not shared:
        return row | {"seeds": 0}
    bands = [list(base[seed].selected) for seed in shared]
    means = [
        float(own[seed].profiles[side].cosine[band].mean()) for seed, band in zip(shared, bands, strict=True)
    ]
    profile = mean_profile([own[seed].profiles[side] for seed in shared]).cosine
    profile = profile[~np.isnan(profile)]
    row |= {
        "seeds": len(shared),
        "slots": "/".join(" ".join(map(str, band)) for band in bands),
        "selected_after": "/".join(" ".join(map(str, own[seed].selected)) for seed in shared),
        "cosine": sum(means) / len(means),
        "peak_slot": int(profile.argmax()),
        "peak_cosine": float(profile.max()),
        "last_cosine": float(profile[-1]),
    }
    if method != BASE:
        gain = measure_coupling_gain(view, backbone, method, side, "band")
        low, high = evidence_bounds(gain, view.confidence)
        row |= {"gain": gain.estimate if gain else None, "gain_low": low, "gain_high": high}
    return row


def _show_cosine(row: Record) -> str:
    return format_rate(row["cosine"]) if row["seeds"] else MISSING


def _show_gain(row: Record) -> str:
    if not row["seeds"]:
        return MISSING
    if row["method"] == BASE:
        return "--"
    bounds = row["gain_low"], row["gain_high"]
    return f"{format_signed(row['gain'])} {set_small('no interval' if None in bounds else format_tight(*bounds))}"


def build_geometry(view: Results) -> Table:
    """Mean cosine over the slots that the layer score selected on the base, and the gain over the base."""
    rows = [
        _measure_cosines(view, b, m, side)
        for b in view.backbones
        for m in view.every_method
        for side in SIDES
    ]
    sides = [
        Column(head, show, group=f"{side} side", where={"side": side})
        for side in SIDES
        for head, show in (("cosine", _show_cosine), ("gain", _show_gain))
    ]
    after = Column(
        "after training",
        lambda row: escape_latex(row["selected_after"] or MISSING),
        above="slots picked",
    )
    note = (
        f"Gain: difference from the base on the same slots, {100 * view.confidence:g}\\% interval from the "
        "bootstrap over prompts and answers (one seed) or over seeds (several; their slots are separated by /)."
    )
    return Table(
        "geometry",
        make_frame(COLUMNS, rows),
        [Column("", show_name("method", name_method)), *sides, after],
        lines=("method",),
        sections=("backbone",),
        title=lambda rows: f"{name_backbone(rows[0]['backbone'])}, slots {rows[0]['slots'] or MISSING}",
        notes=[note],
    )


def _measure_areas(view: Results, backbone: str) -> list[dict]:
    planes = view.planes(backbone, BASE)
    if not planes:
        return []
    seed = min(planes)
    plane, base = planes[seed], view.geometries(backbone, BASE).get(seed)
    rows = []
    for side, axis in (("prompt", "harm"), ("prompt", "refusal"), ("response", "harm")):
        values = plane.coordinates(side, axis)
        slot = min(base.selected) if base and base.selected else values.shape[1] // 2
        for suite in ("direct", *view.attacks):
            labels = ("correct",) if side == "response" and suite != "direct" else None
            benign = plane.select(("wrapped_benign",), ("correct",) if side == "response" else None)
            attacked = plane.select((suite,), labels)
            area = estimate_area(values[attacked, slot], values[benign, slot], view.confidence)
            row = {
                "backbone": backbone,
                "side": side,
                "axis": axis,
                "suite": suite,
                "slot": slot,
                "seed": seed,
            }
            names = ("area", "low", "high", "positives", "negatives")
            rows.append(row | (dict(zip(names, area, strict=True)) if area else {}))
    return rows


def build_separability(view: Results) -> Table:
    """Area under the curve of each attack against wrapped benign prompts on the untreated backbones."""
    rows = [row for backbone in view.backbones for row in _measure_areas(view, backbone)]
    counts = sorted({(r["positives"], r["negatives"]) for r in rows if "positives" in r})
    sizes = (
        f"{counts[0][0]} to {counts[-1][0]} against {counts[0][1]} to {counts[-1][1]}" if counts else MISSING
    )
    note = (
        f"By backbone, side and axis. {100 * view.confidence:g}\\% DeLong intervals, logit scale; first seed; "
        f"prompts per cell: {sizes}. "
        f"{MISSING}: fewer than two points in a class."
    )
    label = Column(
        "",
        lambda row: escape_latex(
            f"{name_backbone(row['backbone'])}, {row['side']}, {row['axis']}, slot {row['slot']}"
        ),
    )
    cells = [
        Column(escape_latex(SHORT[suite]), show_rate("area"), "c", where={"suite": suite})
        for suite in ("direct", *view.attacks)
    ]
    return Table(
        "separability",
        make_frame(AREA_COLUMNS, rows),
        [label, *cells],
        lines=("backbone", "side", "axis", "slot"),
        notes=[note],
        absent=span_row("no projections in this profile", len(cells) + 1),
    )
