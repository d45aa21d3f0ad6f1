"""Statistics against scipy and statsmodels, and the identities they must keep."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.inter_rater import cohens_kappa as reference_kappa
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower
from statsmodels.stats.proportion import proportion_confint

from harc.stats.agreement import cohens_kappa, correlate_ranks, estimate_rank_agreement, kappa_interval
from harc.stats.intervals import FEWEST, mean_band, mean_interval, pool_seeds, wilson_interval
from harc.stats.rates import estimate_rate, estimate_score, make_sample, pooled_rate
from harc.stats.significance import detectable_effect, holm, mcnemar_exact, minimum_detectable_difference

BOOTSTRAP = {"resamples": 4000, "seed": 3}


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
@pytest.mark.parametrize(
    ("successes", "n"), [(0, 1), (1, 1), (0, 40), (7, 40), (40, 40), (25, 230), (1, 1000)]
)
def test_wilson_equals_statsmodels(successes, n, confidence):
    expected = proportion_confint(successes, n, alpha=1 - confidence, method="wilson")
    assert wilson_interval(successes, n, confidence)[1:] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("successes", "n"), [(1, 0), (0, 0), (5, 4), (-1, 4)])
def test_wilson_refuses_what_is_no_rate(successes, n):
    with pytest.raises(ValueError, match="is no rate"):
        wilson_interval(successes, n)


@pytest.mark.parametrize(("first", "second"), [(0, 0), (0, 1), (5, 5), (3, 14), (40, 12), (0, 30)])
def test_mcnemar_equals_statsmodels(first, second):
    expected = mcnemar([[9, first], [second, 11]], exact=True).pvalue
    assert mcnemar_exact(first, second) == pytest.approx(min(expected, 1.0), rel=1e-12)


@pytest.mark.parametrize("values", [[0.01], [0.04, 0.01, 0.03], [0.5, 0.6, 0.02, 0.02, 1.0], []])
def test_holm_equals_statsmodels(values):
    expected = multipletests(values, method="holm")[1] if values else []
    assert holm(values) == pytest.approx(list(expected))
    assert holm([None, *values, None]) == [None, *holm(values), None]  # what is not tested is no test


def test_kappa_equals_statsmodels():
    generator = np.random.default_rng(0)
    first = generator.integers(3, size=200)
    second = np.where(generator.random(200) < 0.6, first, generator.integers(3, size=200))
    table = np.array([[np.sum((first == a) & (second == b)) for b in range(3)] for a in range(3)])
    assert cohens_kappa(first.tolist(), second.tolist()) == pytest.approx(reference_kappa(table).kappa)


def test_kappa_of_equal_and_of_constant_labels():
    assert cohens_kappa(["a", "b", "a"], ["a", "b", "a"]) == 1
    assert math.isnan(cohens_kappa(["a", "a"], ["a", "a"]))
    with pytest.raises(ValueError, match="equally many labels"):
        cohens_kappa(["a"], [])


@pytest.mark.parametrize(("n", "rate"), [(50, 0.0), (87, 0.4), (230, 0.05), (400, 0.9), (60, 1.0)])
def test_minimum_detectable_difference_has_the_power_it_claims(n, rate):
    difference = minimum_detectable_difference(n, rate)
    other = rate + difference if rate < 0.5 else rate - difference
    spread = math.sqrt((rate * (1 - rate) + other * (1 - other)) / n)
    assert stats.norm.sf(stats.norm.isf(0.025) - difference / spread) == pytest.approx(0.8, abs=1e-6)


def test_minimum_detectable_difference_shrinks_with_n_and_may_not_exist():
    sizes = [minimum_detectable_difference(n, 0.2) for n in (20, 80, 320, 1280)]
    assert sizes == sorted(sizes, reverse=True)
    assert math.isnan(minimum_detectable_difference(2, 0.5))


def test_seeds_that_differ_much_have_the_t_interval():
    values = [0.1, 0.5, 0.9]
    expected = stats.t.interval(0.95, 2, loc=np.mean(values), scale=stats.sem(values))
    pooled = pool_seeds(values, [1e-6] * 3)
    assert pooled.interval()[1:] == pytest.approx(expected)
    assert pooled.test(0.2) == pytest.approx(stats.ttest_1samp(values, 0.2).pvalue)


def test_seeds_that_agree_keep_their_sampling_variance():
    _, low, high = pool_seeds([0.4, 0.4, 0.4], [0.01] * 3).interval()
    half = stats.t.ppf(0.975, 2) * math.sqrt(0.01 / 3)
    assert (low, high) == pytest.approx((0.4 - half, 0.4 + half))
    with pytest.raises(ValueError, match="2 estimates with 1 variances"):
        pool_seeds([0.1, 0.2], [0.1])


def test_one_seed_has_the_normal_interval_of_its_prompts():
    pooled = pool_seeds([0.4], [0.01])
    assert pooled.interval()[1:] == pytest.approx(stats.norm.interval(0.95, 0.4, 0.1))
    assert pooled.test() == pytest.approx(2 * stats.norm.sf(4))


def test_pooled_rate_of_one_seed_is_wilson_and_stays_in_range():
    assert pooled_rate([7], [40]) == wilson_interval(7, 40)
    for counts in ([0, 0, 0], [40, 40, 40], [0, 40, 20]):
        rate, low, high = pooled_rate(counts, [40] * 3)
        assert 0 <= low <= rate <= high <= 1
        assert low < high


def test_one_seed_detects_what_a_test_of_rates_would_and_several_what_their_spread_allows():
    hits = [1] * 100 + [0] * 100
    one, two = (estimate_rate([make_sample(hits)] * seeds) for seeds in (1, 2))
    assert one.detectable == minimum_detectable_difference(200, 0.5)
    error = (two.high - two.low) / 2 / stats.t.ppf(0.975, 1)
    assert two.detectable == pytest.approx(detectable_effect(math.sqrt(2) * error, 1))


def make_families(hits: list[list[int]], *, shared: bool) -> pd.DataFrame:
    """A sample of one suite per list; the suites share their goals or do not."""
    rows = [
        {"suite": suite, "goal": goal if shared else (suite, goal), "hit": hit}
        for suite, own in enumerate(hits)
        for goal, hit in enumerate(own)
    ]
    return pd.DataFrame(rows)


def test_a_mean_weighs_suites_equally_whatever_their_size():
    rate = estimate_rate([make_families([[1] * 90, [0] * 10], shared=False)])
    assert (rate.estimate, rate.n) == (0.5, 100)
    assert rate.low < 0.5 < rate.high


def test_goals_shared_by_suites_widen_the_interval_of_their_mean():
    hits = [np.random.default_rng(2).integers(2, size=300).tolist()] * 4
    clustered, alone = (estimate_rate([make_families(hits, shared=shared)]) for shared in (True, False))
    # Four perfectly correlated suites carry the information of one: the interval is twice as wide.
    assert (clustered.high - clustered.low) / (alone.high - alone.low) == pytest.approx(2, rel=0.03)
    assert clustered.detectable > alone.detectable


def test_prompts_that_share_goals_are_not_taken_for_independent():
    one = np.random.default_rng(3).integers(2, size=100).tolist()
    sample = pd.concat([make_sample(one)] * 4)
    assert estimate_rate([sample])[:3] == wilson_interval(4 * sum(one), 400)
    clustered, single = estimate_rate([sample], clustered=True), wilson_interval(sum(one), 100)
    assert (clustered.low, clustered.high) == pytest.approx(single[1:], abs=0.01)


def test_the_interval_of_a_mean_of_suites_is_that_of_a_bootstrap_over_goals():
    generator = np.random.default_rng(4)
    skill = generator.random(120)
    hits = (generator.random((3, 120)) < skill).astype(int)
    rate = estimate_rate([make_families(hits.tolist(), shared=True)])
    bootstrap = stats.bootstrap((hits.mean(0),), np.mean, n_resamples=4000, method="percentile", rng=0)
    assert (rate.low, rate.high) == pytest.approx(tuple(bootstrap.confidence_interval), abs=0.01)


def test_scores_have_the_normal_interval_and_those_of_a_group_count_once():
    values = np.random.default_rng(5).normal(size=50)
    alone = estimate_score([[value] for value in values])
    assert alone[:2] == pytest.approx((values.mean(), stats.sem(values)))
    doubled = estimate_score([[value, value] for value in values])
    assert doubled[:2] == pytest.approx(alone[:2])
    assert math.isnan(estimate_score([[1.0, 2.0]]).standard_error)


def test_kappa_interval_is_that_of_statsmodels_where_answers_are_independent():
    generator = np.random.default_rng(5)
    first = generator.integers(2, size=400)
    second = np.where(generator.random(400) < 0.7, first, 1 - first)
    table = np.array([[np.sum((first == a) & (second == b)) for b in range(2)] for a in range(2)])
    expected = reference_kappa(table)
    found = kappa_interval(first.tolist(), second.tolist(), **BOOTSTRAP)
    assert found.estimate == pytest.approx(expected.kappa)
    assert (found.low, found.high) == pytest.approx((expected.kappa_low, expected.kappa_upp), abs=0.01)


def test_kappa_of_repeated_answers_is_as_uncertain_as_that_of_one_copy():
    generator = np.random.default_rng(6)
    first = generator.integers(2, size=100).tolist()
    second = [label if generator.random() < 0.7 else 1 - label for label in first]
    once = kappa_interval(first, second, **BOOTSTRAP)
    copied = kappa_interval(first * 5, second * 5, list(range(100)) * 5, **BOOTSTRAP)
    assert copied == pytest.approx(once, abs=0.03)
    assert all(math.isnan(value) for value in kappa_interval(["a"] * 3, ["a"] * 3, **BOOTSTRAP))


@pytest.mark.parametrize(("n", "power"), [(50, 0.8), (400, 0.9)])
def test_detectable_effect_equals_statsmodels(n, power):
    expected = TTestPower().solve_power(effect_size=None, nobs=n, alpha=0.05, power=power)
    found = detectable_effect(1 / math.sqrt(n), n - 1, power=power)
    assert found == pytest.approx(expected, rel=0.01)


def test_detectable_effect_has_the_power_it_claims_and_grows_where_degrees_are_few():
    effect = detectable_effect(0.1)
    assert stats.norm.sf(stats.norm.isf(0.025) - effect / 0.1) == pytest.approx(0.8, abs=1e-6)
    effects = [detectable_effect(0.1, degrees) for degrees in (2, 5, 50, math.inf)]
    assert effects == sorted(effects, reverse=True)


def test_a_mean_has_the_percentile_bootstrap_over_its_values():
    values = np.random.default_rng(7).random(40)
    draws = values[np.random.default_rng(0).integers(0, 40, (500, 40))].mean(1)
    expected = (values.mean(), *np.quantile(draws, [0.025, 0.975]))
    assert mean_interval(values, resamples=500, seed=0) == pytest.approx(expected)
    assert mean_interval(values[: FEWEST - 1], resamples=500, seed=0)[1:] == (None, None)
    assert mean_interval(values[:0], resamples=500, seed=0) == (None, None, None)


def test_a_band_is_the_interval_of_the_mean_at_every_token_that_enough_answers_reach():
    values = np.random.default_rng(8).random((30, 6))
    values[: 31 - FEWEST, 5] = np.nan  # too few answers are this long
    band = mean_band(values, resamples=300, seed=0)
    assert band.tokens.tolist() == [1, 2, 3, 4, 5] and band.n == 30
    bounds = [mean_interval(values[:, token], resamples=300, seed=0) for token in range(5)]
    assert np.column_stack([band.mean, band.low, band.high]) == pytest.approx(np.array(bounds))
    assert mean_band(values[:4], resamples=300, seed=0) is None


def test_ranks_agree_with_scipy_and_too_few_profiles_with_none():
    profiles = list(np.random.default_rng(9).normal(size=(4, 20)).round(1))
    expected = stats.spearmanr(np.column_stack(profiles)).statistic
    assert correlate_ranks(profiles) == pytest.approx(expected)
    assert np.isnan(correlate_ranks([profiles[0], np.zeros(20)])[0, 1])
    assert estimate_rank_agreement(profiles[:2]) is None
