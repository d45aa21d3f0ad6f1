"""CAST: conditional activation steering, fitted on training rows: a behaviour vector, and a condition for adding it.

(Lee et al., arXiv 2409.05907.) Departures from IBM/activation-steering@52be602: each pair's own suffix length is
averaged (there the first pair's serves all); suffixes follow the generation prompt, as an answer does; thresholds are
the midpoints between observed similarities rather than a grid; the search is scored on rows that the vectors were not
fitted on.
"""

from __future__ import annotations

import random
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from harc.core.errors import ConfigError, DataError
from harc.core.lazy import Float, torch
from harc.core.placeholder import refuse_placeholders
from harc.settings.methods import Look, Method, Section
from harc.training.batches import ANSWERS
from harc.training.objective import locate_depth

if TYPE_CHECKING:
    from harc.model.backbones import Backbone
    from harc.model.steering import Condition
    from harc.settings.training import MethodSettings

Row = Mapping[str, Any]


class SteeringSettings(Section):
    """CAST: conditional activation steering (Lee et al., arXiv 2409.05907; IBM/activation-steering@52be602)."""

    key: ClassVar = "steering"
    title: ClassVar = "CAST"

    strength: float = Field(
        0.5,
        ge=0,
        description="length of the added behaviour vector, in `strength_unit`; 0 leaves the model as it is",
    )
    strength_unit: Literal["residual_norm", "absolute"] = Field(
        "residual_norm",
        description="residual_norm = share of the mean residual length at that slot (ours: one value for any model); "
        "absolute = in activation units, as published (quick start: 1.5)",
    )
    behaviour_depths: tuple[float, float] = Field(
        (0.5, 0.75),
        description="first and last slot at which the behaviour vector is added (share of the blocks; outputs of "
        "layers 15 to 23 of 32 in the quick start)",
    )
    condition_depths: tuple[float, float] = Field(
        (0.0625, 0.3125),
        description="first and last slot among which the condition is searched (share of the blocks; outputs of "
        "layers 1 to 9 of 32 in the quick start); all lie before the behaviour's",
    )
    held_out_share: float = Field(
        0.25,
        gt=0,
        lt=1,
        description="share of the rows on which conditions are scored; the published search scores those it fits; ours",
    )
    max_pairs: int = Field(
        4050,
        ge=2,
        description="most contrastive pairs of each kind (condition pairs of the quick start: 4,050)",
    )

    @model_validator(mode="after")
    def _check_order(self) -> SteeringSettings:
        (first, last), (start, end) = self.condition_depths, self.behaviour_depths
        if not 0 < first <= last < start <= end <= 1:
            raise ValueError(
                "condition_depths, behaviour_depths: expected 0 < first <= last < first <= last <= 1, since the "
                f"condition is read before the behaviour acts; found {first}, {last}, {start}, {end}; mend them"
            )
        return self


METHOD = Method("cast", 50, section=SteeringSettings, fitted=True)
PRESETS = {"cast": {"objective": "cast"}}
LOOKS = {"cast": Look("CAST", 50, ("#8C564B", ">", (0, (2, 2))), is_baseline=True)}


def fit_steering(
    backbone: Backbone, rows: Sequence[Row], settings: MethodSettings, seed: int, out_dir: Path | str
) -> dict[str, Any]:
    """Fit CAST and write its folder, whole or not at all.

    Args:
        backbone: plain model.
        rows: training rows as every method sees them: category, prompt, response, rejected.
        settings: the method; `steering` and the token limits are read.
        seed: of the split into fitted and held-out rows.
        out_dir: steering.safetensors, steering.json, base_model.json, training_log.jsonl (the search).

    Returns:
        wall_s (seconds) and the condition.

    Raises:
        DataError: for rows of one category alone.
        ConfigError: if the model is too shallow for the depths.
    """
    from harc.core.files import atomic_directory, write_json, write_jsonl
    from harc.model.handle import BASE_RECORD, describe_base
    from harc.model.steering import Steering, save_steering
    from harc.training.rows import drop_leaked_rows, hold_out_rows

    started = time.monotonic()
    own = SteeringSettings.of(settings)
    refuse_placeholders("training rows", (row.get(name) for row in rows for name in ANSWERS))
    rows, _ = drop_leaked_rows(rows, settings)
    rows, _ = hold_out_rows(rows, None, settings)
    fitted, held_out = split_rows(rows, own.held_out_share, seed)
    slots = locate_slots(own, backbone.n_layers)
    condition, vector, log = search_condition(backbone, fitted, held_out, slots["condition"], settings)
    _warn_if_constant(condition)
    vectors, lengths = fit_behaviour(backbone, fitted, slots["behaviour"], settings)
    scale = {slot: lengths[slot] if own.strength_unit == "residual_norm" else 1.0 for slot in vectors}
    additions = {slot: own.strength * scale[slot] * vectors[slot] for slot in vectors} if own.strength else {}
    details = {"strength": own.strength, "strength_unit": own.strength_unit, "residual_norms": lengths}
    with atomic_directory(Path(out_dir)) as folder:
        save_steering(folder, Steering(vector, additions, condition), details)
        write_json(folder / BASE_RECORD, describe_base(backbone.causal_lm))
        write_jsonl(folder / "training_log.jsonl", log)
    return {"wall_s": time.monotonic() - started, "condition": condition}


