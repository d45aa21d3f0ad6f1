"""How often the intervals of `harc.stats.crossed` hold the truth, and what they see, under known components.

    python benchmarks/simulate_contrasts.py [--draws 2000] [--mixed 40]

Each line is a setting of standard deviations with 3 training seeds, 80 goals and 5 templates: the share of 95 %
intervals that hold a difference of 0 (1 minus the type I error), how often it is called equivalent to nothing within
.08, the share of differences of .08 that are seen, the mean variance over the true one, the median degrees of freedom,
CPU milliseconds a contrast. `--mixed` fits so many draws of the first setting by statsmodels' MixedLM too.
"""

import argparse
import math
import time
import warnings

import numpy as np
import pandas as pd

from harc.stats.crossed import Prompts, Runs, find_variance
from harc.stats.intervals import Pooled

RUNS, GOALS, TEMPLATES, EFFECT = 3, 80, 5, 0.08
SETTINGS = {
    "typical": (0.04, 0.15, 0.08, 0.1, 0.04, 0.25, 0.3),
    "seeds agree": (0, 0.15, 0.08, 0.1, 0, 0.25, 0.3),
    "templates agree": (0.04, 0.15, 0, 0.1, 0, 0.25, 0.3),
    "goals alone": (0, 0.2, 0, 0, 0, 0.2, 0.3),
    "seeds differ": (0.15, 0.1, 0.02, 0.1, 0.02, 0.2, 0.3),
    "templates differ": (0.03, 0.1, 0.2, 0.1, 0.05, 0.2, 0.3),
    "noise alone": (0, 0, 0, 0, 0, 0, 0.4),
}


def draw_values(generator: np.random.Generator, spreads: tuple[float, ...]) -> np.ndarray:
    """Differences by run and prompt, with mean 0."""
    run, goal, template = (RUNS, 1, 1), (1, GOALS, 1), (1, 1, TEMPLATES)
    shapes = (run, goal, template, (RUNS, GOALS, 1), (RUNS, 1, TEMPLATES), (1, GOALS, TEMPLATES))
    every = (*shapes, (RUNS, GOALS, TEMPLATES))
    return sum(generator.normal(0, spread, shape) for spread, shape in zip(spreads, every, strict=True))


def find_true_variance(spreads: tuple[float, ...]) -> float:
    """Of the mean over everything."""
    counts = (
        RUNS,
        GOALS,
        TEMPLATES,
        RUNS * GOALS,
        RUNS * TEMPLATES,
        GOALS * TEMPLATES,
        RUNS * GOALS * TEMPLATES,
    )
    return sum(spread**2 / count for spread, count in zip(spreads, counts, strict=True))


def simulate(spreads: tuple[float, ...], draws: int) -> list[float]:
    """Figures of one setting."""
    generator, started, found = np.random.default_rng(0), time.process_time(), []
    prompts = Prompts(
        np.zeros(GOALS * TEMPLATES, dtype=int),
        np.repeat(np.arange(GOALS), TEMPLATES),
        np.tile(np.arange(TEMPLATES), GOALS),
    )
    for _ in range(draws):
        values = draw_values(generator, spreads).reshape(RUNS, -1)
        term = find_variance(Runs(values, np.zeros(RUNS, dtype=int)), prompts)
        pooled = Pooled(float(values.mean()), math.sqrt(term.variance), term.degrees)
        seen = pooled._replace(estimate=pooled.estimate + EFFECT).test() < 0.05
        within = pooled.test_equivalence(EFFECT) < 0.05
        found.append((pooled.test() >= 0.05, within, seen, term.variance, term.degrees))
    held = np.array(found)
    share = held[:, 3].mean() / find_true_variance(spreads)
    spent = (time.process_time() - started) / draws * 1000
    return [*held[:, :3].mean(0), share, np.median(held[:, 4]), spent]


def fit_mixed(spreads: tuple[float, ...], draws: int) -> None:
    """How often statsmodels' normal intervals hold the truth, how many fits warn, seconds of a fit."""
    import statsmodels.formula.api as formulas

    generator, started, held, warned = np.random.default_rng(0), time.process_time(), 0, 0
    for _ in range(draws):
        values = draw_values(generator, spreads)
        run, goal, template = (part.ravel() for part in np.indices(values.shape))
        frame = pd.DataFrame({"d": values.ravel(), "run": run, "goal": goal, "template": template, "one": 1})
        parts = {name: f"0 + C({name})" for name in ("run", "goal", "template")}
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            fitted = formulas.mixedlm("d ~ 1", frame, groups="one", vc_formula=parts).fit()
        held += abs(fitted.params["Intercept"]) <= 1.96 * fitted.bse["Intercept"]
        warned += bool(caught)
    spent = (time.process_time() - started) / draws
    show(f"MixedLM: {held / draws:.3f} of intervals hold, {warned} of {draws} fits warn, {spent:.2f} s a fit")


def main() -> None:
    """Print a line per setting."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--mixed", type=int, default=0)
    arguments = parser.parse_args()
    show("setting, holds, equivalent, sees .08, variance, degrees, ms")
    for name, spreads in SETTINGS.items():
        figures = simulate(spreads, arguments.draws)
        show(f"{name:16} " + " ".join(f"{figure:.3f}" for figure in figures), flush=True)
    if arguments.mixed:
        fit_mixed(SETTINGS["typical"], arguments.mixed)


if __name__ == "__main__":
    main()
