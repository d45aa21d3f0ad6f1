"""Macros of what the study decides and how far it can be trusted: claims, published values, judges, contamination."""

from collections.abc import Iterable

from harc.results.claims import VERDICTS
from harc.results.latex import (
    MISSING,
    escape_latex,
    format_number,
    format_rate,
    format_signed,
    is_missing,
    join_words,
    phrase_by_family,
    phrase_gain,
)
from harc.results.macros.rows import Rows, find_by_family, find_row, pick_families, read_bounded, show_bounded
from harc.results.printer import read_number
from harc.results.tables.contamination import OURS, PUBLISHED
from harc.results.tables.published import COMPARED
from harc.results.vocabulary import FAMILIES, METHOD_ORDER, POOLED, camel

VERDICT_MACROS = ("Supported", "Failed", "Equivalent", "Open", "Untestable", "Untested")
TRAINED = "XSTest, prompts that GPT-4 complied with"
RELEASE = "XSTest, the 230 of the release"
POOLED_REMARK = (
    "Each test is also given pooled over backbones; where backbones are not drawn anew at every seed, that stands "
    "beside the verdict and does not enter it."
)


def _find_range(values: Iterable[float | None]) -> tuple[str, str]:
    """Smallest and largest of the values that there are."""
    found = [value for value in values if value is not None]
    return format_number(min(found, default=None)), format_number(max(found, default=None))


def list_judges(rows: Rows) -> dict[str, str]:
    """`\\JudgeGap`: the largest distance of a rule's rate from people's; its agreement and kappa as ranges."""
    rules = [row for row in rows if row["prompts"] == "safe" and not row["judge_name"].startswith("gpt4")]
    gaps = [abs(float(row["judge"]) - float(row["human_any"])) for row in rules]
    agreement = _find_range(read_number(row, "agreement_any") for row in rules)
    kappa = _find_range(read_number(row, "kappa_any") for row in rules)
    worst = rules[max(range(len(rules)), key=gaps.__getitem__)] if rules else None
    return {
        "JudgeGap": format_rate(max(gaps, default=None)),
        "JudgeGapOf": escape_latex(worst["judge_name"].replace("_", " ")) if worst else MISSING,
        "JudgeGapOn": escape_latex(worst["completion_model"]) if worst else MISSING,
        **dict(zip(("JudgeAgreementMin", "JudgeAgreementMax"), agreement, strict=True)),
        **dict(zip(("JudgeKappaMin", "JudgeKappaMax"), kappa, strict=True)),
    }


def list_agreement(rows: Rows) -> dict[str, str]:
    """`\\AgreementKappaMin` and `Max`: kappa of the run's judges on refusals, over backbones and kinds of prompt."""
    chosen = [row for row in rows if row["labels"] == "refused or not"]
    kappa = _find_range(read_number(row, "kappa") for row in chosen)
    return dict(zip(("AgreementKappaMin", "AgreementKappaMax"), kappa, strict=True))


def list_contamination(rows: Rows) -> dict[str, str]:
    """What the guard compared and found here, and the release's overlap with the prompts that its score fits."""
    ours = [row for row in rows if row["of"] == OURS]
    n, exact, near = (sum(int(row[name]) for row in ours) for name in ("n", "exact", "near"))
    remark = f"Here {n} comparisons of a prompt with a split found {exact} exact and {near} near-duplicates"
    release = find_row(rows, of=PUBLISHED, training_set=TRAINED, evaluation_set=RELEASE)
    return {
        "GuardRemark": remark if ours else "The results shown here hold no table of that check",
        "ReleaseSeen": release["exact"] if release else MISSING,
        "ReleaseAsked": release["n"] if release else MISSING,
    }


