"""Agreement of layer profiles across model families: rank correlations of the cosine by relative depth."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from harc.core.artifacts import BASE
from harc.results.evidence import ResultsView

GRID = 33  # relative depths at which profiles of different length are compared


class Agreement(NamedTuple):
    """Mean rank correlation over all pairs of families, its standard error over families, and the pairs' own values."""

    estimate: float
    standard_error: float
    degrees: int
    pairs: Float[np.ndarray, "families families"]


def resample_depth(profile: Float[np.ndarray, " slots"]) -> Float[np.ndarray, " depths"]:
    """A profile by relative depth, from 0 (embedding) to 1 (last block's output), over slots with a value."""
    depth = np.linspace(0.0, 1.0, len(profile))
    there = ~np.isnan(profile)
    return np.interp(np.linspace(0.0, 1.0, GRID), depth[there], profile[there])


def correlate_ranks(
    profiles: Sequence[Float[np.ndarray, " _"]],
) -> Float[np.ndarray, "families families"]:
    """Spearman's correlation of every two profiles by relative depth; NaN where a profile is constant."""
    from scipy.stats import rankdata

    ranks = np.stack([rankdata(resample_depth(profile)) for profile in profiles])
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.corrcoef(ranks)


def _mean_of_pairs(pairs: Float[np.ndarray, "families families"]) -> float:
    return float(pairs[np.triu_indices(len(pairs), 1)].mean())


def estimate_agreement(profiles: Mapping[str, Float[np.ndarray, " _"]]) -> Agreement | None:
    """Mean rank correlation over pairs, with the jackknife over families; None for fewer than three.

    Families are the sample: each is left out in turn, so that the interval speaks of a further family. Pairs share
    families, and slots of one model are no independent draws, so that neither can be.
    """
    if len(profiles) < 3:
        return None
    pairs = correlate_ranks(list(profiles.values()))
    count = len(pairs)
    without = [_mean_of_pairs(np.delete(np.delete(pairs, index, 0), index, 1)) for index in range(count)]
    spread = sum((value - sum(without) / count) ** 2 for value in without)
    return Agreement(_mean_of_pairs(pairs), math.sqrt((count - 1) / count * spread), count - 1, pairs)


def bound_agreement(agreement: Agreement, confidence: float) -> tuple[float, float]:
    """Student's interval of the mean correlation, cut to what a correlation can be."""
    from scipy.stats import t

    half = float(t.ppf(0.5 + confidence / 2, agreement.degrees)) * agreement.standard_error
    return max(-1.0, agreement.estimate - half), min(1.0, agreement.estimate + half)


def read_family_profiles(view: ResultsView) -> dict[str, Float[np.ndarray, " _"]]:
    """Prompt-side profile of every family's untreated model, mean over the families' seeds; none for absent ones."""
    profiles = {}
    for model in view.families:
        found = view.geometries(model, BASE)
        chosen = [found[seed].profiles["prompt"].cosine for seed in view.family_seeds if seed in found]
        if chosen:
            profiles[model] = np.mean(chosen, axis=0)
    return profiles


def list_seed_correlations(view: ResultsView) -> list[float]:
    """Rank correlation of every two seeds of one backbone: what seeds alone leave of agreement."""
    found = []
    for backbone in view.backbones:
        profiles = [g.profiles["prompt"].cosine for g in view.geometries(backbone, BASE).values()]
        if len(profiles) > 1:
            pairs = correlate_ranks(profiles)
            found += [float(value) for value in pairs[np.triu_indices(len(pairs), 1)]]
    return found
