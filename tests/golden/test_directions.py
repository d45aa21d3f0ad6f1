"""The released extraction, blend, bootstrap and layer choice, number by number."""

import pytest
import torch
from golden.conftest import ARCHITECTURES, RELATIVE, Golden, assert_rows_close

from harc.geometry.directions import Directions, blend_directions
from harc.geometry.extraction import ResponsePairs, draw_resamples, extract_directions
from harc.methods.harc import score_layers, select_layers
from harc.settings.directions import COSINES, DirectionSettings, LayerSettings


def extract_released(golden: Golden, **changes) -> Directions:
    """Prompt and response directions with the release's settings of the golden run."""
    settings = DirectionSettings(
        truncation="right",
        max_response_tokens=golden.expected["config"]["max_response_len"],
        response_window=golden.expected["config"]["response_n_tokens"],
        bootstrap_resamples=50,
        bootstrap_seed=0,
        **changes,
    )
    inputs = golden.inputs
    return extract_directions(
        golden.backbone, inputs["harmful_prompts"], inputs["harmless_prompts"], golden.pairs, settings
    )


def test_every_architecture_is_there():
    assert len(ARCHITECTURES) >= 2


def test_post_instruction_count(golden: Golden):
    assert golden.backbone.chat.post_instruction_count == golden.expected["post_inst_token_count"]


@pytest.mark.parametrize("length", [64, 256])
def test_prompt_directions_under_chat_template(golden: Golden, length: int):
    found = extract_released(golden, max_prompt_tokens=length)
    check_prompt_side(golden, found, f"prompt_chat_len{length}.")


def test_prompt_directions_under_raw_template(golden: Golden):
    found = extract_released(golden, position_template="raw")
    check_prompt_side(golden, found, "prompt_raw_len256.")


def check_prompt_side(golden: Golden, found: Directions, prefix: str):
    assert_rows_close(found.v_harm, golden.tensors[prefix + "v_harm"])
    assert_rows_close(found.v_ref, golden.tensors[prefix + "v_ref"])
    for family in ("harm", "ref"):
        expected = golden.tensors[f"{prefix}norm_pre_{family}"]
        torch.testing.assert_close(found.norms[f"v_{family}"], expected, rtol=RELATIVE, atol=1e-6)


def test_released_truncation_is_a_fault(golden: Golden):
    """The left-truncated positions differ from the released ones, so the switch does something."""
    found = extract_directions(
        golden.backbone,
        golden.inputs["harmful_prompts"],
        golden.inputs["harmless_prompts"],
        None,
        DirectionSettings(max_prompt_tokens=64),
    )
    cosine = (found.v_ref * golden.tensors["prompt_chat_len64.v_ref"]).sum(-1)
    assert cosine[1:].min() < 0.99


def test_response_directions(golden: Golden):
    found = extract_released(golden)
    assert_rows_close(found.v_harm_resp, golden.tensors["response.v_harm_resp"])
    assert_rows_close(found.v_ref_resp, golden.tensors["response.v_ref_resp"])
    for family in ("harm", "ref"):
        expected = golden.tensors[f"response.norm_pre_{family}"]
        torch.testing.assert_close(found.norms[f"v_{family}_resp"], expected, rtol=RELATIVE, atol=1e-6)


def test_bootstrap(golden: Golden):
    found = extract_released(golden).bootstrap
    for name in ("mean", "lo", "hi"):
        expected = golden.tensors[f"bootstrap_cos.{name}"]
        torch.testing.assert_close(found[name], expected, rtol=RELATIVE, atol=2e-6)


def test_blend(golden: Golden):
    raw = {name: golden.tensors[f"prompt_raw_len256.{name}"] for name in ("v_harm", "v_ref")}
    blended = blend_directions(
        golden.directions, Directions(**raw, v_harm_resp=raw["v_harm"], v_ref_resp=raw["v_ref"]), 0.3
    )
    assert_rows_close(blended.v_ref, golden.tensors["ema_blend.v_ref"])


def test_layer_scores_and_choice(golden: Golden):
    settings = LayerSettings()
    found, expected = score_layers(golden.directions, settings), golden.tensors["layer_scores"]
    assert torch.equal(found.isinf(), expected.isinf())
    finite = ~expected.isinf()
    torch.testing.assert_close(found[finite], expected[finite], rtol=RELATIVE, atol=0)
    for k in (2, 4):
        assert select_layers(golden.directions, k, settings) == golden.expected[f"selected_k{k}"]


def test_own_directions_choose_the_same_layers(golden: Golden):
    assert select_layers(extract_released(golden), 4, LayerSettings()) == golden.expected["selected_k4"]


def test_bootstraps_with_the_response_side_are_those_of_rows_drawn_again(golden: Golden):
    """One resample of each side: its cosines are those of an extraction on the rows that it drew."""
    settings = DirectionSettings(bootstrap_resamples=1, bootstrap_seed=3, max_prompt_tokens=64)
    prompts = [golden.inputs[name] for name in ("harmful_prompts", "harmless_prompts")]
    answers = [golden.pairs.harm, golden.pairs.refuse, golden.pairs.helpful]
    found = extract_directions(golden.backbone, *prompts, golden.pairs, settings).bootstrap_pairs
    drawn = [
        [row for row, count in zip(rows, counts[0].int().tolist(), strict=True) for _ in range(count)]
        for side, seed in ((prompts, 3), (answers, 4))
        for rows, counts in zip(side, draw_resamples([len(rows) for rows in side], 1, seed), strict=True)
    ]
    again = extract_directions(golden.backbone, *drawn[:2], ResponsePairs(*drawn[2:]), settings).families
    for pair, (first, second) in COSINES.items():
        if pair != "prompt":
            expected = (again[first] * again[second]).sum(-1)
            for end in ("mean", "lo", "hi"):
                torch.testing.assert_close(found[f"{pair}.{end}"], expected, rtol=0, atol=1e-4)
    assert "prompt.lo" not in found and len(found) == 12


def test_no_response_side_has_no_bootstrap(golden: Golden):
    prompts = (golden.inputs["harmful_prompts"], golden.inputs["harmless_prompts"])
    settings = DirectionSettings(bootstrap_resamples=2, max_prompt_tokens=64)
    found = extract_directions(golden.backbone, *prompts, None, settings)
    assert found.bootstrap_pairs == {} and set(found.bootstrap) == {"mean", "lo", "hi"}
