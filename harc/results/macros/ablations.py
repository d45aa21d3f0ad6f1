"""Macros of the ablation: arms, the grid of margin and KL, single faults of the release; and of model families."""

from collections.abc import Sequence

from harc.results.comparisons import describe_change
from harc.results.latex import (
    MISSING,
    escape_latex,
    format_bounds,
    format_p,
    format_rate,
    format_signed,
    join_words,
    phrase_by_family,
    phrase_gain,
)
from harc.results.macros.rows import Row, Rows, find_by_family, pick_families, read_bounded, show_bounded
from harc.results.printer import read_number
from harc.results.tables.arms import TOGETHER
from harc.results.vocabulary import FAMILIES, camel, name_backbone

ARMS = ("prompt_only", "response_only", "fixed_last_k", "random_direction", "permuted_label")
QUANTITIES = {
    "Asr": "mean_asr_difference",
    "Over": "mean_over_refusal_difference",
    "Gain": "gain_prompt",
    "ResponseGain": "gain_response",
}
LEVEL = 0.05


def list_arms(rows: Rows) -> dict[str, str]:
    """`\\ArmAsrPromptOnlyLlama` and `Ci`: difference from the method; `\\ArmAsrPromptOnly`: a phrase over backbones.

    The same for `Over` (over-refusal), and for `Gain` and `ResponseGain` (cosine after minus before training, prompt
    and response side), which are no differences from the method.
    """
    families = pick_families(rows)
    macros: dict[str, str] = {}
    for arm in ARMS:
        for label, column in QUANTITIES.items():
            words = {}
            for family, row in find_by_family(rows, arm=arm):
                values = read_bounded(row, column)
                macros |= show_bounded(f"Arm{label}{camel(arm)}{family}", values, format_signed)
                if family in families:
                    words[family] = _describe(row, column, values)
            macros[f"Arm{label}{camel(arm)}"] = phrase_by_family(words)
    names = {row["arm"] for row in rows} - {"base", "no_coupling", *(row["reference"] for row in rows)}
    return macros | {"ArmCount": str(len(names))}


def _describe(row: Row | None, column: str, values: Sequence[float | None]) -> str:
    """The word for a difference, by its adjusted p; for a gain, which has none, by its interval."""
    if column.startswith("gain"):
        return phrase_gain(*values)
    seeds = int((row or {}).get("seeds") or 0)
    return describe_change(values[0], read_number(row, f"{column}_p_holm"), seeds)


def list_grid(rows: Rows) -> dict[str, str]:
    """Cells, extremes of both rates by family, and how many cells differ from the method's own by Holm's p."""
    families = pick_families(rows)
    own = [row for row in rows if row["arm"] == row["reference"]]
    macros = {
        "GridCells": str(len({(row["margin"], row["kl"]) for row in rows})),
        "GridMargins": _list_values(rows, "margin"),
        "GridKls": _list_values(rows, "kl"),
        "GridOwn": f"margin {format_rate(read_number(own[0], 'margin'))} and weight {own[0]['kl']}"
        if own
        else MISSING,
    }
    for family in FAMILIES:
        cells = [row for row in rows if row["backbone"] == families.get(family)]
        for label, metric in (("Asr", "mean_asr"), ("Over", "mean_over_refusal")):
            found = [value for row in cells if (value := read_number(row, metric)) is not None]
            macros[f"Grid{label}Min{family}"] = format_rate(min(found, default=None))
            macros[f"Grid{label}Max{family}"] = format_rate(max(found, default=None))
            tested = [
                p for row in cells if (p := read_number(row, f"{metric}_difference_p_holm")) is not None
            ]
            differ = sum(p < LEVEL for p in tested)
            macros[f"Grid{label}Differ{family}"] = (
                f"{differ or 'none'} of {len(tested)}" if tested else MISSING
            )
    return macros


def _list_values(rows: Rows, column: str) -> str:
    values = sorted({value for row in rows if (value := read_number(row, column)) is not None})
    return join_words([f"{value:g}" for value in values]) if values else MISSING


def _phrase_faults(rows: Sequence[dict[str, str]], metric: str) -> str:
    """The single faults whose effect Holm's p shows, with the effect on each such backbone."""
    shown = []
    for row in rows:
        p = read_number(row, f"{metric}_p_holm")
        if row["switch"] != TOGETHER and p is not None and p < LEVEL:
            bounds = read_bounded(row, metric)
            where = escape_latex(name_backbone(row["backbone"]))
            name = escape_latex(row["switch"].replace("_", " "))
            shown.append(
                f"{name} on {where} ({format_signed(bounds[0])} {format_bounds(*bounds)}, Holm-adjusted {format_p(p)})"
            )
    return join_words(shown)


def list_faults(rows: Rows) -> dict[str, str]:
    """How many single faults were run, how many cannot act, and which of them have an effect."""
    run = {row["switch"] for row in rows if row["mean_asr"] and row["switch"] != TOGETHER}
    idle = {row["switch"] for row in rows if row["without_effect"]}
    return {
        "FaultsRun": str(len(run)),
        "FaultsIdle": str(len(idle)),
        "FaultsActingAsr": _phrase_faults(rows, "mean_asr") if run else "not run in this profile",
        "FaultsActingScary": _phrase_faults(rows, "scary_safe") if run else "not run in this profile",
    }


def list_model_families(rows: Rows) -> dict[str, str]:
    """Families compared, their agreement, that of seeds of one family, and who does not meet the acceptance."""
    first = rows[0] if rows else None
    short = [row["model"] for row in rows if row["criteria"] != row["criteria_met"]]
    pairs = read_number(first, "seed_pairs")
    within = (
        f"{format_signed(read_number(first, 'seed_correlation'))} over {pairs:g} pairs" if pairs else MISSING
    )
    return {
        "FamilyCount": str(len(rows)),
        "FamilyList": escape_latex(join_words([name_backbone(row["model"]) for row in rows])),
        **show_bounded("FamilyAgreement", read_bounded(first, "agreement"), format_signed),
        "FamilySeedCorrelation": within,
        "FamilyShort": escape_latex(join_words([name_backbone(model) for model in short])),
    }
