"""The table of tuning points: columns, and a point's changes in words; apart, since drawing needs no training code."""

from collections.abc import Mapping, Sequence
from typing import Any

# column prefix: (suite, metric) of scores.csv
RATES = {
    "asr": ("mean_asr", "asr"),
    "over_refusal": ("mean_over_refusal", "over_refusal"),
    "benign": ("benign", "accuracy"),
    "wrapped_benign": ("wrapped_benign", "accuracy"),
}
ENDS = {"": "rate", "_low": "ci_low", "_high": "ci_high", "_n": "n"}
COLUMNS = (
    "backbone",
    "method",
    "seed",
    "point",
    "changes",
    *(f"{name}{end}" for name in RATES for end in ENDS),
    "train_seconds",
)


def describe_changes(changes: Mapping[str, Any]) -> str:
    """A point's changes as one line: `loss.kl=1, margin=0.7`."""
    return ", ".join(
        f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in _walk(changes)
    )


def _walk(changes: Mapping[str, Any], prefix: str = "") -> Sequence[tuple[str, Any]]:
    found = []
    for name, value in changes.items():
        found += (
            _walk(value, f"{prefix}{name}.") if isinstance(value, Mapping) else [(f"{prefix}{name}", value)]
        )
    return found
