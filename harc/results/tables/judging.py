"""Judges against people and against each other, and refusal of the subsets of over-refusal prompts."""

from collections.abc import Sequence
from itertools import product

from harc.evaluation.calibrate_over_refusal import COLUMNS as CALIBRATED
from harc.evaluation.calibrate_over_refusal import KAPPAS
from harc.evaluation.judge_agreement import KINDS, list_comparisons, pair_labels
from harc.judges.base import UNJUDGED, counts_as, is_full_refusal
from harc.judges.registry import GRADED_REFUSALS, LABELS_OF
from harc.results.latex import MISSING, escape_latex, format_number, format_rate
from harc.results.outcomes import SHARES, list_judges, make_outcomes, read_judged, share_states
from harc.results.printer import (
    BY_BACKBONE,
    Column,
    Record,
    Table,
    make_frame,
    plain_words,
    read_number,
    read_table,
    show_beside,
    show_name,
)
from harc.results.view import Results
from harc.results.vocabulary import (
    ATTACKS,
    CONTRASTS,
    CONTROLS,
    DIRECT,
    HELPFULNESS,
    OVER_REFUSAL,
    name_backbone,
    name_method,
    sort_methods,
)
from harc.stats.agreement import kappa_interval
from harc.stats.rates import pooled_rate
from harc.suites.registry import EXTRA_ATTACK_SUITES

TEXTS = (
    "completion_model", "prompts", "judge_name", "judge_version", "developed_on", "source", "revision", "sha256",
)  # fmt: skip
CALIBRATION = "over_refusal.csv"
CALIBRATION_HEADS = {
    "judge": "refused", "agreement_any": "agreement (any)", "kappa_any": "$\\kappa$ (any)",
    "agreement_full": "agreement (full)", "kappa_full": "$\\kappa$ (full)",
}  # fmt: skip
AGREEMENT = (
    "backbone", "prompts", "first", "second", "labels", "n", "goals", "unjudged", "agreement", "kappa", "kappa_low",
    "kappa_high",
)  # fmt: skip
GROUPS = {
    "attacks and direct requests": (*ATTACKS, *EXTRA_ATTACK_SUITES, *DIRECT, *CONTRASTS),
    "over-refusal": OVER_REFUSAL,
    "benign and helpfulness": (*CONTROLS, *HELPFULNESS),
}
LABELS = {"kappa": "all labels", "kappa_refused": "refused or not", "kappa_correct": "correct or not"}
RESAMPLES = 1000
SUBSETS = {
    "xstest_safe": "XSTest safe",
    "xstest_release": "of the release",
    "xstest_unseen": "unseen",
    "xstest_unsafe": "XSTest unsafe",
    "coconot_contrast": "CoCoNot",
    "coconot_safety": "its safety part",
}
SUBSET_COLUMNS = (
    "backbone", "method", "subset", "judge", "refusal", "n", "seeds", "rate", "low", "high", *SHARES
)  # fmt: skip


def _list_units(view: Results) -> list[tuple[str, str, int]]:
    return list(product(view.backbones, view.every_method, view.seeds))


# Judges against people: the committed calibration on XSTest's labelled completions


def _describe_people(section: list[Record]) -> str:
    first = section[0]
    people = [f"{kind} {format_rate(first[f'human_{kind}'])}" for kind in ("any", "full")]
    return f"Answers of {first['completion_model']} (n = {int(first['n'])}): people see {', '.join(people)}"


def _describe_development(rows: Sequence[Record]) -> list[str]:
    """Which judges were written with some of these answers, and which answers are held out for them."""
    notes = []
    for judge in dict.fromkeys(row["judge_name"] for row in rows if row["developed_on"] == "yes"):
        own = [row for row in rows if row["judge_name"] == judge]
        used = dict.fromkeys(row["completion_model"] for row in own if row["developed_on"] == "yes")
        held = dict.fromkeys(row["completion_model"] for row in own if row["completion_model"] not in used)
        notes.append(
            f"{escape_latex(plain_words(judge))}: developed on answers of {escape_latex(' and '.join(used))}; "
            f"held out: {escape_latex(', '.join(held) or 'none')}."
        )
    return notes


def _describe_calibration(rows: Sequence[Record], safe: Sequence[Record]) -> list[str]:
    notes = [
        "Share of safe prompts that count as refused, with 95\\% Wilson intervals; agreement with people and Cohen's "
        "$\\kappa$ (bootstrap) where partial refusals count as refusals (any) and where they do not (full). "
        "gpt4: labels published beside the human ones."
    ]
    if any(row[name] is None for row in safe for name in KAPPAS):
        notes.append(f"{MISSING}: undefined, since one side knows a single label.")
    notes += _describe_development(rows)
    # Of the unsafe half nearly all is refused, and kappa says little.
    found = [row["agreement_any"] for row in rows if row["prompts"] == "unsafe"]
    if known := [value for value in found if value is not None]:
        low, high = format_rate(min(known)), format_rate(max(known))
        notes.append(
            f"On the unsafe contrasts agreement (any) runs from {low} to {high} over models and judges (CSV)."
        )
    return notes


