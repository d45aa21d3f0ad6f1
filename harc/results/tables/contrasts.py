"""The primary contrasts of the ledger: what the study was sized for, a line for each and each backbone."""

from harc.results.claims import UNTESTED
from harc.results.latex import MISSING, escape_latex, format_interval, format_p, format_rate, format_signed
from harc.results.ledger import hash_ledger, load_claims
from harc.results.printer import Column, Record, Table, make_frame
from harc.results.tables.claims import MARKS, NO_BACKBONE, decide_claims, select_deciding
from harc.results.view import Results
from harc.results.vocabulary import name_backbone, name_method, note_attacks

COLUMNS = (
    "backbone", "question", "method", "reference", "claim", "comparison", "margin", "estimate", "low", "high", "n",
    "unit", "seeds", "p", "p_adjusted", "p_equivalence", "p_flip", "detectable", "verdict", "reason",
)  # fmt: skip
MARGIN = " within the margin"  # of a verdict, which the note under the table says for all
QUESTIONS = {
    "attack_success": "attacks answered",
    "over_refusal": "safe requests refused",
    "suppression": "refused, direction out",
    "suppression_half_way": "refused, direction half way",
}


def _show_question(row: Record) -> str:
    return QUESTIONS.get(row["question"], escape_latex(row["question"].replace("_", " ")))


def _show_p(row: Record) -> str:
    """The adjusted p value, without its letter."""
    value = row["p_adjusted"]
    return MISSING if value is None else format_p(value).replace("p = ", "").replace("p < ", "< ")


def _name_section(section: list[Record]) -> str:
    backbone = section[0]["backbone"]
    return "" if backbone == NO_BACKBONE else name_backbone(backbone)


def build_contrasts(view: Results) -> Table:
    """The primary contrasts with their verdicts, by backbone; without questions of which nothing was tested.

    Raises:
        ConfigError: if the ledger is not valid.
    """
    claims = load_claims(view.claims)
    methods = {claim.id: claim.test.arguments for claim in claims if claim.primary}
    questions = {claim.question for claim in claims if claim.primary}
    asked = [
        claim for claim in claims if claim.question in questions
    ]  # what their p values are adjusted with
    rows = [row for row in decide_claims(asked, view, hash_ledger(view.claims)) if row["primary"]]
    tested = {row["question"] for row in rows if row["verdict"] != UNTESTED}
    rows = [row for row in rows if row["question"] in tested]
    rows = select_deciding(rows, view)
    for row in rows:
        row |= {name: methods[row["claim"]][name] for name in ("method", "reference")}
    margins = ", ".join(sorted({format_rate(row["margin"]) for row in rows if row["margin"] is not None}))
    return Table(
        "contrasts",
        make_frame(COLUMNS, rows),
        [
            Column("HARC's", _show_question),
            Column("against", lambda row: escape_latex(name_method(row["reference"]))),
            Column("difference", lambda row: format_signed(row["estimate"]), "r"),
            Column("interval", lambda row: format_interval(row["low"], row["high"]), "c"),
            Column("$p$", _show_p, "r"),
            Column("detectable", lambda row: format_rate(row["detectable"]), "r"),
            Column("verdict", lambda row: MARKS.get(row["verdict"], row["verdict"]).replace(MARGIN, "")),
        ],
        sections=("backbone",),
        title=_name_section,
        notes=[
            "HARC minus the other on the same prompts. Claimed: fewer answered, fewer refused, and, with the "
            "direction of refusal taken out, or its part moved half of the way to that of harmless prompts, more "
            "refused. A question that nothing here can answer has no lines. Intervals: "
            f"{100 * view.confidence:g}\\% over training seeds, goals and templates; $p$ two-sided, "
            "Holm-adjusted within question and backbone. Detectable: see the ledger of claims. "
            f"Margin of equivalence: {margins or MISSING}.",
            *note_attacks(view.mean_attacks, "attacks answered"),
        ],
    )
