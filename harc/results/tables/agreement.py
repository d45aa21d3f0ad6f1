"""Agreement of the judges with each other in a profile's own run, by kind of prompt."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from harc.results.judged import Unit, list_judges, read_judged
from harc.results.latex import (MISSING, escape_latex, format_interval, format_number, format_rate)
from harc.results.tables.layout import Table, title_row
from harc.results.vocabulary import (ATTACKS, CONTRASTS, CONTROLS, DIRECT, HELPFULNESS, OVER_REFUSAL, name_backbone)
from harc.stats.agreement import KINDS, list_comparisons, pair_labels
from harc.stats.bootstrap import kappa_interval
from harc.suites import EXTRA_ATTACK_SUITES

GROUPS = {
    "attacks and direct requests": (*ATTACKS, *EXTRA_ATTACK_SUITES, *DIRECT, *CONTRASTS),
    "over-refusal": OVER_REFUSAL,
    "benign and helpfulness": (*CONTROLS, *HELPFULNESS),
}
COLUMNS = (
    "backbone", "prompts", "first", "second", "labels", "n", "goals", "unjudged", "agreement",
    "kappa", "kappa_low", "kappa_high",
)  # fmt: skip
HEADS = {"kappa": "all labels", "kappa_refused": "refused or not", "kappa_correct": "correct or not"}
RESAMPLES = 1000


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


def measure_agreement(results_root: Path, units: Iterable[Unit], confidence: float) -> list[dict]:
    """One row per backbone, group of suites, pair of judges and kind of label; methods and seeds are pooled."""
    by_backbone: dict[str, list[dict]] = {}
    for (backbone, _, _), rows in read_judged(results_root, units):
        by_backbone.setdefault(backbone, []).extend(rows)
    table = []
    for backbone, rows in by_backbone.items():
        comparisons = list_comparisons(list_judges(rows))
        for group, suites in GROUPS.items():
            chosen = [row for row in rows if row["suite"] in suites]
            for kind, first, second in comparisons if chosen else ():
                labels = {
                    "backbone": backbone,
                    "prompts": group,
                    "first": first,
                    "second": second,
                    "labels": HEADS[kind],
                }
                table.append(labels | _compare(chosen, kind, first, second, confidence))
    return table


def _cell(row: dict | None) -> str:
    if row is None or row.get("kappa") is None or row["kappa"] != row["kappa"]:
        return MISSING
    interval = format_interval(row["kappa_low"], row["kappa_high"]).replace(", ", ",")
    return f"{format_number(row['kappa'])} {{\\scriptsize {interval}}}"


def _line(rows: list[dict], pair: tuple[str, str], group: str) -> str:
    own = {
        row["labels"]: row
        for row in rows
        if (row["first"], row["second"]) == pair and row["prompts"] == group
    }
    shown = next(iter(own.values()))
    judges = escape_latex(f"{pair[0]}, {pair[1]}".replace("_", " "))
    agreement = format_rate((own.get(HEADS["kappa"]) or shown).get("agreement"))
    cells = [_cell(own.get(HEADS[kind])) for kind in KINDS]
    return " & ".join([judges, group, str(shown["n"]), agreement, *cells]) + " \\\\"


def build_table(results_root: Path, units: Iterable[Unit], confidence: float = 0.95) -> Table:
    """The table; without answers it says so."""
    rows = measure_agreement(results_root, units, confidence)
    body: list[str] = []
    for backbone in dict.fromkeys(row["backbone"] for row in rows):
        own = [row for row in rows if row["backbone"] == backbone]
        body += ["\\addlinespace"] if body else []
        body.append(title_row(name_backbone(backbone), 4 + len(KINDS)))
        for pair in dict.fromkeys((row["first"], row["second"]) for row in own):
            for group in dict.fromkeys(row["prompts"] for row in own):
                body.append(_line(own, pair, group))
    unjudged = sum(row["unjudged"] for row in rows if row["labels"] == HEADS["kappa_refused"])
    notes = [
        f"Cohen's $\\kappa$ with {100 * confidence:g}\\% bootstrap intervals over goals, answers of all methods and "
        "seeds together.",
        f"{MISSING}: undefined, or not a label that both judges can give." if body else "",
        f"{unjudged} answers without a readable verdict of one of the two are left out." if unjudged else "",
    ]
    if not body:
        body = [f"\\multicolumn{{{4 + len(KINDS)}}}{{@{{}}l}}{{no answers of this profile are at hand}} \\\\"]
    header = ["judges & prompts & answers & agreement & $\\kappa$ & $\\kappa$ refused & $\\kappa$ correct"]
    return Table("agreement", COLUMNS, rows, "@{}llrllll@{}", header, body, [note for note in notes if note])
