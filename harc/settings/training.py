"""Settings of adapter training: one model for every trained method; presets give its defaults."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from harc.settings.base import PartOf, Settings
from harc.settings.baselines import (
    CircuitBreakerSettings,
    PreferenceSettings,
    RepBendSettings,
    SteeringSettings,
)
from harc.settings.directions import DirectionOverrides
from harc.settings.presets import METHOD_PRESETS, MethodName, choose_preset

SEVEN_PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


Objective = Literal["harc", "sft", "dpo", "cb", "repbend", "joint", "cast"]


class LoraSettings(Settings):
    """Shape of the low-rank adapter."""

    rank: int = Field(
        32, ge=1, description="rank of each update (lora_r, main/configs/llama3.1_8b.yaml@c3565e5)"
    )
    alpha: float = Field(64, gt=0, description="scale numerator: updates count alpha/rank (same file)")
    dropout: float = Field(
        0.0, ge=0, lt=1, description="dropout before each update (lora_dropout, main/train.py@c3565e5)"
    )
    targets: tuple[str, ...] = Field(
        SEVEN_PROJECTIONS,
        min_length=1,
        description="names of the linear layers that get an update, or ('all-linear',) for every linear "
        "layer but "
        "the head, which suits families with other names (lora_targets, main/train.py@c3565e5)",
    )


class BatchSettings(Settings):
    """Rows of one micro-batch by category, and how many micro-batches make an update."""

    harmful: int = Field(
        6, ge=0, description="rows a micro-batch (micro_batch_harmful, main/train.py@c3565e5)"
    )
    harmless: int = Field(
        4, ge=0, description="rows a micro-batch (micro_batch_harmless, main/train.py@c3565e5)"
    )
    pseudo_harmful: int = Field(
        2, ge=0, description="rows a micro-batch (micro_batch_pseudo, main/train.py@c3565e5)"
    )
    accumulation: int = Field(
        2, ge=1, description="micro-batches an update (grad_accum, main/train.py@c3565e5)"
    )

    @property
    def counts(self) -> dict[str, int]:
        """Rows of each category in a micro-batch, in the release's order."""
        return {"harmful": self.harmful, "harmless": self.harmless, "pseudo_harmful": self.pseudo_harmful}


class LossSettings(Settings):
    """Weights of the loss terms."""

    couple: float = Field(
        1.0, ge=0, description="weight of the prompt-side coupling (lambda_couple, YAML@c3565e5)"
    )
    couple_resp: float = Field(
        1.0, ge=0, description="weight of the response-side coupling (lambda_couple_resp)"
    )
    kl: float = Field(10.0, ge=0, description="weight of KL(base || adapted) on benign rows (lambda_kl)")
    ce: float = Field(1.0, ge=0, description="weight of cross-entropy on harmful rows' refusals (lambda_ce)")
    benign_ce: float = Field(
        0.0,
        ge=0,
        description="weight of cross-entropy on benign rows' answers, for refusal SFT with benign data; ours",
    )
    margin: float = Field(
        0.5,
        gt=0,
        le=1,
        description="cosine that harmful rows must reach (coupling_margin; 0.5 in YAML and "
        "HYPERPARAMS.md, 0.3 in main/train.py and main/losses.py@c3565e5)",
    )


