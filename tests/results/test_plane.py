"""Separability and ellipses against what they must equal, and the geometry read from direction files."""

import numpy as np
import pytest
from fixtures.results_tree import make_results_tree
from scipy.stats import mannwhitneyu

from harc.results.geometry import (
    Profile,
    cosine_by_slot,
    fit_ellipse,
    mean_profile,
    read_geometry,
    read_plane,
)
from harc.stats.areas import estimate_area, measure_area


def test_area_is_the_mann_whitney_statistic():
    generator = np.random.default_rng(0)
    positives, negatives = generator.normal(1, 1, 30).round(1), generator.normal(0, 1, 40).round(1)
    expected = mannwhitneyu(positives, negatives).statistic / (30 * 40)
    assert measure_area(positives, negatives) == pytest.approx(expected)


def test_swapping_classes_mirrors_the_area_and_its_interval():
    generator = np.random.default_rng(1)
    a, b = generator.normal(0.5, 1, 50), generator.normal(0, 1, 60)
    forward, backward = estimate_area(a, b), estimate_area(b, a)
    assert forward.estimate == pytest.approx(1 - backward.estimate)
    assert forward.low == pytest.approx(1 - backward.high)


def test_interval_covers_the_truth_as_often_as_it_says():
    generator = np.random.default_rng(2)
    truth = 0.7602  # of two unit normals a distance 1 apart: Phi(1 / sqrt 2)
    hits = 0
    for _ in range(200):
        area = estimate_area(generator.normal(1, 1, 40), generator.normal(0, 1, 40))
        hits += area.low <= truth <= area.high
    assert 180 <= hits <= 199


def test_perfect_separation_does_not_claim_certainty():
    area = estimate_area(np.arange(10.0) + 100, np.arange(20.0))
    assert (area.estimate, area.high) == (1.0, 1.0)
    assert 0.5 < area.low < 0.8


def test_too_few_points_and_nan_give_no_area():
    assert estimate_area(np.array([1.0]), np.arange(5.0)) is None
    assert estimate_area(np.array([1.0, np.nan]), np.arange(5.0)) is None


def test_ellipse_holds_the_share_it_names():
    points = np.random.default_rng(3).multivariate_normal([1, 2], [[2, 0.5], [0.5, 1]], 20_000)
    centre, width, height, angle = fit_ellipse(points, 0.5)
    turn = np.radians(angle)
    turned = (points - centre) @ np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    inside = ((turned / np.array([width / 2, height / 2])) ** 2).sum(1) <= 1
    assert inside.mean() == pytest.approx(0.5, abs=0.02)
    assert fit_ellipse(points[:2], 0.5) is None


def test_cosine_of_a_zero_row_is_missing_not_zero():
    first = np.array([[1.0, 0.0], [0.0, 0.0]], dtype=np.float32)
    cosine = cosine_by_slot(first, np.array([[1.0, 0.0], [1.0, 0.0]], dtype=np.float32))
    assert cosine[0] == pytest.approx(1.0) and np.isnan(cosine[1])


def test_several_seeds_show_their_extremes():
    profiles = [Profile(np.array([v]), np.array([0.0]), np.array([1.0])) for v in (0.2, 0.4, 0.9)]
    mean = mean_profile(profiles)
    assert (mean.cosine[0], mean.low[0], mean.high[0]) == pytest.approx((0.5, 0.2, 0.9))
    assert mean_profile(profiles[:1]) is profiles[0]


def test_files_of_the_contract_are_read(tmp_path):
    tree = make_results_tree(tmp_path, prompts=4)
    folder = tree / "directions" / "organism-llama" / "base" / "seed0"
    geometry, plane = read_geometry(folder), read_plane(folder)
    assert geometry.selected == (8, 10) and geometry.eligible == (2, 10) and geometry.examples == 120
    assert np.isnan(geometry.profiles["prompt"].cosine[0])  # v_ref is the zero row there
    assert np.isnan(geometry.profiles["response"].cosine[-1])
    assert plane.coordinates("prompt", "harm").shape == (len(plane.rows), 13)
    assert plane.select(("pap",)).sum() == 4
    assert read_geometry(tmp_path / "absent") is None and read_plane(tmp_path / "absent") is None
