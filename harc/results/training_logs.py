"""Training logs of adapters: reading them, and the terms of the loss that they hold."""

from collections.abc import Sequence
from pathlib import Path

from harc.core.artifacts import BASE, Layout
from harc.core.files import read_jsonl

# log key: label for readers
TERMS = {
    "couple": "coupling, prompt side",
    "couple_resp": "coupling, response side",
    "kl": "divergence on benign rows",
    "ce": "cross-entropy on refusals",
}
LOG = "training_log.jsonl"


def list_log_files(
    results_root: Path, backbones: Sequence[str], methods: Sequence[str], seeds: Sequence[int]
) -> list[Path]:
    """Training logs of the given models; the base has none."""
    layout = Layout(results_root)
    return [
        layout.adapter(backbone, method, seed) / LOG
        for backbone in backbones
        for method in methods
        if method != BASE
        for seed in seeds
    ]


def read_term(rows: Sequence[dict], term: str) -> tuple[list[int], list[float]]:
    """Steps and values of one term; both empty where the method does not compute it.

    A divergence that is 0 at every step was not computed: one that is computed leaves 0 with the first update.
    """
    held = [(int(row["step"]), float(row[term])) for row in rows if row.get(term) is not None]
    if term == "kl" and not any(value for _, value in held):
        return [], []
    return [step for step, _ in held], [value for _, value in held]


def read_logs(results_root: Path, backbone: str, method: str, seeds: Sequence[int]) -> dict[int, list[dict]]:
    """Log rows by seed; seeds without a log are left out.

    Raises:
        DataError: naming file and line, for a damaged log.
    """
    layout = Layout(results_root)
    paths = {seed: layout.adapter(backbone, method, seed) / LOG for seed in seeds}
    return {seed: read_jsonl(path, ("step",)) for seed, path in paths.items() if path.is_file()}
