"""Settings of direction extraction and of layer selection, with the release's faults as switches."""

from typing import Literal

from pydantic import Field

from harc.settings.base import Settings

Rule = Literal["score", "last"]
Truncation = Literal["left", "right"]
Baseline = Literal["pairs", "empty", "as_released"]
PositionTemplate = Literal["chat", "raw", "as_released"]
Null = Literal["none", "random", "permuted_labels"]


COSINES = {
    "prompt": ("v_harm", "v_ref"),
    "response": ("v_harm_resp", "v_ref_resp"),
    "harm": ("v_harm", "v_harm_resp"),
    "refusal": ("v_ref", "v_ref_resp"),
    "content": ("v_harm_resp", "v_ref"),
}
"""Directions whose cosine is bootstrapped: of one side, of one meaning on both, of the answer and the refusal."""


class LayerSettings(Settings):
    """Which slots may be trained on, and how many are."""

    edge_slots: int = Field(
        4,
        ge=0,
        description="slots left out at each end: eligible are edge..n-edge (BAND_LOW, BAND_HIGH of "
        "main/layers.py@c3565e5)",
    )
    edge_fraction: float | None = Field(
        None,
        ge=0,
        lt=0.5,
        description="share of the blocks left out at each end, rounded up; replaces edge_slots for models too shallow "
        "for it (0.125 gives the release's band at 32 blocks); ours",
    )
    rule: Rule = Field(
        "score",
        description="score = the k best eligible slots by the four-factor score (main/layers.py@c3565e5); last = the "
        "k last eligible slots, which is what the paper's trained bands are",
    )
    fixed: tuple[int, ...] | None = Field(
        None, description="slots to train on, whatever the scores say; ours"
    )


class DirectionSettings(Settings):
    """How the four direction families are read from a model."""

    max_prompt_tokens: int = Field(
        256,
        ge=8,
        description="most tokens of a prompt, template included (extract_max_len, main/train.py@c3565e5)",
    )
    max_response_tokens: int = Field(
        256,
        ge=1,
        description="most tokens of a response before pooling (extract_max_len, main/train.py@c3565e5)",
    )
    response_window: int = Field(
        32, ge=1, description="response tokens that are averaged, from the first (main/directions.py@c3565e5)"
    )
    tokens_per_forward: int = Field(
        4096,
        ge=1,
        description="padded tokens in one forward pass; speed and memory only, no effect on results",
    )
    bootstrap_resamples: int = Field(
        200,
        ge=0,
        description="resamples of the prompts for the cosine's interval (main/train.py@c3565e5, base model)",
    )
    bootstrap_seed: int = Field(
        12345, ge=0, description="seed of the resampling (main/train.py@c3565e5, base model)"
    )
    truncation: Truncation = Field(
        "left",
        description="side on which a long extraction prompt loses tokens; right = the release, which cuts off the "
        "assistant header, so that t_post and t_inst fall into the user's text (main/directions.py@c3565e5)",
    )
    helpful_baseline: Baseline = Field(
        "pairs",
        description="what response activations are compared with; empty = the release's Qwen run, whose helpful "
        "responses are empty, so that the baseline is the zero vector (main/train.py@c3565e5, advbench mode)",
    )
    position_template: PositionTemplate = Field(
        "chat",
        description="template under which prompt directions are read; raw = the release's Qwen run, which reads them "
        "under Zhao et al.'s template but trains under the chat template (main/extract_paper_method.py@c3565e5)",
    )
    null: Null = Field(
        "none",
        description="null control: random unit vectors, or directions from prompts and pairs with shuffled labels "
        "(Stresskit's label-free control); ours, not in the release",
    )
    null_seed: int = Field(
        0, ge=0, description="seed of the null control, to which each run adds its own; ours"
    )
    layers: LayerSettings = Field(LayerSettings(), description="which slots may be trained on")

    def resolve(self, model_type: str) -> "DirectionSettings":
        """Replace `as_released` by what the release does for a model: its Qwen run differs from its Llama
        run.

        Args:
            model_type: the `model_type` of a transformers configuration.
        """
        qwen = model_type.startswith("qwen")
        released = {
            "helpful_baseline": "empty" if qwen else "pairs",
            "position_template": "raw" if qwen else "chat",
        }
        changes = {name: value for name, value in released.items() if getattr(self, name) == "as_released"}
        return self.model_copy(update=changes)

    def draw_null(self, seed: int) -> "DirectionSettings":
        """These settings with a null control of a run's own, where they have one: one draw of it would be n = 1."""
        return self if self.null == "none" else self.model_copy(update={"null_seed": self.null_seed + seed})

    def override(self, overrides: "DirectionOverrides") -> "DirectionSettings":
        """These settings with a method's own values in place of some."""
        given = overrides.model_dump(exclude_none=True)
        layers = self.layers.model_copy(update={k: given.pop(k) for k in ("rule", "fixed") if k in given})
        return self.model_copy(update={**given, "layers": layers})


class DirectionOverrides(Settings):
    """What one method changes of the study's direction settings; None keeps the study's value."""

    truncation: Truncation | None = Field(None, description="see DirectionSettings")
    helpful_baseline: Baseline | None = Field(None, description="see DirectionSettings")
    position_template: PositionTemplate | None = Field(None, description="see DirectionSettings")
    null: Null | None = Field(None, description="see DirectionSettings")
    rule: Rule | None = Field(None, description="see LayerSettings")
    fixed: tuple[int, ...] | None = Field(None, description="see LayerSettings")