def locate_slots(settings: SteeringSettings, n_layers: int) -> dict[str, list[int]]:
    """Slots of the condition search and of the behaviour.

    Raises:
        ConfigError: if the two meet on a model of this depth.
    """
    bounds = {
        "condition": [locate_depth(depth, n_layers) for depth in settings.condition_depths],
        "behaviour": [locate_depth(depth, n_layers) for depth in settings.behaviour_depths],
    }
    if bounds["condition"][1] >= bounds["behaviour"][0] or bounds["behaviour"][1] >= n_layers:
        raise ConfigError(
            "steering.condition_depths, steering.behaviour_depths",
            expected=f"slots in order, below {n_layers}",
            found=f"condition {bounds['condition']}, behaviour {bounds['behaviour']}",
            fix="move the depths apart for a model this shallow",
        )
    return {name: list(range(first, last + 1)) for name, (first, last) in bounds.items()}


def split_rows(rows: Sequence[Row], share: float, seed: int) -> tuple[list[Row], list[Row]]:
    """(fitted, held out): the share of each category, at least one row, drawn by the seed.

    Raises:
        DataError: if harmful or benign rows are too few to be split.
    """
    fitted, held_out = [], []
    for harmful in (True, False):
        own = [row for row in rows if (row["category"] == "harmful") == harmful]
        if len(own) < 2:
            raise DataError(
                "training rows",
                expected=f"at least 2 {'harmful' if harmful else 'benign'} rows to fit and to hold out",
                found=str(len(own)),
                fix="add rows: a condition tells harmful prompts from benign ones",
            )
        random.Random(f"steering {seed} {harmful}").shuffle(own)
        count = min(max(1, round(share * len(own))), len(own) - 1)
        held_out += own[:count]
        fitted += own[count:]
    return fitted, held_out


def read_means(
    backbone: Backbone,
    texts: Sequence[tuple[str, str | None]],
    slots: Sequence[int],
    settings: MethodSettings,
) -> tuple[Float[torch.Tensor, "texts slots hidden"], Float[torch.Tensor, " slots"]]:
    """(mean residual over the prompt, or over the response where there is one; mean length at t_post) per slot."""
    from harc.model.activations import Reading, stream_residuals

    chat, readings = backbone.chat, []
    prompts = chat.encode_prompts([prompt for prompt, _ in texts], settings.max_prompt_tokens)
    for ids, (_, response) in zip(prompts, texts, strict=True):
        answer = (
            [] if response is None else chat.encode_responses([response], settings.max_response_tokens)[0]
        )
        window = (len(ids), len(ids) + len(answer)) if answer else (0, len(ids))
        readings.append(Reading((*ids, *answer), *chat.locate_positions(ids), window=window))
    means = torch.zeros(len(texts), len(slots), backbone.hidden_size)
    lengths = torch.zeros(len(slots))
    stream = stream_residuals(
        backbone, readings, last_slot=max(slots), tokens_per_forward=settings.tokens_per_forward
    )
    for residuals in stream:
        means[residuals.rows] = residuals.resp[:, slots].cpu()
        lengths += residuals.post[:, slots].norm(dim=-1).sum(0).cpu()
    return means, lengths / len(texts)