def build_judges(view: Results) -> Table:
    """The safe half of XSTest by completion model and judge; the CSV holds the unsafe half too."""
    rows = [
        {name: row[name] if name in TEXTS else read_number(row, name) for name in CALIBRATED}
        for row in read_table(view.calibration / CALIBRATION)
    ]
    safe = [row for row in rows if row["prompts"] == "safe"]
    columns = [Column("judge", show_name("judge_name", plain_words))]
    columns += [
        Column(head, show_beside(name, value=format_number)) for name, head in CALIBRATION_HEADS.items()
    ]
    return Table(
        "judges",
        make_frame(CALIBRATED, rows),
        columns,
        sections=("completion_model",),
        title=_describe_people,
        notes=_describe_calibration(rows, safe) if safe else [],
        absent="\\multicolumn{6}{@{}l}{no calibration is at hand}",
        printed=safe,
    )


# Judges against each other in the profile's own run


def _compare(rows: Sequence[dict], kind: str, first: str, second: str, confidence: float) -> dict:
    """Agreement and kappa of one pair on one group; all answers about one goal are drawn together."""
    both = [row for row in rows if "unjudged" not in (row[f"label_{first}"], row[f"label_{second}"])]
    found: dict = {"n": len(both), "unjudged": len(rows) - len(both)}
    if not both:
        return found
    ours, theirs = pair_labels(both, kind, first, second)
    goals = [(row["suite"], row["goal"]) if not row["goal"] else row["goal"] for row in both]
    kappa = kappa_interval(ours, theirs, goals, resamples=RESAMPLES, seed=0, confidence=confidence)
    agreed = sum(a == b for a, b in zip(ours, theirs, strict=True)) / len(both)
    bounds = {"kappa": kappa.estimate, "kappa_low": kappa.low, "kappa_high": kappa.high}
    return {**found, "goals": len(set(goals)), "agreement": agreed, **bounds}


def measure_agreement(view: Results) -> list[dict]:
    """One row per backbone, group of suites, pair of judges and kind of label; methods and seeds are pooled."""
    by_backbone: dict[str, list[dict]] = {}
    for (backbone, _, _), rows in read_judged(view.root, _list_units(view)):
        by_backbone.setdefault(backbone, []).extend(rows)
    table = []
    for backbone, rows in by_backbone.items():
        comparisons = list_comparisons(list_judges(rows))
        for group, suites in GROUPS.items():
            chosen = [row for row in rows if row["suite"] in suites]
            for kind, first, second in comparisons if chosen else ():
                names = {"backbone": backbone, "prompts": group, "first": first, "second": second}
                found = _compare(chosen, kind, first, second, view.confidence)
                table.append(names | {"labels": LABELS[kind]} | found)
    return table


def _show_kappa(row: Record | None) -> str:
    undefined = row is not None and row["kappa"] != row["kappa"]
    return MISSING if undefined else show_beside("kappa", value=format_number)(row)


def _show_agreed(line: Sequence[Record]) -> str:
    """Share of equal labels, of all labels where both judges give them."""
    whole = [row for row in line if row["labels"] == LABELS["kappa"]]
    return format_rate((whole or line)[0]["agreement"])


def build_agreement(view: Results) -> Table:
    """The judges' agreement by kind of prompt; without answers it says so."""
    rows = measure_agreement(view)
    unjudged = sum(row["unjudged"] for row in rows if row["labels"] == LABELS["kappa_refused"])
    notes = [
        f"Cohen's $\\kappa$ with {100 * view.confidence:g}\\% bootstrap intervals over goals, answers of all methods "
        "and seeds together.",
    ]
    notes += [f"{MISSING}: undefined, or not a label that both judges can give."] if rows else []
    notes += (
        [f"{unjudged} answers without a readable verdict of one of the two are left out."] if unjudged else []
    )
    heads = ("$\\kappa$", "$\\kappa$ refused", "$\\kappa$ correct")
    pairs = dict.fromkeys((row["backbone"], row["first"], row["second"]) for row in rows)
    return Table(
        "agreement",
        make_frame(AGREEMENT, rows),
        [
            Column("judges", lambda row: escape_latex(plain_words(f"{row['first']}, {row['second']}"))),
            Column("prompts", lambda row: row["prompts"]),
            Column("answers", lambda row: str(row["n"]), "r"),
            Column("agreement", _show_agreed, whole=True),
            *(
                Column(head, _show_kappa, where={"labels": LABELS[kind]})
                for head, kind in zip(heads, KINDS, strict=True)
            ),
        ],
        lines=("first", "second", "prompts"),
        **BY_BACKBONE,
        notes=notes,
        absent=f"\\multicolumn{{{4 + len(KINDS)}}}{{@{{}}l}}{{no answers of this profile are at hand}}",
        printed=[
            row
            for pair in pairs
            for row in make_frame(AGREEMENT, rows).to_dict("records")
            if (row["backbone"], row["first"], row["second"]) == pair
        ],
    )


