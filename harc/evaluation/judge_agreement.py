"""Agreement between the judges of one run: Cohen's kappa over the answers that both of a pair judged."""

from collections.abc import Sequence
from itertools import combinations

from harc.judges.base import BLOCKED, UNJUDGED
from harc.judges.registry import LABELS_OF
from harc.stats.agreement import cohens_kappa

KINDS = {"kappa": None, "kappa_refused": "refused", "kappa_correct": "correct"}
"""What is compared: all labels, or whether an answer got the one named."""


def list_comparisons(judges: Sequence[str]) -> list[tuple[str, str, str]]:
    """(kind, judge, judge) for every pair and every kind that both can tell.

    All labels are compared only where both judges know the same ones; a yes-or-no judge of harm is compared with the
    others on harm alone.
    """
    found = []
    for first, second in combinations(judges, 2):
        for kind, label in KINDS.items():
            if label is None:
                able = set(LABELS_OF[first]) == set(LABELS_OF[second])
            else:
                able = label in LABELS_OF[first] and label in LABELS_OF[second]
            if able:
                found.append((kind, first, second))
    return found


def pair_labels(outcomes: Sequence[dict], kind: str, first: str, second: str) -> tuple[list, list]:
    """What two judges said of the answers that both judged, for one kind of comparison; blocks are no judge's word."""
    label = KINDS[kind]
    pairs = [(outcome[f"label_{first}"], outcome[f"label_{second}"]) for outcome in outcomes]
    pairs = [pair for pair in pairs if not {UNJUDGED, BLOCKED} & set(pair)]
    if label is not None:
        pairs = [(ours == label, theirs == label) for ours, theirs in pairs]
    return [ours for ours, _ in pairs], [theirs for _, theirs in pairs]


def score_agreement(outcomes: Sequence[dict], judges: Sequence[str]) -> list[dict]:
    """Rows of scores.csv: kappa of every pair of judges, and how often the two agree."""
    rows = []
    for kind, first, second in list_comparisons(judges):
        ours, theirs = pair_labels(outcomes, kind, first, second)
        row = {"suite": "agreement", "metric": f"{kind}_{first}_{second}", "unit": "answer", "n": len(ours)}
        if ours:
            agreed = sum(a == b for a, b in zip(ours, theirs, strict=True))
            row |= {"successes": agreed, "rate": cohens_kappa(ours, theirs)}
        rows.append({**row, "interval": "none"})
    return rows
