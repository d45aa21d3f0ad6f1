"""Settings of adapter training: one model for every trained method; presets give its defaults."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, Field, create_model, model_validator

from harc.settings.base import PartOf, Settings
from harc.settings.directions import DirectionOverrides
from harc.settings.methods import list_methods, list_presets, list_readers

SEVEN_PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
METHODS, PRESETS = list_methods(), list_presets()
if TYPE_CHECKING:
    Objective: TypeAlias = str
    MethodName: TypeAlias = str
else:
    Objective = Literal[tuple(METHODS)]
    MethodName = Literal[tuple(PRESETS)]


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
        description="names of the linear layers that get an update, or ('all-linear',) for every linear layer but the "
        "head, which suits families with other names (lora_targets, main/train.py@c3565e5)",
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
        description="cosine that harmful rows must reach (coupling_margin; 0.5 in YAML and HYPERPARAMS.md, 0.3 in "
        "main/train.py and main/losses.py@c3565e5)",
    )


def _list_aims() -> str:
    """Objectives with what they minimise, the default first."""
    trained = sorted((m for m in METHODS.values() if not m.fitted), key=lambda m: m.objective != "harc")
    named = [f"{m.objective} ({m.aim})" if m.aim else m.objective for m in trained]
    fitted = ", ".join(m.objective for m in METHODS.values() if m.fitted)
    return f"{', '.join(named)}; {fitted} is fitted, not trained"


class _Common(Settings):
    """What every method reads first; the sections of the methods follow."""

    preset: MethodName = Field("harc", description="named set of defaults that the other values override")
    objective: Objective = Field(
        "harc",
        description=f"what is minimised: {_list_aims()}",
    )
    start_from: str | None = Field(
        None,
        description="method of the study whose adapter is merged into the base first; the saved adapter holds both "
        "updates, so that it loads on the base alone (the release's holds the second one only: "
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


# Settings of one method alone are sections, which the methods' own files declare.
SECTIONS: dict[str, Any] = {
    section.key: (
        section,
        Field(section(), description=f"{section.title}; read by {' and '.join(list_readers(section))}"),
    )
    for method in METHODS.values()
    if (section := method.section)
}
_Sectioned = create_model("_Sectioned", __base__=_Common, **SECTIONS)


class MethodSettings(_Sectioned):
    """One adapter's training run; steps count what `step_unit` says. Values not given are the preset's."""

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
        description="rows of each of harmful and harmless kept from training for the projections logged at a refresh, "
        "unless validation rows are given; at most a tenth of the rows (VALIDATE_*_N, main/data.py@c3565e5)",
    )
    kl_first_token: Literal["anchored", "skipped"] = Field(
        "anchored",
        description="whether KL covers the distribution at t_post, which chooses the first response token; skipped = "
        "the release, whose mask is not shifted against the logits (kl_retain_loss, main/losses.py@c3565e5)",
    )
    refresh_from: Literal["previous", "base"] = Field(
        "previous",
        description="what fresh directions are blended with: previous = an exponential average, as documented "
        "(HYPERPARAMS.md@c3565e5); base = always the base model's, as coded (recompute_directions, main/train.py)",
    )
    step_unit: Literal["update", "micro_batch"] = Field(
        "update",
        description="what steps, warm-up, ramp and refresh count: update = optimiser updates, as documented; "
        "micro_batch = loop turns, as coded (main/train.py@c3565e5), half as many updates",
    )
    xstest_in_training: bool = Field(
        False,
        description="keep training rows whose `source` is xstest; true = the release, which trains on 230 XSTest "
        "prompts and reports over-refusal on XSTest (main/data.py@c3565e5)",
    )
    precision: Literal["no", "bf16"] = Field(
        "no",
        description="autocast in the loop; the release uses none and loads the base in bf16 (main/train.py@c3565e5)",
    )
    gradient_checkpointing: bool = Field(
        False, description="recompute block activations in the backward pass: less memory, a third more time"
    )
    tokens_per_forward: int = Field(
        4096,
        ge=1,
        description="padded tokens in one forward pass; a micro-batch is split by length to fit, with the same "
        "gradient: speed and memory only",
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
        description="where rows of the training log are shown, too, in a folder beside the adapter; needs the package "
        "of that name; no effect on results; ours",
    )

    @property
    def pass_tokens(self) -> int | None:
        """Most padded tokens of a pass; None for one pass a micro-batch: processes that share weights pass together."""
        return None if self.shard else self.tokens_per_forward

    @property
    def is_fitted(self) -> bool:
        """Whether the method is fitted (a steering) rather than trained (an adapter)."""
        return METHODS[self.objective].fitted

    @classmethod
    def find_preset(cls, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """What the method of that name changes of the defaults; an unknown name is refused where it is read."""
        return PRESETS.get(name, {}) if isinstance(name := given.get("preset", "harc"), str) else {}

    @model_validator(mode="after")
    def _check_rows(self) -> "MethodSettings":
        if sum(self.batch.counts.values()) == 0:
            raise ValueError("batch: expected at least one row in a micro-batch; found none; raise a count")
        if self.is_fitted and self.start_from is not None:
            raise ValueError(
                f"start_from: expected none for objective {self.objective}, which is fitted on the base; found "
                f"{self.start_from}; leave it out"
            )
        if check := METHODS[self.objective].check:
            check(self)
        return self


def _refuse_identity(values: dict[str, Any]) -> dict[str, Any]:
    for name in ("preset", "objective", "start_from"):
        if name in values:
            raise ValueError(f"values without `{name}`, which says what a method is: name it in `methods`")
    return values


SharedTraining = Annotated[dict[str, Any], PartOf(MethodSettings), AfterValidator(_refuse_identity)]
"""Some values of methods' settings, laid over each method's own: how it is trained, never which method it is."""


class TuningSettings(Settings):
    """One budget for every method: as many points each, all kept."""

    grids: dict[str, tuple[SharedTraining, ...]] = Field(
        {},
        description="points by method: what each changes of the method's settings; own choice, declared before any "
        "was run",
    )
    shared: dict[str, str] = Field(
        {},
        description="methods that take what is chosen for another, by whose name: where that other's values are to be "
        "all that they do not differ by",
    )
    seeds: tuple[int, ...] = Field(
        (0,), min_length=1, description="seeds of backbone and adapter that points are tried on"
    )
    backbones: tuple[str, ...] = Field(
        (),
        description="backbones that points are tried on, whose choice holds for all; none: every backbone",
    )
    safe_allowance: float = Field(
        0.02,
        ge=0,
        description="most safe prompts refused or answered brokenly, above the base's, mean over suites, backbones and "
        "seeds, that a point may have (share)",
    )
    benign_allowance: float = Field(
        0.03,
        ge=0,
        description="most loss of right answers to benign requests, plain and wrapped, against the base's (share)",
    )

    @model_validator(mode="after")
    def check_budget(self) -> "TuningSettings":
        """Refuse grids of different sizes: the method with more tries would look better for it."""
        sizes = {method: len(points) for method, points in self.grids.items()}
        if len(set(sizes.values())) > 1 or 0 in sizes.values():
            raise ValueError(f"grids with equally many points for every method, at least one (found {sizes})")
        for method, points in self.grids.items():
            if any(point in points[:number] for number, point in enumerate(points)):
                raise ValueError(f"grids without repeats (not that of {method})")
        for method, other in self.shared.items():
            if method in self.grids or other not in self.grids:
                raise ValueError(
                    f"shared: a method without a grid, and one with a grid (not {method}: {other})"
                )
        return self
