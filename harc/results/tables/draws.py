"""What single draws gave, a backbone with its seed each, and where one more is expected."""

from collections.abc import Sequence

from harc.results.latex import MISSING, escape_latex, format_rate
from harc.results.outcomes import share_safe_answered
from harc.results.printer import BY_BACKBONE, Column, Record, Table, format_tight, make_frame
from harc.results.rates import BySeed, estimate_rate
from harc.results.tables.rates import SAFE_ANSWERED
from harc.results.view import Results
from harc.results.vocabulary import name_method, note_attacks
from harc.stats.intervals import Interval, predict_next

METRICS = ("mean_asr", "mean_over_refusal", SAFE_ANSWERED, "benign")
DIFFERENCES = ("sft", "no_coupling", "permuted_label", "base")
"""What HARC's draws are compared with, each on its own backbone and seed."""
COLUMNS = (
    "backbone",
    "method",
    "reference",
    "metric",
    "draws",
    "mean",
    "low",
    "high",
    "held_out",
    "inside",
    "values",
)
FEWEST = 3  # draws that one more is predicted from


def _measure(view: Results, by_seed: BySeed, metric: str) -> dict[int, float]:
    """A rate of each draw by its seed; draws that lack a suite are left out."""
    found: dict[int, float] = {}
    for seed, outcomes in by_seed.items():
        if metric == SAFE_ANSWERED:
            share = share_safe_answered(outcomes)
            found |= {} if share is None else {seed: share}
        elif rate := estimate_rate({seed: outcomes}, view.list_suites(metric)):
            found[seed] = rate.estimate
    return found


def _predict(
    values: Sequence[float], confidence: float, *, difference: bool
) -> dict[str, float | int | None]:
    """Mean, prediction interval, and how many of the draws lie where the others say that they should."""
    low = -1.0 if difference else 0.0

    def find(others: Sequence[float]) -> Interval | None:
        return predict_next(others, confidence, low, 1.0) if len(others) >= FEWEST else None

    whole = find(values)
    parted = [(value, find([*values[:place], *values[place + 1 :]])) for place, value in enumerate(values)]
    told = [(value, expected) for value, expected in parted if expected is not None]
    return {
        "mean": sum(values) / len(values),
        "low": None if whole is None else whole.low,
        "high": None if whole is None else whole.high,
        "held_out": len(told),
        "inside": sum(expected.low <= value <= expected.high for value, expected in told),
    }


def _list_rows(view: Results) -> list[dict]:
    rows = []
    for backbone in view.backbones:
        shown = dict.fromkeys((*view.every_method, *DIFFERENCES))  # an arm is a reference too
        outcomes = {method: view.outcomes(backbone, method, paired=True) for method in shown}
        for metric in METRICS:
            found = {method: _measure(view, own, metric) for method, own in outcomes.items()}
            pairs: list[tuple[str, str, dict[int, float]]] = [(name, "", own) for name, own in found.items()]
            for reference in DIFFERENCES:
                first, second = found.get(reference, {}), found.get("harc", {})
                pairs.append(
                    (
                        "harc",
                        reference,
                        {seed: second[seed] - first[seed] for seed in second if seed in first},
                    )
                )
            for method, reference, values in pairs:
                if values:
                    held = list(values.values())
                    row = _predict(held, view.confidence, difference=bool(reference))
                    listed = " ".join(f"{seed}={value:.6g}" for seed, value in values.items())
                    names = {"backbone": backbone, "method": method, "reference": reference, "metric": metric}
                    rows.append({**names, "draws": len(held), **row, "values": listed})
    return rows


def _name_pair(row: Record) -> str:
    name = name_method(row["method"])
    return f"{name} minus {name_method(row['reference'])}" if row["reference"] else name


def _show_expected(row: Record) -> str:
    return MISSING if row["low"] is None else format_tight(row["low"], row["high"])


def build_draws(view: Results) -> Table:
    """Rates of single draws, and the interval that one more draw should fall into, by backbone, method and metric."""
    rows = _list_rows(view)
    told, inside = sum(row["held_out"] for row in rows), sum(row["inside"] for row in rows)
    shown = [row for row in rows if row["metric"] == METRICS[0]]
    notes = [
        f"Mean attack success. Next: the {100 * view.confidence:g}\\% interval that one more draw (a backbone with its "
        "training) should fall into; none below "
        f"{FEWEST} draws. Values of each draw and the other metrics: CSV.",
        *(
            [f"Of {told} values, {inside} lie where the other draws of their row say that they should."]
            if told
            else []
        ),
        *note_attacks(view.mean_attacks),
    ]
    columns = [
        Column("", lambda row: escape_latex(_name_pair(row))),
        Column("draws", lambda row: str(row["draws"]), "r"),
        Column("mean", lambda row: format_rate(row["mean"]), "r"),
        Column("next", _show_expected, "c"),
    ]
    return Table("draws", make_frame(COLUMNS, rows), columns, **BY_BACKBONE, notes=notes, printed=shown)
