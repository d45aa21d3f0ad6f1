"""Layer scores, the eligible band, and choices that must be refused."""

import pytest
import torch

from harc.core.errors import ConfigError, ModelError
from harc.geometry.directions import Directions, eligible_band, normalize_rows
from harc.methods.harc import describe_choice, score_layers, select_layers
from harc.settings.directions import LayerSettings


def make_directions(n_slots: int = 13, seed: int = 0) -> Directions:
    generator = torch.Generator().manual_seed(seed)
    return Directions(*(normalize_rows(torch.randn(n_slots, 16, generator=generator)) for _ in range(4)))


@pytest.mark.parametrize(
    ("n_layers", "settings", "band"),
    [
        (32, {}, (4, 28)),
        (28, {}, (4, 24)),
        (12, {}, (4, 8)),
        (32, {"edge_fraction": 0.125}, (4, 28)),
        (12, {"edge_fraction": 0.125}, (2, 10)),
        (8, {"edge_fraction": 0.125}, (1, 7)),
    ],
)
def test_eligible_band(n_layers: int, settings: dict, band: tuple[int, int]):
    assert eligible_band(n_layers, LayerSettings(**settings)) == band


def test_score_is_the_product_of_four_factors():
    directions = make_directions()
    slot, settings = 6, LayerSettings()
    v = {name: value[slot] for name, value in directions.families.items()}
    expected = (
        (1 - (v["v_ref"] @ v["v_harm"]).abs())
        * (1 - (v["v_ref_resp"] @ v["v_harm_resp"]).abs())
        * (v["v_harm"] @ v["v_harm_resp"]).abs()
        * (v["v_ref"] @ v["v_ref_resp"]).abs()
    )
    torch.testing.assert_close(score_layers(directions, settings)[slot], expected)


def test_choice_is_the_best_of_the_band():
    directions, settings = make_directions(), LayerSettings()
    scores = score_layers(directions, settings)
    chosen = select_layers(directions, 3, settings)
    assert chosen == sorted(scores.topk(3).indices.tolist())
    assert all(4 <= slot <= 8 for slot in chosen)
    assert select_layers(directions, 2, LayerSettings(rule="last")) == [7, 8]
    assert select_layers(directions, 2, LayerSettings(fixed=(8, 4, 5))) == [4, 5, 8]


def test_description_is_json():
    found = describe_choice(make_directions(), 2, LayerSettings())
    assert found["scores"][0] is None and found["scores"][4] is not None
    assert found["eligible"] == [4, 8] and found["k"] == 2 and len(found["selected"]) == 2


@pytest.mark.parametrize(
    ("k", "settings", "text"),
    [
        (6, {}, "k_final: expected at most the 5 eligible slots 4..8; found 6"),
        (2, {"fixed": (3,)}, "layers.fixed: expected distinct slots within the eligible band 4..8; found 3"),
        (2, {"fixed": (4, 4)}, "layers.fixed: expected distinct slots"),
        (
            1,
            {"edge_slots": 7},
            "layers.edge_slots: expected at least one eligible slot in a model of 12 blocks",
        ),
    ],
)
def test_refused_choices(k: int, settings: dict, text: str):
    with pytest.raises(ConfigError, match=text):
        select_layers(make_directions(), k, LayerSettings(**settings))


def test_response_side_is_needed():
    prompt_only = Directions(*list(make_directions().families.values())[:2])
    with pytest.raises(
        ModelError, match="expected response-side directions .* found none; extract .* --pairs"
    ):
        score_layers(prompt_only, LayerSettings())