# Refusal by subset


def _measure_subset(
    by_seed: list[list[dict]], subset: str, judge: str, full: bool, confidence: float
) -> dict | None:
    """Pooled rate of any or of full refusals in one subset by one judge; None without judged answers."""
    hits, totals, every = [], [], []
    label, own_label = f"label_{judge}", f"own_{judge}"
    for rows in by_seed:
        own = [row for row in rows if subset in (row.get("subsets") or "").split()]
        every += [{**row, "label": row[label]} for row in own]
        judged = [row for row in own if row[label] != UNJUDGED]
        if judged:
            totals.append(len(judged))
            hits.append(
                sum(
                    is_full_refusal(row[label], row.get(own_label))
                    if full
                    else counts_as(row[label], "refused")
                    for row in judged
                )
            )
    if not totals:
        return None
    rate, low, high = pooled_rate(hits, totals, confidence)
    shares = dict(zip(SHARES, share_states(make_outcomes(every)), strict=True))
    return {"n": totals[0], "seeds": len(totals), "rate": rate, "low": low, "high": high, **shares}


def measure_subsets(view: Results) -> list[dict]:
    """One row per backbone, method, subset, judge and reading of refusal (any, full)."""
    by_model: dict[tuple[str, str], list[list[dict]]] = {}
    for (backbone, method, _), rows in read_judged(view.root, _list_units(view)):
        by_model.setdefault((backbone, method), []).append(rows)
    table = []
    for (backbone, method), by_seed in by_model.items():
        for judge in list_judges(by_seed[0]):
            if "refused" not in LABELS_OF.get(judge, ()):
                continue
            for reading in ("any", *(["full"] if judge in GRADED_REFUSALS else [])):
                for subset in SUBSETS:
                    found = _measure_subset(by_seed, subset, judge, reading == "full", view.confidence)
                    if found:
                        names = {"backbone": backbone, "method": method, "subset": subset, "judge": judge}
                        table.append({**names, "refusal": reading, **found})
    return table


def _list_decided(rows: Sequence[Record]) -> list[Record]:
    """Records by the judge that decides, reading by reading; a method that it said nothing of has an empty one."""
    shown: list[Record] = []
    for backbone in dict.fromkeys(row["backbone"] for row in rows):
        own = [row for row in rows if row["backbone"] == backbone]
        decides = own[0]["judge"]
        for reading in dict.fromkeys(row["refusal"] for row in own if row["judge"] == decides):
            names = {"backbone": backbone, "judge": decides, "refusal": reading}
            for method in sort_methods([row["method"] for row in own]):
                key = {**names, "method": method}
                shown += [row for row in own if key.items() <= row.items()] or [key]
    return shown


def _name_reading(section: list[Record]) -> str:
    row = section[0]
    return f"{name_backbone(row['backbone'])}, {row['refusal']} refusal by {plain_words(row['judge'])}"


def build_subsets(view: Results) -> Table:
    """The table by the judge that decides; the CSV holds every judge. Without subsets it says so."""
    rows = measure_subsets(view)
    sizes = {row["subset"]: row["n"] for row in rows}
    counts = ", ".join(f"{SUBSETS[name]} {count}" for name, count in sizes.items())
    note = (
        f"Share refused with {100 * view.confidence:g}\\% intervals (Wilson; several seeds: random effects). "
        f"Prompts: {counts}. "
        "Of the release: prompts that HARC and Circuit Breakers train on; unseen: the others. A model that refuses "
        "nothing is perfect but for the unsafe contrasts."
    )
    columns = [Column("", show_name("method", name_method))]
    columns += [Column(head, show_beside("rate"), where={"subset": name}) for name, head in SUBSETS.items()]
    return Table(
        "subsets",
        make_frame(SUBSET_COLUMNS, rows),
        columns,
        lines=("method",),
        sections=("backbone", "refusal"),
        title=_name_reading,
        notes=[note] if rows else [],
        absent="\\multicolumn{7}{@{}l}{This profile asks no prompts of XSTest or CoCoNot.}",
        printed=_list_decided(rows),
    )