class MethodSettings(Settings):
    """One adapter's training run; steps count what `step_unit` says. Values not given are the preset's."""

    preset: MethodName = Field("harc", description="named set of defaults that the other values override")
    objective: Objective = Field(
        "harc",
        description="what is minimised: harc, sft (token terms alone), dpo, cb (Circuit Breakers), repbend, joint "
        "(HARC's loss and DPO's together); cast is fitted, not trained",
    )
    start_from: str | None = Field(
        None,
        description="method of the study whose adapter is merged into the base first; the saved adapter holds "
        "both updates, so that it loads on the base alone (the release's holds the second one only: "
        "main/train_dpo.py@c3565e5)",
    )
    steps: int = Field(
        400, ge=1, description="length of the run in steps (max_steps, main/configs/llama3.1_8b.yaml)"
    )
    learning_rate: float = Field(1e-4, gt=0, description="AdamW's rate after warm-up (lr)")
    warmup_steps: int = Field(100, ge=0, description="steps of linear warm-up, constant after it (warmup)")
    weight_decay: float = Field(
        0.01, ge=0, description="AdamW's decay (torch's default, which the release uses)"
    )
    max_prompt_tokens: int = Field(256, ge=8, description="most tokens of a prompt (main/collate.py@c3565e5)")
    max_response_tokens: int = Field(
        256, ge=1, description="most tokens of a response, the end token on top (main/collate.py@c3565e5)"
    )
    lora: LoraSettings = Field(LoraSettings(), description="shape of the adapter")
    batch: BatchSettings = Field(BatchSettings(), description="rows of a micro-batch")
    loss: LossSettings = Field(LossSettings(), description="weights of the loss terms")
    preference: PreferenceSettings = Field(PreferenceSettings(), description="DPO; read by dpo and joint")
    circuit_breakers: CircuitBreakerSettings = Field(
        CircuitBreakerSettings(), description="Circuit Breakers; read by cb"
    )
    repbend: RepBendSettings = Field(RepBendSettings(), description="RepBend; read by repbend")
    steering: SteeringSettings = Field(SteeringSettings(), description="CAST; read by cast")
    directions: DirectionOverrides = Field(
        DirectionOverrides(), description="what this method changes of the study's direction settings"
    )
    k_initial: int = Field(2, ge=1, description="number of slots trained on at first (K_layers_initial)")
    k_final: int = Field(4, ge=1, description="number of slots after the ramp (K_layers_final)")
    k_ramp_step: int = Field(1000, ge=0, description="step at which k_final takes over (K_ramp_step)")
    refresh_every: int = Field(
        200, ge=0, description="steps between re-readings of the directions (K_recompute); 0: never"
    )
    refresh_weight: float = Field(
        0.3, ge=0, le=1, description="weight of the fresh directions in the blend (beta_ema)"
    )
    refresh_resamples: int = Field(
        100, ge=0, description="bootstrap resamples at a refresh, seeded by the step (main/train.py@c3565e5)"
    )
    held_out_rows: int = Field(
        100,
        ge=0,
        description="rows of each of harmful and harmless kept from training for the projections logged at "
        "a refresh, unless validation rows are given; at most a tenth of the rows (VALIDATE_*_N, "
        "main/data.py@c3565e5)",
    )
    kl_first_token: Literal["anchored", "skipped"] = Field(
        "anchored",
        description="whether KL covers the distribution at t_post, which chooses the first response "
        "token; skipped = "
        "the release, whose mask is not shifted against the logits (kl_retain_loss, main/losses.py@c3565e5)",
    )
    refresh_from: Literal["previous", "base"] = Field(
        "previous",
        description="what fresh directions are blended with: previous = an exponential average, as "
        "documented "
        "(HYPERPARAMS.md@c3565e5); base = always the base model's, as coded (recompute_directions, "
        "main/train.py)",
    )
    step_unit: Literal["update", "micro_batch"] = Field(
        "update",
        description="what steps, warm-up, ramp and refresh count: update = optimiser updates, as documented; "
        "micro_batch = loop turns, as coded (main/train.py@c3565e5), half as many updates",
    )
    xstest_in_training: bool = Field(
        False,
        description="keep training rows whose `source` is xstest; true = the release, which trains on "
        "230 XSTest "
        "prompts and reports over-refusal on XSTest (main/data.py@c3565e5)",
    )
    precision: Literal["no", "bf16"] = Field(
        "no",
        description="autocast in the loop; the release uses none and loads the base in bf16 "
        "(main/train.py@c3565e5)",
    )
    gradient_checkpointing: bool = Field(
        False, description="recompute block activations in the backward pass: less memory, a third more time"
    )
    tokens_per_forward: int = Field(
        4096,
        ge=1,
        description="padded tokens in one forward pass; a micro-batch is split by length to fit, with the "
        "same gradient: speed and memory only",
    )
    shard: bool = Field(
        False,
        description="whether the processes of a run share one copy of the frozen blocks, each holding a part (torch's "
        "fully_shard, FSDP2), in place of a copy each; a micro-batch is one pass then, whatever tokens_per_forward "
        "says; memory only; ours",
    )
    head_rows: int = Field(
        256, ge=1, description="positions whose logits exist at one time in KL and cross-entropy; memory only"
    )
    checkpoint_every: int = Field(50, ge=0, description="updates between checkpoints; 0: none")
    log_every: int = Field(
        10, ge=1, description="steps between rows of the training log (main/train.py@c3565e5)"
    )
    tracker: Literal["none", "tensorboard", "dvclive"] = Field(
        "none",
        description="where rows of the training log are shown, too, in a folder beside the adapter; needs the "
        "package of that name; no effect on results; ours",
    )

    @property
    def pass_tokens(self) -> int | None:
        """Most padded tokens of a pass; None for one pass a micro-batch: processes that share weights pass together."""
        return None if self.shard else self.tokens_per_forward

    @classmethod
    def find_preset(cls, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """What the method of that name changes of the defaults; an unknown name is refused where it is read."""
        return choose_preset(METHOD_PRESETS, given.get("preset", "harc"))

    @model_validator(mode="after")
    def _check_rows(self) -> "MethodSettings":
        if sum(self.batch.counts.values()) == 0:
            raise ValueError("batch: expected at least one row in a micro-batch; found none; raise a count")
        if self.objective == "cast" and self.start_from is not None:
            raise ValueError(
                f"start_from: expected none for objective cast, which is fitted on the base; found {self.start_from}; "
                "leave it out"
            )
        if self.objective in ("cb", "repbend"):
            self._check_both_sides()
        return self

    def _check_both_sides(self) -> None:
        """A batch needs rows to change and rows to keep; a schedule must last as long as the run."""
        counts = self.batch.counts
        harmful, benign = counts["harmful"], counts["harmless"] + counts["pseudo_harmful"]
        if not harmful or not benign:
            raise ValueError(
                f"batch: expected harmful rows (their answers are pushed away) and benign rows (kept) for objective "
                f"{self.objective}; found {harmful} harmful and {benign} benign; raise batch.harmful or batch.harmless"
            )
        schedule = self.circuit_breakers.schedule_steps
        if self.objective == "cb" and schedule is not None and schedule < self.steps:
            raise ValueError(
                f"circuit_breakers.schedule_steps: expected at least the run's {self.steps} steps, past which the "
                f"rerouting coefficient would be negative; found {schedule}; raise it or shorten the run"
            )
        if self.objective == "repbend" and harmful < 2 and self.repbend.cluster_weight:
            raise ValueError(
                "batch.harmful: expected at least 2 rows, since RepBend's cluster term compares pairs of them; "
                f"found {harmful}; raise it, or set repbend.cluster_weight to 0"
            )


READERS: dict[str, tuple[str, ...]] = {
    "preference": ("dpo", "joint"), "circuit_breakers": ("cb",), "repbend": ("repbend",), "steering": ("cast",),
    "loss.couple": ("harc", "joint"), "loss.couple_resp": ("harc", "joint"), "loss.margin": ("harc", "joint"),
    "loss": ("harc", "joint", "sft"), "kl_first_token": ("harc", "joint", "sft"),
    **dict.fromkeys(
        ("directions", "k_initial", "k_final", "k_ramp_step", "refresh_every", "refresh_weight", "refresh_resamples",
         "refresh_from"),
        ("harc", "joint"),
    ),
}  # fmt: skip
"""Settings that some objectives alone read, and which; of two that fit, the first."""
FITTING = ("preset", "objective", "steering", "max_prompt_tokens", "max_response_tokens")
"""All that a fitted method reads."""


def is_read(name: str, objective: str) -> bool:
    """Whether an objective reads a setting, given by its dotted name."""
    if objective == "cast" and name.partition(".")[0] not in FITTING:
        return False
    readers = next((who for key, who in READERS.items() if f"{name}.".startswith(f"{key}.")), None)
    return readers is None or objective in readers


def _refuse_identity(values: dict[str, Any]) -> dict[str, Any]:
    for name in ("preset", "objective", "start_from"):
        if name in values:
            raise ValueError(f"values without `{name}`, which says what a method is: name it in `methods`")
    return values


SharedTraining = Annotated[dict[str, Any], PartOf(MethodSettings), AfterValidator(_refuse_identity)]
"""Some values of methods' settings, laid over each method's own: how it is trained, never which method it is."""
