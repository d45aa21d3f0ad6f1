"""Calibration of probabilities against small cases by hand, and good forecasts told from bad ones."""

import numpy as np
import pytest

from harc.stats.agreement import agreement_interval, kappa_interval
from harc.stats.calibration import brier_interval, expected_calibration_error, tabulate_reliability

DRAWS = {"resamples": 400, "seed": 0}


def test_brier_is_the_mean_square_with_its_bootstrap():
    found = brier_interval(np.array([1.0, 0.5, 0.0]), np.array([True, True, True]), [0, 1, 2], **DRAWS)
    assert found.estimate == pytest.approx((0 + 0.25 + 1) / 3)
    assert found.low < found.estimate < found.high
    # One cluster is drawn whole every time.
    alone = brier_interval(np.array([1.0, 0.5, 0.0]), np.array([True, True, True]), [0, 0, 0], **DRAWS)
    assert alone.low == alone.high == pytest.approx(found.estimate)


def test_bins_hold_their_lower_bound_and_the_last_both():
    bins = tabulate_reliability(
        np.array([0.0, 0.49, 0.5, 1.0]), np.array([False, True, True, True]), (0.0, 0.5, 1.0)
    )
    assert [(found.low, found.high, found.n) for found in bins] == [(0.0, 0.5, 2), (0.5, 1.0, 2)]
    assert [found.observed.estimate for found in bins] == [0.5, 1.0]
    assert [found.predicted for found in bins] == pytest.approx([0.245, 0.75])
    assert expected_calibration_error(bins) == pytest.approx((0.255 + 0.25) / 2)


def test_a_calibrated_forecast_has_a_small_error_and_a_bold_one_a_large_one():
    generator = np.random.default_rng(0)
    probabilities = generator.uniform(size=20_000)
    events = generator.uniform(size=20_000) < probabilities
    right = expected_calibration_error(tabulate_reliability(probabilities, events))
    bold = np.where(probabilities > 0.5, 0.99, 0.01)
    assert right < 0.02
    assert expected_calibration_error(tabulate_reliability(bold, events)) > 0.2


def test_agreement_is_the_share_of_equal_labels():
    found = agreement_interval("aabb", "aaba", **DRAWS)
    assert found.estimate == 0.75 and found.low < 0.75 < found.high <= 1
    assert agreement_interval("aabb", "aaba", [0, 0, 0, 0], **DRAWS).low == 0.75


def test_weights_are_repetitions():
    first, second, weights = "aabbc", "abbac", [3, 1, 2, 1, 4]
    repeated = [
        "".join(label * n for label, n in zip(labels, weights, strict=True)) for labels in (first, second)
    ]
    for measure in (agreement_interval, kappa_interval):
        assert measure(first, second, **DRAWS, weights=weights).estimate == pytest.approx(
            measure(*repeated, **DRAWS).estimate
        )
    assert (
        agreement_interval(first, second, **DRAWS).estimate != agreement_interval(*repeated, **DRAWS).estimate
    )


def test_unequal_lengths_are_refused():
    with pytest.raises(ValueError, match="equally many labels"):
        agreement_interval("ab", "a", **DRAWS)
