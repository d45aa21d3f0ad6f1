"""A downloaded backbone is measured once as the base, and stands beside every training seed of the methods."""

import shutil

import pytest
from fixtures.results_tree import ATTACKS, BACKBONES, make_results_tree, view_tree

from harc.core.artifacts import BASE
from harc.results.claim_metrics import METRICS
from harc.results.comparisons import compare_methods
from harc.results.evidence import ResultsView
from harc.results.rates import estimate_difference

FIXED, TRAINED = BACKBONES


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    root = make_results_tree(tmp_path_factory.mktemp("tree"), seeds=(0, 1, 2), prompts=12)
    for seed in (1, 2):
        for kind in ("scores", "directions"):
            shutil.rmtree(root / kind / FIXED / BASE / f"seed{seed}")
    return root


@pytest.fixture
def view(tree) -> ResultsView:
    return ResultsView(tree, list(BACKBONES), [0, 1, 2], fixed={FIXED: 0})


def test_the_base_s_rate_is_of_one_seed(view):
    fixed, trained = (view.estimate_rate(name, BASE, "mean_asr") for name in BACKBONES)
    assert (fixed.seeds, trained.seeds) == (1, 3)
    assert fixed.n == trained.n and fixed.seed_low == fixed.seed_high == fixed.estimate


def test_every_training_seed_is_paired_with_the_one_base(view):
    found = {
        (c.backbone, c.method): c.difference.seeds
        for c in compare_methods(view, [BASE, "harc"])
        if c.metric == "mean_asr" and c.reference == BASE
    }
    assert found[FIXED, "harc"] == found[TRAINED, "harc"] == 3
    by_hand = estimate_difference(
        dict.fromkeys((0, 1, 2), view.outcomes(FIXED, BASE)[0]), view.outcomes(FIXED, "harc"), ATTACKS
    )
    claimed = METRICS["paired_difference"].measure(
        view, FIXED, suite="mean_asr", method="harc", reference=BASE
    )
    assert (claimed.estimate, claimed.seeds) == (by_hand.estimate, 3)
    gain = METRICS["coupling_gain"].measure(view, FIXED, method="harc", side="prompt", where="band")
    assert gain.seeds == 3


def test_the_base_is_found_when_its_seed_is_not_looked_at(view):
    (own,) = view.narrow([FIXED], [2]).outcomes(FIXED, BASE, paired=True).items()
    assert own[0] == 2 and len(own[1]) == len(view.outcomes(FIXED, BASE)[0])


def test_an_organism_without_its_base_is_paired_with_no_other(tree):
    """The twin: where backbones are trained, seed 1 of a method never meets the base of seed 0."""
    view = ResultsView(tree, list(BACKBONES), [0, 1, 2])
    found = {
        c.backbone: c.difference.seeds
        for c in compare_methods(view, [BASE, "harc"])
        if c.metric == "mean_asr"
    }
    assert found[FIXED] == 1 and found[TRAINED] == 3


def test_files_are_listed_of_units_that_were_run(tree):
    run = [(FIXED, BASE, 0), (TRAINED, BASE, 0), (TRAINED, BASE, 1)]
    view = view_tree(tree, seeds=[0, 1], is_run=lambda *unit: unit in run)
    units = [path.parts[-4:-1] for path in view.list_files("scores")]
    assert units == [(FIXED, BASE, "seed0"), (TRAINED, BASE, "seed0"), (TRAINED, BASE, "seed1")]
    assert len(view_tree(tree, seeds=[0, 1]).list_files("scores")) == 4
