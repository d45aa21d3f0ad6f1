"""Scores of public benchmarks as figures and tables read them."""

from pathlib import Path

from harc.core.artifacts import Layout
from harc.results.printer import read_table
from harc.suites.benchmarks import CATEGORIES, SCORES


def read_scores(results_root: Path, backbone: str, method: str, seed: int) -> list[dict[str, str]]:
    """Rows of one model's scores; none where they were not measured."""
    path = Layout(results_root).helpfulness(backbone, method, seed) / SCORES
    return read_table(path) if path.is_file() else []


def read_categories(results_root: Path, backbone: str, method: str, seed: int) -> list[dict[str, str]]:
    """Rows of one model's MT-Bench grades by category; none where they were not measured."""
    path = Layout(results_root).helpfulness(backbone, method, seed) / CATEGORIES
    return read_table(path) if path.is_file() else []
