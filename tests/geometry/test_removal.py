"""Spans, nulls and contrasts that suppression takes out, and how stable a direction is."""

import itertools

import pytest
import torch

from harc.core.errors import ConfigError
from harc.geometry.directions import Directions, normalize_rows
from harc.geometry.removal import (
    Contrast,
    Sources,
    draw_span,
    find_slot,
    permute_directions,
    plan_removal,
    span_slots,
)
from harc.geometry.stability import measure_stability
from harc.settings.suppression import Condition

SLOTS, HIDDEN, PROMPTS = 5, 16, 24


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def make_directions(seed: int = 0) -> Directions:
    families = {
        name: normalize_rows(draw(SLOTS, HIDDEN, seed=seed + number))
        for number, name in enumerate(("v_harm", "v_ref", "v_ref_resp"))
    }
    norms = {name: torch.arange(1.0, SLOTS + 1) for name in families}
    return Directions(**families, norms=norms)


def make_contrast(gap: float) -> Contrast:
    """Noise, and at every slot but the first a difference of so many standard deviations along one axis."""
    harmful, harmless = draw(PROMPTS, SLOTS, HIDDEN, seed=1), draw(PROMPTS, SLOTS, HIDDEN, seed=2)
    harmful[:, 1:, 3] += gap
    return Contrast(harmful, harmless)


@pytest.fixture
def sources() -> Sources:
    harmless = draw(SLOTS, HIDDEN, seed=11)
    return Sources({"own": make_directions(), "base": make_directions(7)}, slot=2, seed=0, harmless=harmless)


def test_a_smaller_span_is_part_of_every_larger_one():
    vectors = make_directions().v_ref
    spans = [span_slots(vectors, 2, count) for count in (1, 2, 4)]
    torch.testing.assert_close(spans[0][0], vectors[2])
    for smaller, larger in itertools.pairwise(spans):
        torch.testing.assert_close(larger[: len(smaller)], smaller)
    assert len(span_slots(vectors, 2, 99)) == SLOTS  # no more than there are
    for vector in vectors:
        whole = span_slots(vectors, 2, 99)
        torch.testing.assert_close((vector @ whole.T) @ whole, vector, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("values", "count"),
    [({}, 1), ({"slots": 3}, 3), ({"directions": ("v_ref", "v_harm")}, 2), ({"of": "random", "slots": 4}, 4)],
)
def test_a_condition_takes_out_as_many_directions_as_it_says_everywhere(sources, values, count):
    removed = plan_removal(Condition(**values), sources)
    assert removed.slots == list(range(SLOTS)) and not removed.shifts
    for span in removed.spans.values():
        torch.testing.assert_close(span @ span.T, torch.eye(count), atol=1e-5, rtol=0)


def test_whose_directions_and_where_they_are_read(sources):
    own, base = sources.directions["own"].v_ref, sources.directions["base"].v_ref
    assert plan_removal(Condition(directions=()), sources).slots == []
    torch.testing.assert_close(plan_removal(Condition(), sources).spans[0][0], own[2])
    torch.testing.assert_close(plan_removal(Condition(depth=0.75), sources).spans[0][0], own[3])
    torch.testing.assert_close(plan_removal(Condition(of="base"), sources).spans[4][0], base[2])
    each = plan_removal(Condition(where="each"), sources)
    for slot in range(SLOTS):
        torch.testing.assert_close(each.spans[slot][0], own[slot])
    one = plan_removal(Condition(where="one", strength=0.5), sources)
    assert one.slots == [2] and one.strength == 0.5


