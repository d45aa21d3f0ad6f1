"""Refusal of the subsets of over-refusal prompts, and of their unsafe contrasts, per method."""

from collections.abc import Iterable
from pathlib import Path

from harc.results.judged import Unit, list_judges, read_judged
from harc.results.latex import (MISSING, escape_latex, format_interval, format_rate)
from harc.results.outcomes import SHARES, make_outcome, share_states
from harc.results.tables.layout import Table, title_row
from harc.results.vocabulary import name_backbone, name_method, sort_methods
from harc.stats.statistics import pooled_rate
from harc.judges.base import UNJUDGED, counts_as, is_full_refusal
from harc.judges.registry import GRADED_REFUSALS, LABELS_OF

SUBSETS = {
    "xstest_safe": "XSTest safe",
    "xstest_release": "of the release",
    "xstest_unseen": "unseen",
    "xstest_unsafe": "XSTest unsafe",
    "coconot_contrast": "CoCoNot",
    "coconot_safety": "its safety part",
}
COLUMNS = ("backbone", "method", "subset", "judge", "refusal", "n", "seeds", "rate", "low", "high", *SHARES)


def _measure(
    by_seed: list[list[dict]], subset: str, judge: str, full: bool, confidence: float
) -> dict | None:
    """Pooled rate of any or of full refusals in one subset by one judge; None without judged answers."""
    hits, totals, every = [], [], []
    for rows in by_seed:
        own = [row for row in rows if subset in (row.get("subsets") or "").split()]
        every += [make_outcome({**row, "label": row[f"label_{judge}"]}) for row in own]
        judged = [row for row in own if row[f"label_{judge}"] != UNJUDGED]
        if judged:
            totals.append(len(judged))
            refused = [
                is_full_refusal(row[f"label_{judge}"], row.get(f"own_{judge}"))
                if full
                else counts_as(row[f"label_{judge}"], "refused")
                for row in judged
            ]
            hits.append(sum(refused))
    if not totals:
        return None
    rate, low, high = pooled_rate(hits, totals, confidence)
    shares = dict(zip(SHARES, share_states(every), strict=True))
    return {"n": totals[0], "seeds": len(totals), "rate": rate, "low": low, "high": high, **shares}


def measure_subsets(results_root: Path, units: Iterable[Unit], confidence: float) -> list[dict]:
    """One row per backbone, method, subset, judge and reading of refusal (any, full)."""
    by_model: dict[tuple[str, str], list[list[dict]]] = {}
    for (backbone, method, _), rows in read_judged(results_root, units):
        by_model.setdefault((backbone, method), []).append(rows)
    table = []
    for (backbone, method), by_seed in by_model.items():
        for judge in list_judges(by_seed[0]):
            if "refused" not in LABELS_OF.get(judge, ()):
                continue
            for reading in ("any", *(["full"] if judge in GRADED_REFUSALS else [])):
                for subset in SUBSETS:
                    found = _measure(by_seed, subset, judge, reading == "full", confidence)
                    if found:
                        names = {"backbone": backbone, "method": method, "subset": subset, "judge": judge}
                        table.append({**names, "refusal": reading, **found})
    return table


def _cell(row: dict | None) -> str:
    if row is None:
        return MISSING
    interval = format_interval(row["low"], row["high"]).replace(", ", ",")
    return f"{format_rate(row['rate'])} {{\\scriptsize {interval}}}"


def build_table(results_root: Path, units: Iterable[Unit], confidence: float = 0.95) -> Table:
    """The table by the judge that decides; the CSV holds every judge. Without subsets it says so."""
    rows = measure_subsets(results_root, units, confidence)
    body: list[str] = []
    for backbone in dict.fromkeys(row["backbone"] for row in rows):
        own = [row for row in rows if row["backbone"] == backbone]
        body += ["\\addlinespace"] if body else []
        readings = dict.fromkeys((row["judge"], row["refusal"]) for row in own)
        for judge, reading in [pair for pair in readings if pair[0] == own[0]["judge"]]:
            title = f"{name_backbone(backbone)}, {reading} refusal by {judge.replace('_', ' ')}"
            body.append(title_row(title, len(SUBSETS) + 1))
            for method in sort_methods(list(dict.fromkeys(row["method"] for row in own))):
                key = (method, judge, reading)
                found = {r["subset"]: r for r in own if (r["method"], r["judge"], r["refusal"]) == key}
                cells = [_cell(found.get(subset)) for subset in SUBSETS]
                body.append(" & ".join([escape_latex(name_method(method)), *cells]) + " \\\\")
    sizes = {row["subset"]: row["n"] for row in rows}
    counts = ", ".join(f"{SUBSETS[name]} {count}" for name, count in sizes.items())
    notes = [
        f"Share refused with {100 * confidence:g}\\% intervals (Wilson; several seeds: random effects). "
        f"Prompts: {counts}. "
        "Of the release: prompts that HARC and Circuit Breakers train on; unseen: the others. A model that refuses "
        "nothing is perfect but for the unsafe contrasts.",
    ]
    if not body:
        body = ["\\multicolumn{7}{@{}l}{This profile asks no prompts of XSTest or CoCoNot.} \\\\"]
        notes = []
    header = [" & ".join(["", *SUBSETS.values()])]
    return Table("subsets", COLUMNS, rows, "@{}l" + "l" * len(SUBSETS) + "@{}", header, body, notes)