def find_component(differences: Float[torch.Tensor, "pairs hidden"]) -> Float[torch.Tensor, " hidden"]:
    """First principal component of pairs centred at their midpoints, pointing to the positive side.

    Centred pairs are +d/2 and -d/2, whose mean is zero: the component is the top eigenvector of sum d d^T.
    """
    exact = differences.double()
    vector = torch.linalg.eigh(exact.T @ exact).eigenvectors[:, -1]
    return (vector if (exact @ vector).mean() >= 0 else -vector).float()


def fit_behaviour(
    backbone: Backbone, rows: Sequence[Row], slots: Sequence[int], settings: MethodSettings
) -> tuple[dict[int, torch.Tensor], dict[int, float]]:
    """(unit vector, mean residual length) by slot, from benign prompts answered and refused."""
    benign = [row for row in rows if row["category"] != "harmful" and (row.get("rejected") or "").strip()]
    benign = benign[: SteeringSettings.of(settings).max_pairs]
    if not benign:
        raise DataError(
            "training rows",
            expected="benign rows with a refusal in field 'rejected'",
            found="none",
            fix="add the field: the behaviour vector leads from answers to refusals",
        )
    refused, _ = read_means(backbone, [(row["prompt"], row["rejected"]) for row in benign], slots, settings)
    answered, lengths = read_means(
        backbone, [(row["prompt"], row["response"]) for row in benign], slots, settings
    )
    vectors = {slot: find_component((refused - answered)[:, place]) for place, slot in enumerate(slots)}
    return vectors, {slot: round(float(lengths[place]), 6) for place, slot in enumerate(slots)}


def search_condition(
    backbone: Backbone,
    fitted: Sequence[Row],
    held_out: Sequence[Row],
    slots: Sequence[int],
    settings: MethodSettings,
) -> tuple[Condition, Float[torch.Tensor, " hidden"], list[dict[str, Any]]]:
    """The best condition by F1 on held-out rows, its vector, and a log row per slot; ties go to the earlier slot."""
    from harc.model.steering import measure_similarity

    means, _ = read_means(backbone, [(row["prompt"], None) for row in [*fitted, *held_out]], slots, settings)
    harmful = torch.tensor([row["category"] == "harmful" for row in [*fitted, *held_out]])
    train, test = means[: len(fitted)], means[len(fitted) :]
    count = min(
        int(harmful[: len(fitted)].sum()),
        int((~harmful[: len(fitted)]).sum()),
        SteeringSettings.of(settings).max_pairs,
    )
    tried, log = [], []
    for place, slot in enumerate(slots):
        sides = [train[harmful[: len(fitted)] == side, place][:count] for side in (True, False)]
        vector = find_component(sides[0] - sides[1])
        found = choose_threshold(measure_similarity(test[:, place], vector), harmful[len(fitted) :], slot)
        log.append({"step": slot, "f1": found.f1, "threshold": found.threshold, "fires": found.fires})
        tried.append((found, vector))
    return *max(tried, key=lambda pair: pair[0].f1), log


def choose_threshold(similarity: Float[torch.Tensor, " rows"], harmful: torch.Tensor, slot: int) -> Condition:
    """The threshold and side with the best F1, over all midpoints between neighbouring similarities and both ends."""
    from harc.model.steering import Condition

    values = similarity.double().sort().values
    inner = (values[1:] + values[:-1]) / 2
    cuts = torch.cat([values[:1] - 1e-6, inner, values[-1:] + 1e-6])
    best = []
    for fires in ("above", "below"):
        fired = (
            similarity.double() > cuts[:, None] if fires == "above" else similarity.double() < cuts[:, None]
        )
        hits = (fired & harmful).sum(1).double()
        f1 = 2 * hits / (fired.sum(1) + harmful.sum()).clamp_min(1)
        place = int(f1.argmax())
        rates = [float(fired[place][side].double().mean()) for side in (harmful, ~harmful)]
        best.append(Condition(slot, float(cuts[place]), fires, float(f1[place]), *rates))
    return max(best, key=lambda condition: condition.f1)


def _warn_if_constant(condition: Condition) -> None:
    """Say so where the best condition does not tell prompts apart: CAST is then plain steering, or nothing."""
    rates = (condition.harmful_rate, condition.benign_rate)
    for value, word in ((0.0, "never"), (1.0, "always")):
        if rates == (value, value):
            warnings.warn(
                f"CAST's condition {word} fires on held-out prompts (harmful {rates[0]:.2f}, benign {rates[1]:.2f}; "
                f"slot {condition.slot}, F1 {condition.f1:.2f}): the prompts cannot be told apart there",
                stacklevel=3,
            )
