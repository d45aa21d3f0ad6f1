"""The direction structure of each model family: where the cosine peaks, how its profile ranks against the others'."""

from collections.abc import Sequence

import numpy as np

from harc.results.evidence import ResultsView
from harc.results.family_agreement import (Agreement, bound_agreement, estimate_agreement, list_seed_correlations, read_family_profiles)
from harc.results.latex import (MISSING, escape_latex, format_interval, format_rate, format_signed)
from harc.results.tables.acceptance import read_criteria
from harc.results.tables.layout import Table
from harc.results.vocabulary import name_backbone
from harc.core.artifacts import BASE

COLUMNS = (
    "model",
    "seeds",
    "examples",
    "peak_slot",
    "peak_cosine",
    "last_cosine",
    "mean_cosine",
    "correlation",
    "criteria",
    "criteria_met",
    "agreement",
    "agreement_low",
    "agreement_high",
    "models",
    "seed_correlation",
    "seed_pairs",
)


def _row(view: ResultsView, model: str, profiles: dict[str, np.ndarray], agreement: Agreement | None) -> dict:
    found = view.geometries(model, BASE)
    criteria = read_criteria(view.root, model, view.family_seeds[0]) if view.family_seeds else []
    row: dict = {
        "model": model,
        "seeds": len(found.keys() & set(view.family_seeds)),
        "criteria": len(criteria),
        "criteria_met": sum(bool(criterion["holds"]) for criterion in criteria),
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


def _describe_shortfall(view: ResultsView, model: str) -> str:
    """The criteria that a model does not meet, with their values; a dash where it meets all."""
    criteria = read_criteria(view.root, model, view.family_seeds[0])
    if not criteria:
        return MISSING
    failed = [
        f"{c['criterion'].replace('_', ' ')} {format_rate(c['value'])}" for c in criteria if not c["holds"]
    ]
    return escape_latex("; ".join(failed)) or "--"


def _cells(view: ResultsView, row: dict) -> list[str]:
    peak = f"{format_rate(row.get('peak_cosine'))} ({row['peak_slot']})" if "peak_slot" in row else MISSING
    return [
        escape_latex(name_backbone(row["model"])),
        peak,
        format_rate(row.get("last_cosine")),
        format_rate(row.get("mean_cosine")),
        format_signed(row.get("correlation")),
        _describe_shortfall(view, row["model"]),
    ]


def _notes(view: ResultsView, rows: Sequence[dict], shared: dict) -> list[str]:
    if not rows:
        return ["This profile compares no families."]
    sizes = sorted({row["examples"] for row in rows if row.get("examples")})
    shown = f"{sizes[0]}" if sizes else MISSING
    notes = [
        f"Prompt side, seed {', '.join(map(str, view.family_seeds))}, {shown} prompts per class. Correlation: mean of "
        "Spearman's with each other family, by relative depth."
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


def build_table(view: ResultsView) -> Table:
    """The table; a model without directions shows n/a."""
    profiles = read_family_profiles(view)
    agreement = estimate_agreement(profiles)
    shared: dict = {}
    if agreement is not None:
        low, high = bound_agreement(agreement, view.confidence)
        shared = {
            "agreement": agreement.estimate,
            "agreement_low": low,
            "agreement_high": high,
            "models": len(profiles),
        }
    if within := list_seed_correlations(view):
        shared |= {"seed_correlation": float(np.mean(within)), "seed_pairs": len(within)}
    rows = [_row(view, model, profiles, agreement) | shared for model in view.families]
    body = [" & ".join(_cells(view, row)) + " \\\\" for row in rows]
    if not body:
        body = ["\\multicolumn{6}{@{}l@{}}{no families in this profile} \\\\"]
    header = [" & ".join(["model", "peak (slot)", "last", "mean", "correlation", "criteria not met"])]
    align = "@{}lcccc>{\\raggedright\\arraybackslash}p{0.25\\textwidth}@{}"
    return Table("families", COLUMNS, rows, align, header, body, _notes(view, rows, shared))
