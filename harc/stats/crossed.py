"""Variance of a mean over what is drawn crosswise: training runs, goals, templates and prompts; suites are not drawn.

By the moments of crossed random effects (Searle, Casella and McCulloch, Variance Components, 1992, ch. 5; the exact
analysis of variance where the design is balanced), with degrees of freedom by Satterthwaite (Biometrics Bulletin 2:110,
1946).
"""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse.csgraph import connected_components


class Term(NamedTuple):
    """A part of a variance and the degrees of freedom of its estimate."""

    variance: float
    degrees: float


class Factor(NamedTuple):
    """What prompts share: the level of each, how many prompts a level has in each suite, degrees of freedom."""

    levels: Int[np.ndarray, " prompts"]
    counts: Float[np.ndarray, "levels suites"]
    degrees: float


class Prompts(NamedTuple):
    """Codes of each prompt's suite, goal and template."""

    suites: Int[np.ndarray, " prompts"]
    goals: Int[np.ndarray, " prompts"]
    templates: Int[np.ndarray, " prompts"]

    @property
    def sizes(self) -> Int[np.ndarray, " suites"]:
        """Prompts of each suite."""
        return np.bincount(self.suites)

    @property
    def shares(self) -> Float[np.ndarray, " suites"]:
        """A prompt's weight in the mean of suites."""
        return 1 / (self.sizes * len(self.sizes))

    def centre(self, values: Float[np.ndarray, "rows prompts"]) -> Float[np.ndarray, "rows prompts"]:
        """Values about the mean of their suite, times their weight."""
        means = sum_levels(values, self.suites) / self.sizes
        return (values - means[:, self.suites]) * self.shares[self.suites]

    def list_factors(self) -> list[Factor]:
        """What is drawn besides single prompts, as far as these prompts tell it from them and from suites."""
        factors = []
        for levels in (self.goals, self.templates):
            if levels.max() + 1 == len(levels):
                continue  # each prompt has its own
            counts = np.zeros((levels.max() + 1, len(self.sizes)))
            np.add.at(counts, (levels, self.suites), 1.0)
            met = counts > 0  # suites that share a level cannot be told apart from it
            degrees = len(counts) - connected_components(met.T @ met, directed=False)[0]
            if degrees > 0:
                factors.append(Factor(levels, counts, float(degrees)))
        return factors


def sum_levels(
    values: Float[np.ndarray, "rows prompts"], levels: Int[np.ndarray, " prompts"]
) -> Float[np.ndarray, "rows levels"]:
    """Sums over the prompts of each level."""
    return np.stack([np.bincount(levels, row) for row in values])


def expect_squares(prompts: Prompts, factors: Sequence[Factor]) -> Float[np.ndarray, "forms forms"]:
    """Expected sums of squares of each factor's weighted sums, and of single prompts, per unit variance of each."""
    sizes, shares = prompts.sizes, prompts.shares
    found = np.empty((len(factors) + 1,) * 2)
    for row, one in enumerate(factors):
        for column, other in enumerate(factors):
            shared = -(one.counts * (shares / sizes)) @ other.counts.T
            np.add.at(shared, (one.levels, other.levels), shares[prompts.suites])
            found[row, column] = (shared**2).sum()
        own = (one.counts * (1 - one.counts / sizes)).sum(0)
        found[row, -1] = found[-1, row] = (shares**2 * own).sum()
    found[-1, -1] = (shares**2 * (sizes - 1)).sum()
    return found


def find_prompt_terms(values: Float[np.ndarray, "rows prompts"], prompts: Prompts) -> list[Term]:
    """Terms whose sum is the variance that drawing prompts gives to rows' weighted means, summed over rows.

    One term per factor, each with the single prompts' share in it; with two factors that share once more, negative,
    since it is then counted twice.
    """
    factors, centred = prompts.list_factors(), prompts.centre(values)
    squares = [(sum_levels(centred, factor.levels) ** 2).sum() for factor in factors]
    components = np.linalg.lstsq(
        expect_squares(prompts, factors), np.array([*squares, (centred**2).sum()]), rcond=None
    )[0].clip(0)
    shares = prompts.shares
    alone = float(components[-1] * (shares**2 * prompts.sizes).sum())
    terms = [
        Term(float(component * ((factor.counts @ shares) ** 2).sum()) + alone, factor.degrees)
        for component, factor in zip(components, factors, strict=False)
    ]
    spare = len(prompts.suites) - len(prompts.sizes) - sum(factor.degrees for factor in factors)
    return [
        *terms,
        *[Term(alone, max(1.0, spare))] * (not terms),
        *[Term(-alone, max(1.0, spare))] * (len(terms) > 1),
    ]


def add_terms(terms: Iterable[Term]) -> Term:
    """A variance from its terms, with Satterthwaite's degrees of freedom."""
    held = list(terms)
    variance = sum(term.variance for term in held)
    spread = sum(term.variance**2 / term.degrees for term in held)
    return Term(variance, variance**2 / spread if spread > 0 else math.inf)


class Runs(NamedTuple):
    """Differences by run and prompt, and each run's stratum."""

    values: Float[np.ndarray, "runs prompts"]
    strata: Int[np.ndarray, " runs"]

    @property
    def sizes(self) -> Int[np.ndarray, " runs"]:
        """Runs in each run's stratum."""
        return np.bincount(self.strata)[self.strata]

    @property
    def weights(self) -> Float[np.ndarray, " runs"]:
        """A run's weight in the mean of strata."""
        return 1 / (self.sizes * (self.strata.max() + 1))

    @property
    def degrees(self) -> int:
        """Runs less strata: 0 says that nothing is known of other runs."""
        return len(self.strata) - int(self.strata.max()) - 1

    def centre(self, values: Float[np.ndarray, "runs *others"]) -> Float[np.ndarray, "runs *others"]:
        """Values about the mean of their stratum."""
        means = np.stack([values[self.strata == own].mean(0) for own in range(self.strata.max() + 1)])
        return values - means[self.strata]


def find_variance(runs: Runs, prompts: Prompts) -> Term:
    """Variance of the mean over runs and prompts, both drawn.

    That of runs on these prompts, plus that of prompts in these runs, less what both hold: that runs differ on single
    goals, templates and prompts. It is never less than either of the two.
    """
    of_prompts = find_prompt_terms((runs.weights @ runs.values)[None], prompts)
    if not runs.degrees:
        alone = add_terms(of_prompts)
        return alone if prompts.list_factors() else alone._replace(degrees=math.inf)
    means = runs.centre(runs.values @ prompts.shares[prompts.suites])
    of_runs = Term(float((means**2).sum() / runs.degrees * (runs.weights**2).sum()), runs.degrees)
    scale = runs.weights * np.sqrt(runs.sizes / np.maximum(runs.sizes - 1, 1))
    shared = find_prompt_terms(runs.centre(runs.values) * scale[:, None], prompts)
    both = [Term(-term.variance, term.degrees * runs.degrees) for term in shared]
    found = [add_terms(terms) for terms in ([of_runs, *of_prompts, *both], [of_runs], of_prompts)]
    return max(found, key=lambda term: term.variance)