def test_what_is_subtracted_has_the_length_of_the_difference_whoever_it_points_along(sources):
    for of in ("own", "random"):
        one = plan_removal(Condition(of=of, how="subtract", where="one"), sources)
        every = plan_removal(Condition(of=of, how="subtract"), sources)
        assert one.shifts.keys() == {2} and float(one.shifts[2].norm()) == pytest.approx(3.0, rel=1e-5)
        torch.testing.assert_close(sum(every.shifts.values()), one.shifts[2], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("values", [{}, {"slots": 3}, {"of": "random"}, {"where": "one"}, {"where": "each"}])
def test_the_part_in_the_span_becomes_that_of_harmless_prompts_and_the_rest_stays(sources, values):
    plain = plan_removal(Condition(**values), sources)
    removed = plan_removal(Condition(how="set_harmless", **values), sources)
    hidden = draw(6, HIDDEN, seed=12)
    assert removed.slots == plain.slots and removed.slots
    for slot, span in removed.spans.items():
        assert torch.equal(span, plain.spans[slot])
        found = removed.apply(hidden, slot)
        torch.testing.assert_close(found @ span.T, (sources.harmless[slot] @ span.T).expand(6, -1))
        torch.testing.assert_close(found - (found @ span.T) @ span, plain.apply(hidden, slot))
        torch.testing.assert_close(removed.apply(sources.harmless[slot], slot), sources.harmless[slot])
        half = plan_removal(Condition(how="set_harmless", strength=0.5, **values), sources)
        torch.testing.assert_close(half.apply(hidden, slot), (hidden + found) / 2)


def test_random_spans_differ_from_seed_to_seed_alone():
    assert torch.equal(draw_span(2, HIDDEN, 3), draw_span(2, HIDDEN, 3))
    assert not torch.equal(draw_span(2, HIDDEN, 3), draw_span(2, HIDDEN, 4))


def test_a_direction_that_is_not_there_is_told(sources):
    with pytest.raises(ConfigError, match="v_harm_resp at slot 2: .* found a family that was not read"):
        plan_removal(Condition(directions=("v_harm_resp",)), sources)
    sources.directions["own"].v_ref[2] = 0
    with pytest.raises(ConfigError, match="v_ref at slot 2: expected a direction of unit length; found none"):
        plan_removal(Condition(), sources)


def test_depths_are_shares_of_the_blocks():
    assert [find_slot(depth, 24) for depth in (0.001, 0.25, 0.75, 1.0)] == [1, 6, 18, 24]


def test_a_difference_that_is_there_is_stable_and_one_that_is_not_is_not():
    rows = measure_stability(make_contrast(6.0), [], seed=0, resamples=50)
    none, there = rows[0], rows[1]
    assert there["bootstrap_low"] > 0.9 and there["half_cosine"] > 0.8 and there["separation"] > 0.95
    assert there["length"] > 1.5 * there["null_length"]
    assert none["half_cosine"] < 0.5 and none["separation"] < 0.75
    assert none["length"] < 1.2 * none["null_length"]
    assert rows == measure_stability(make_contrast(6.0), [], seed=0, resamples=50)


def test_the_least_cosine_over_frames_is_told():
    plain = make_contrast(6.0)
    turned = Contrast(plain.harmless, plain.harmful)
    assert measure_stability(plain, [plain], 0, 4)[1]["frame_cosine"] == pytest.approx(1, abs=1e-5)
    assert measure_stability(plain, [plain, turned], 0, 4)[1]["frame_cosine"] == pytest.approx(-1, abs=1e-5)
    assert measure_stability(plain, [], 0, 4)[1]["frame_cosine"] is None


def test_what_is_added_is_what_is_subtracted_with_the_other_sign(sources):
    taken, given = (plan_removal(Condition(how=how, where="one"), sources) for how in ("subtract", "add"))
    assert taken.slots == given.slots == [sources.slot]
    assert torch.equal(taken.shifts[sources.slot], -given.shifts[sources.slot])


def test_mixed_halves_leave_nothing_of_a_difference_and_shuffled_labels_some():
    contrast = make_contrast(6.0)

    def measure(make) -> float:
        found = [normalize_rows(make(seed).subtract_means())[1, 3] for seed in range(20)]
        return float(torch.stack(found).abs().mean())

    assert measure(contrast.mix) < 0.3 < measure(contrast.shuffle)
    assert torch.equal(permute_directions(contrast, 3).v_ref[1], permute_directions(contrast, 3).v_ref[1])