def list_claims(rows: Rows) -> dict[str, str]:
    """Counts per verdict, the ledger's hash, and the claims that failed or stayed open, as lists of items."""
    overall = {row["claim"]: row for row in rows}
    pooled = {row["claim"]: f"; pooled: {row['verdict']}" for row in rows if row["backbone"] == POOLED}
    macros = {
        "ClaimsTotal": str(len(overall)),
        "ClaimsHash": (rows[0]["ledger_sha256"][:12] if rows else MISSING),
    }
    macros["PooledRemark"] = POOLED_REMARK if pooled else ""
    for verdict, name in zip(VERDICTS, VERDICT_MACROS, strict=True):
        chosen = [row for row in overall.values() if row["overall"] == verdict]
        macros[f"Claims{name}"] = str(len(chosen))
        items = "".join(
            f"\\item {escape_latex(row['words'])} ({row['origin']}{pooled.get(row['claim'], '')})\n"
            for row in chosen
        )
        macros[f"Claims{name}Items"] = items or "\\item none\n"
    reasons = sorted({row["reason"] for row in rows if row["reason"]})
    macros["ClaimsReasons"] = escape_latex(join_words(reasons))
    for row in overall.values():
        macros[f"Verdict{camel(row['claim'])}"] = escape_latex(row["overall"])
    return macros


def list_published(rows: Rows) -> dict[str, str]:
    """`\\PublishedCells`, `\\PublishedCompared`, `\\PublishedInside`, and a sentence on the comparison."""
    cells = {(row["model_id"], row["method"], row["metric"]) for row in rows}
    compared = [row for row in rows if row["status"] == COMPARED]
    inside = sum(row["inside"] == "True" for row in compared)
    remark = (
        f"Our interval holds the published value in {inside} of the {len(compared)} comparisons that this run makes."
        if compared
        else "This run has none of the published models, so it makes no such comparison: every row says so."
    )
    return {
        "PublishedCells": str(len(cells)),
        "PublishedCompared": str(len(compared)),
        "PublishedInside": str(inside),
        "PublishedRemark": remark,
    }


def list_geometry(rows: Rows) -> dict[str, str]:
    """`\\CosPromptHarcLlama`, `\\GainPromptHarcLlama` and `Ci`, the base's peak, phrases about the gain."""
    families = pick_families(rows)
    macros: dict[str, str] = {}
    for side in ("prompt", "response"):
        for method in METHOD_ORDER:
            words = {}
            for family, row in find_by_family(rows, method=method, side=side):
                name = f"{camel(side)}{camel(method)}{family}"
                macros[f"Cos{name}"] = format_rate(read_number(row, "cosine"))
                gain = read_bounded(row, "gain")
                macros |= show_bounded(f"Gain{name}", gain, format_signed)
                if method == "base":
                    macros[f"Peak{name}"] = format_rate(read_number(row, "peak_cosine"))
                    macros[f"PeakSlot{name}"] = (row or {}).get("peak_slot") or MISSING
                    macros[f"Last{name}"] = format_rate(read_number(row, "last_cosine"))
                    macros[f"Slots{name}"] = escape_latex((row or {}).get("slots") or MISSING)
                elif family in families:
                    words[family] = phrase_gain(*gain)
            if method != "base":
                macros[f"Gain{camel(side)}{camel(method)}"] = phrase_by_family(words)
    return macros


def list_areas(rows: Rows) -> dict[str, str]:
    """Smallest, largest and direct area: `\\AreaHarmPromptMinLlama` and so on."""
    families = pick_families(rows)
    macros: dict[str, str] = {}
    for family in FAMILIES:
        for side, axis in (("prompt", "harm"), ("prompt", "refusal"), ("response", "harm")):
            key = {"backbone": families.get(family), "side": side, "axis": axis}
            own = [row for row in rows if all(row.get(k) == v for k, v in key.items())]
            areas = [read_number(row, "area") for row in own if row["suite"] != "direct"]
            values = [area for area in areas if area is not None and not is_missing(area)]
            name = f"Area{camel(axis)}{camel(side)}"
            macros[f"{name}Min{family}"] = format_rate(min(values, default=None))
            macros[f"{name}Max{family}"] = format_rate(max(values, default=None))
            macros[f"{name}Direct{family}"] = format_rate(read_number(find_row(own, suite="direct"), "area"))
    return macros


def list_training(rows: Rows) -> dict[str, str]:
    """`\\CoupleFirstHarcLlama`, `\\CoupleLastHarcLlama`: the prompt-side coupling loss at both ends."""
    return {
        f"Couple{camel(end)}{camel(method)}{family}": format_rate(read_number(row, f"couple_{end}"), 3)
        for method in METHOD_ORDER
        for family, row in find_by_family(rows, method=method)
        for end in ("first", "last")
    }
