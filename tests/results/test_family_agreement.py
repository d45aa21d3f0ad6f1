"""Agreement across families: rank correlations by relative depth, an interval over families, one claim for all."""

import json
from pathlib import Path

import numpy as np
import pytest
from fixtures.results_tree import make_results_tree
from scipy.stats import spearmanr

from harc.results.claims import ALL_FAMILIES, UNTESTED, decide_claim, evaluate_claims
from harc.results.evidence import (
    ResultsView,
    estimate_agreement,
    list_seed_correlations,
    read_family_profiles,
)
from harc.results.geometry import resample_depth
from harc.results.ledger import load_claims
from harc.results.printer import typeset_body
from harc.results.tables.backbones import build_families
from harc.results.view import Results
from harc.stats.agreement import correlate_ranks

LEDGER = Path(__file__).parents[2] / "config/claims.yaml"
MODELS = ("organism-llama", "organism-qwen2", "organism-mistral", "organism-gemma", "organism-phi3")
CURVE = np.array([np.nan, 0.1, 0.5, 0.9, 0.4, 0.2, 0.15])


def find_claim():
    return [claim for claim in load_claims(LEDGER) if claim.id == "holds-across-families"]


def test_ranks_agree_with_scipy_on_one_grid():
    other = np.array([0.3, 0.2, 0.8, 0.4])
    expected = spearmanr(resample_depth(CURVE), resample_depth(other)).statistic
    assert correlate_ranks([resample_depth(CURVE), resample_depth(other)])[0, 1] == pytest.approx(expected)


def test_depth_not_length_is_compared():
    fine = np.interp(np.linspace(0, 1, 25), np.linspace(0, 1, 7), np.nan_to_num(CURVE))
    coarse = np.nan_to_num(CURVE)
    assert correlate_ranks([resample_depth(fine), resample_depth(coarse)])[0, 1] > 0.98


def test_equal_profiles_agree_fully_and_unrelated_ones_do_not():
    same = estimate_agreement({str(i): (i + 1) * CURVE for i in range(5)})
    assert same.estimate == pytest.approx(
        1.0, abs=1e-3
    )  # ties between interpolated values break at the last digit
    assert same.standard_error == pytest.approx(0.0, abs=1e-3)
    generator = np.random.default_rng(0)
    noise = estimate_agreement({str(i): generator.normal(size=13) for i in range(5)})
    _, low, high = noise.interval()
    assert low < 0 < high and noise.degrees == 4
    assert estimate_agreement({"a": CURVE, "b": CURVE}) is None


def test_the_interval_is_the_jackknife_over_families():
    generator = np.random.default_rng(1)
    profiles = {str(i): generator.normal(size=13) for i in range(4)}
    found = estimate_agreement(profiles)
    left_out = [
        estimate_agreement({k: v for k, v in profiles.items() if k != name}).estimate for name in profiles
    ]
    spread = np.sqrt(3 / 4 * np.sum((np.array(left_out) - np.mean(left_out)) ** 2))
    assert found.standard_error == pytest.approx(spread)


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    return make_results_tree(
        tmp_path_factory.mktemp("tree"), backbones=MODELS, methods=("base",), seeds=(0, 1), prompts=2
    )


def test_the_claim_is_tested_once_over_all_families(tree):
    view = ResultsView(tree, MODELS[:2], [0, 1], 0.95, MODELS, [0])
    (finding,) = evaluate_claims(find_claim(), view)
    expected = estimate_agreement(read_family_profiles(view))
    assert finding.backbone == ALL_FAMILIES
    assert (finding.evidence.estimate, finding.evidence.n) == (expected.estimate, 5)
    assert finding.evidence.unit == "families" and finding.p is not None and finding.reason == ""


def test_too_few_families_leave_the_claim_untested(tree):
    findings = evaluate_claims(find_claim(), ResultsView(tree, MODELS[:2], [0], 0.95, MODELS[:4], [0]))
    assert decide_claim(findings) == UNTESTED
    assert decide_claim(evaluate_claims(find_claim(), ResultsView(tree, MODELS[:2], [0]))) == UNTESTED


def test_the_table_says_which_criteria_a_family_fails(tree, tmp_path):
    table = build_families(Results(tree, MODELS[:2], [0, 1], 0.95, MODELS, [0]))
    assert [row["model"] for row in table.records] == list(MODELS)
    assert all((row["criteria"], row["criteria_met"], row["seeds"]) == (2, 1, 1) for row in table.records)
    assert all("mean asr .90" in line for line in typeset_body(table))
    assert (
        len(list_seed_correlations(ResultsView(tree, MODELS[:2], [0, 1])))
        == 2
        == table.records[0]["seed_pairs"]
    )
    assert any("jackknife over families" in note for note in table.notes)
    path = tree / "backbones/organism-gemma/seed0/acceptance.json"
    kept = path.read_text()
    path.write_text(json.dumps({"split": "development", "accepted": True, "bounds": {}}))
    try:
        assert "n/a" in typeset_body(build_families(Results(tree, MODELS[:2], [0], 0.95, MODELS, [0])))[3]
    finally:
        path.write_text(kept)
    missing = build_families(Results(tmp_path, MODELS[:2], [0], 0.95, MODELS, [0]))
    assert all("n/a" in line for line in typeset_body(missing))
