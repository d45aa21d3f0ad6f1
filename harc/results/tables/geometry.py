"""Cosines of the directions in the trained slots per method, and separability in the plane."""

from collections.abc import Sequence

import numpy as np

from harc.results.claim_metrics import ResultsView, measure_coupling_gain
from harc.results.geometry import SIDES, mean_profile
from harc.results.latex import (MISSING, escape_latex, format_interval, format_rate, format_signed)
from harc.results.plane import Area, estimate_area
from harc.results.tables.claims import evidence_bounds
from harc.results.tables.layout import Table, stack_cell, title_row
from harc.results.vocabulary import (ATTACKS, include_base, name_backbone, name_method, name_suite)
from harc.core.artifacts import BASE

COLUMNS = (
    "backbone",
    "method",
    "side",
    "seeds",
    "slots",
    "selected_after",
    "cosine",
    "gain",
    "gain_low",
    "gain_high",
    "peak_slot",
    "peak_cosine",
    "last_cosine",
)
AREA_COLUMNS = (
    "backbone",
    "side",
    "axis",
    "suite",
    "slot",
    "area",
    "low",
    "high",
    "positives",
    "negatives",
    "seed",
)


def _row(view: ResultsView, backbone: str, method: str, side: str) -> dict:
    row: dict[str, object] = {"backbone": backbone, "method": method, "side": side}
    base, own = view.geometries(backbone, BASE), view.geometries(backbone, method)
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


def _cells(row: dict) -> str:
    if not row["seeds"]:
        return f"{MISSING} & {MISSING}"
    if row["method"] == BASE:
        return f"{format_rate(row['cosine'])} & --"
    bounds = row["gain_low"], row["gain_high"]
    interval = "no interval" if None in bounds else format_interval(*bounds).replace(", ", ",")
    return f"{format_rate(row['cosine'])} & {format_signed(row['gain'])} {{\\scriptsize {interval}}}"


def build_table(view: ResultsView, methods: Sequence[str]) -> Table:
    """Mean cosine over the slots that the layer score selected on the base, and the gain over the base."""
    methods = include_base(list(methods))
    rows = [_row(view, b, m, side) for b in view.backbones for m in methods for side in SIDES]
    by_key = {(row["backbone"], row["method"], row["side"]): row for row in rows}
    body: list[str] = []
    for backbone in view.backbones:
        slots = by_key[backbone, BASE, "prompt"].get("slots", MISSING)
        title = f"{name_backbone(backbone)}, slots {slots}"
        body += ["\\addlinespace"] if body else []
        body.append(title_row(title, 6))
        for method in methods:
            after = by_key[backbone, method, "prompt"].get("selected_after", MISSING)
            cells = " & ".join(_cells(by_key[backbone, method, side]) for side in SIDES)
            body.append(f"{escape_latex(name_method(method))} & {cells} & {escape_latex(after)} \\\\")
    header = [
        " & \\multicolumn{2}{c}{prompt side} & \\multicolumn{2}{c}{response side} & slots picked",
        "\\cmidrule(lr){2-3}\\cmidrule(lr){4-5}",
        " & cosine & gain & cosine & gain & after training",
    ]
    notes = [
        f"Gain: difference from the base on the same slots, {100 * view.confidence:g}\\% interval from the "
        "bootstrap over prompts (one seed, prompt side alone) or over seeds (several; their slots are separated by /)."
    ]
    return Table("geometry", COLUMNS, rows, "@{}llllll@{}", header, body, notes)


def _measure_areas(view: ResultsView, backbone: str) -> list[dict]:
    planes = view.planes(backbone, BASE)
    if not planes:
        return []
    seed = min(planes)
    plane, base = planes[seed], view.geometries(backbone, BASE).get(seed)
    rows = []
    for side, axis in (("prompt", "harm"), ("prompt", "refusal"), ("response", "harm")):
        values = plane.coordinates(side, axis)
        slot = min(base.selected) if base and base.selected else values.shape[1] // 2
        for suite in ("direct", *ATTACKS):
            labels = ("correct",) if side == "response" and suite != "direct" else None
            benign = plane.select(("wrapped_benign",), ("correct",) if side == "response" else None)
            area = estimate_area(
                values[plane.select((suite,), labels), slot], values[benign, slot], view.confidence
            )
            rows.append(_area_row(backbone, side, axis, suite, slot, area, seed))
    return rows


def _area_row(
    backbone: str, side: str, axis: str, suite: str, slot: int, area: Area | None, seed: int
) -> dict:
    names = ("area", "low", "high", "positives", "negatives")
    values = dict(zip(names, area, strict=True)) if area else {}
    return {
        "backbone": backbone,
        "side": side,
        "axis": axis,
        "suite": suite,
        "slot": slot,
        "seed": seed,
    } | values


def build_areas(view: ResultsView) -> Table:
    """Area under the curve of each attack against wrapped benign prompts on the untreated backbones."""
    rows = [row for backbone in view.backbones for row in _measure_areas(view, backbone)]
    suites = ("direct", *ATTACKS)
    body: list[str] = []
    for key in dict.fromkeys((row["backbone"], row["side"], row["axis"], row["slot"]) for row in rows):
        cells = []
        for suite in suites:
            row = next(
                r
                for r in rows
                if (r["backbone"], r["side"], r["axis"], r["slot"], r["suite"]) == (*key, suite)
            )
            interval = format_interval(row.get("low"), row.get("high")).replace(", ", ",")
            cells.append(stack_cell([format_rate(row["area"]), interval]) if "area" in row else MISSING)
        label = f"{name_backbone(key[0])}, {key[1]} side, {key[2]} axis, slot {key[3]}"
        body.append(f"{escape_latex(label)} & " + " & ".join(cells) + " \\\\")
    if not body:
        body.append(
            f"\\multicolumn{{{len(suites) + 1}}}{{@{{}}l@{{}}}}{{no projections in this profile}} \\\\"
        )
    counts = sorted({(r["positives"], r["negatives"]) for r in rows if "positives" in r})
    sizes = (
        f"{counts[0][0]} to {counts[-1][0]} against {counts[0][1]} to {counts[-1][1]}" if counts else MISSING
    )
    notes = [
        f"{100 * view.confidence:g}\\% DeLong intervals, logit scale; first seed; prompts per cell: {sizes}. "
        f"{MISSING}: fewer than two points in a class."
    ]
    header = [" & ".join(["", *(escape_latex(name_suite(suite)) for suite in suites)])]
    return Table("separability", AREA_COLUMNS, rows, "@{}l" + "c" * len(suites) + "@{}", header, body, notes)
