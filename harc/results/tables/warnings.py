"""Sentences under tables of rates, where too many answers are cut, empty, blocked or not judged."""

from collections.abc import Mapping, Sequence

from harc.results.latex import escape_latex, format_rate
from harc.results.outcomes import SHARES
from harc.results.rates import Rate
from harc.results.vocabulary import name_backbone, name_method, name_suite
from harc.suites.records import STATES, WARN_ABOVE, exceeds

SHOWN = 6  # cells that a sentence names; the CSV holds them all


def warn_of_states(
    rates: Mapping[tuple[str, str, str], Rate | None],
    backbones: Sequence[str],
    methods: Sequence[str],
    metrics: Sequence[str],
    states: Sequence[str] = SHARES[1:],
) -> list[str]:
    """One sentence for each state that a rate of the table has too much of; the largest shares are named."""
    notes = []
    for state in states:
        place = SHARES.index(state)
        found = [
            (rate.shares[place], backbone, method, metric)
            for backbone in backbones
            for method in methods
            for metric in metrics
            if (rate := rates.get((backbone, method, metric))) and exceeds(state, rate.shares[place], 1)
        ]
        if not found:
            continue
        found.sort(key=lambda item: -item[0])
        named = ", ".join(
            f"{format_rate(share)} " + escape_latex(_name(metric, method, backbone))
            for share, backbone, method, metric in found[:SHOWN]
        )
        more = f" and {len(found) - SHOWN} more (CSV)" if len(found) > SHOWN else ""
        notes.append(f"More than {100 * WARN_ABOVE:g}\\% of the answers are {STATES[state]}: {named}{more}.")
    return notes


def _name(metric: str, method: str, backbone: str) -> str:
    return f"{name_suite(metric)} of {name_method(method)} on {name_backbone(backbone)}"
