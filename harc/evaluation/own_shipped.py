"""The shipped suites on public prompts, as rows that the user's own prompts stand beside."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harc import suites
from harc.settings.data import PublicRowSettings

SUITES = {name: suite.about for name, suite in suites.SUITES.items() if suite.about}
"""Names and contents; harc.data.public makes the rows."""


def list_shipped_rows(
    names: Sequence[str], public_dir: Path, *, mirror: Path | None = None, timeout: float = 30.0
) -> dict[str, list[dict[str, Any]]]:
    """Rows of shipped suites, by suite.

    Args:
        names: keys of SUITES.
        public_dir: folder of public data; what it lacks is fetched.
        mirror: folder that stands in for the network.
        timeout: longest wait for an answer (seconds).

    Raises:
        DataError, EnvironmentProblem: if a public file cannot be got or is not the registered one.
    """
    from harc.data.fetch import fetch_datasets
    from harc.data.public import make_evaluation_rows
    from harc.data.public_sources import DATASETS, read_public_prompts

    fetch_datasets(DATASETS, public_dir, mirror=mirror, timeout=timeout)
    found = make_evaluation_rows(read_public_prompts(public_dir), PublicRowSettings())
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for row in found:
        if row["suite"] in rows:
            kind = "harmful" if row["category"] == "harmful" else "benign"
            category = row["template"].partition("/")[2] or row["template"]
            rows[row["suite"]].append(
                {**row, "kind": kind, "category": category, "place": f"{row['suite']}: {row['id']}"}
            )
    return rows


def draw_rows(rows: Sequence[dict[str, Any]], limit: int | None, seed: int = 0) -> list[dict[str, Any]]:
    """At most so many rows, drawn by the seed, in their order."""
    if limit is None or len(rows) <= limit:
        return list(rows)
    kept = sorted(random.Random(seed).sample(range(len(rows)), limit))
    return [rows[index] for index in kept]
