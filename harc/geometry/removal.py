"""What is taken out of a model to suppress refusal: spans of directions, nulls of the same size, iterated finds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from harc.core.errors import ConfigError
from harc.geometry.directions import Directions, normalize_rows
from harc.model.activations import Reading, stream_residuals
from harc.model.backbones import Backbone
from harc.model.intervention import LEAST_LENGTH, Intervention, orthonormalize
from harc.settings.directions import DirectionSettings
from harc.settings.suppression import Condition


def find_slot(depth: float, n_layers: int) -> int:
    """The slot at a depth, a share of the blocks; at least 1, since all prompts end in the same token at slot 0."""
    return max(1, round(depth * n_layers))


def take_direction(directions: Directions, family: str, slot: int) -> Float[Tensor, " hidden"]:
    """A unit direction of a slot.

    Raises:
        ConfigError: if the family was not read, or has no direction there.
    """
    found = directions.families.get(family)
    if found is None or not found[slot].count_nonzero():
        raise ConfigError(
            f"direction {family} at slot {slot}",
            expected="a direction of unit length",
            found="a family that was not read" if found is None else "none",
            fix="choose another depth or another family",
        )
    return found[slot]


def span_slots(
    vectors: Float[Tensor, "slots hidden"], first: int, count: int
) -> Float[Tensor, "count hidden"]:
    """Orthonormal rows that span the directions of `count` slots: of slot `first`, then each time the slot whose
    direction points furthest out of the span so far, so that a smaller span is part of every larger one.

    Fewer where the directions span less.
    """
    span = orthonormalize(vectors[first][None])
    while len(span) < count:
        rest = vectors - (vectors @ span.T) @ span
        lengths = rest.norm(dim=-1)
        if lengths.max() <= LEAST_LENGTH:
            break
        span = orthonormalize(torch.cat([span, vectors[int(lengths.argmax())][None]]))
    return span


def draw_span(count: int, hidden: int, seed: int) -> Float[Tensor, "count hidden"]:
    """Orthonormal rows that span a random subspace, uniformly over all directions."""
    generator = torch.Generator().manual_seed(seed)
    return orthonormalize(torch.randn(count, hidden, generator=generator))


def project_everywhere(span: Float[Tensor, "directions hidden"], n_slots: int) -> Intervention:
    """The removal of one span at every slot."""
    return Intervention(spans=dict.fromkeys(range(n_slots), span))


def set_part(removed: Intervention, states: Float[Tensor, "slots hidden"]) -> Intervention:
    """A removal that leads the stream, in each slot's span, not to zero but to that slot's given state.

    A removal of strength 1 leads all the way there, one of strength .5 half of it.
    """
    shifts = {
        slot: -removed.strength * (span.T @ (span @ states[slot])) for slot, span in removed.spans.items()
    }
    return replace(removed, shifts=shifts)


@dataclass(frozen=True)
class Contrast:
    """Residuals at the prompt's last token of harmful and of harmless prompts."""

    harmful: Float[Tensor, "prompts slots hidden"]
    harmless: Float[Tensor, "prompts slots hidden"]

    def subtract_means(self) -> Float[Tensor, "slots hidden"]:
        """Mean of the harmful minus mean of the harmless ones."""
        return self.harmful.mean(0) - self.harmless.mean(0)

    def shuffle(self, seed: int) -> "Contrast":
        """The same residuals under shuffled labels."""
        both = torch.cat([self.harmful, self.harmless])
        order = torch.randperm(len(both), generator=torch.Generator().manual_seed(seed))
        return Contrast(*both[order].split([len(self.harmful), len(self.harmless)]))

    def mix(self, seed: int) -> "Contrast":
        """Two groups of which each holds half of the harmful and half of the harmless prompts.

        Labels shuffled freely leave a part of the difference by chance, and it is by far the widest axis.
        """
        generator = torch.Generator().manual_seed(seed)
        halves = [
            side[torch.randperm(len(side), generator=generator)] for side in (self.harmful, self.harmless)
        ]
        count = min(map(len, halves)) // 2
        return Contrast(
            torch.cat([half[:count] for half in halves]),
            torch.cat([half[count : 2 * count] for half in halves]),
        )

    def measure_separation(self, slot: int) -> float:
        """Area under the curve of harmful against harmless prompts at a slot, along the difference of means of others.

        Two folds: prompts of even places are read along the direction of the odd ones, and the other way round. Near
        0.5 there is no such direction, whatever the length of the difference.
        """
        areas = []
        for own in (0, 1):
            other = Contrast(self.harmful[1 - own :: 2], self.harmless[1 - own :: 2])
            vector = other.subtract_means()[slot]
            above, below = self.harmful[own::2, slot] @ vector, self.harmless[own::2, slot] @ vector
            gaps = above[:, None] - below[None]
            areas.append(float((gaps > 0).float().mean() + 0.5 * (gaps == 0).float().mean()))
        return sum(areas) / len(areas)


def read_contrast(
    backbone: Backbone, harmful: Sequence[str], harmless: Sequence[str], settings: DirectionSettings
) -> Contrast:
    """Residuals of prompts as `extract_directions` reads v_ref: at the prompt's last token, at every slot.

    Args:
        backbone: model in evaluation mode, under whatever intervention is active.
        harmful, harmless: single-turn prompts.
        settings: how to read.
    """
    settings = settings.resolve(backbone.text_config.model_type)
    chat = replace(backbone.chat, template=settings.position_template)
    ids = chat.encode_prompts([*harmful, *harmless], settings.max_prompt_tokens, settings.truncation)
    readings = [Reading(tuple(row), *chat.locate_positions(row)) for row in ids]
    found = torch.zeros(len(readings), backbone.n_slots, backbone.hidden_size)
    for residuals in stream_residuals(backbone, readings, tokens_per_forward=settings.tokens_per_forward):
        found[residuals.rows] = residuals.post.cpu()
    return Contrast(found[: len(harmful)], found[len(harmful) :])


@dataclass(frozen=True)
class Sources:
    """Whose directions may be taken out of one model, by the names that `Condition.of` has.

    Attributes:
        directions: `own` and `base`, and `permuted` where a condition asks for it.
        slot: where conditions without a depth of their own read.
        seed: of random directions.
        harmless: mean residuals of harmless prompts, as the model reads them.
    """

    directions: Mapping[str, Directions]
    slot: int
    seed: int
    harmless: Float[Tensor, "slots hidden"]


def plan_removal(condition: Condition, sources: Sources) -> Intervention:
    """What a condition takes out, at which slots; what it adds is taken out with the other sign.

    Raises:
        ConfigError: if a direction that it names is not there.
    """
    own = sources.directions["own"]
    n_slots, hidden = own.v_ref.shape
    slot = sources.slot if condition.depth is None else find_slot(condition.depth, n_slots - 1)
    if not condition.directions:
        return Intervention()
    if condition.where == "each":
        removed = _take_own_slots(condition, sources.directions[condition.of])
        return _finish_removal(condition, removed, sources)
    if condition.of == "random":
        span = draw_span(len(condition.directions) * condition.slots, hidden, sources.seed)
    else:
        source, parts = sources.directions[condition.of], []
        for family in condition.directions:
            take_direction(source, family, slot)
            parts.append(span_slots(source.families[family], slot, condition.slots))
        span = orthonormalize(torch.cat(parts))
    if condition.how in ("project", "set_harmless"):
        where = [slot] if condition.where == "one" else range(n_slots)
        removed = Intervention(spans=dict.fromkeys(where, span), strength=condition.strength)
        return _finish_removal(condition, removed, sources)
    # Nulls are as long as what they stand in for.
    source = own if condition.of in ("random", "permuted") else sources.directions[condition.of]
    sign = 1 if condition.how == "subtract" else -1
    shift = sign * condition.strength * float(source.norms[condition.directions[0]][slot]) * span[0]
    if condition.where == "one":
        return Intervention(shifts={slot: shift})
    return Intervention(shifts=dict.fromkeys(range(n_slots), shift / n_slots))


def _finish_removal(condition: Condition, removed: Intervention, sources: Sources) -> Intervention:
    return set_part(removed, sources.harmless) if condition.how == "set_harmless" else removed


def _take_own_slots(condition: Condition, source: Directions) -> Intervention:
    """Each slot loses the directions of that slot; slots without any lose nothing."""
    families = [source.families[name] for name in condition.directions if name in source.families]
    if len(families) < len(condition.directions):
        take_direction(source, next(f for f in condition.directions if f not in source.families), 0)
    spans = {slot: orthonormalize(torch.stack([f[slot] for f in families])) for slot in range(source.n_slots)}
    return Intervention(
        spans={s: span for s, span in spans.items() if len(span)}, strength=condition.strength
    )


def permute_directions(contrast: Contrast, seed: int) -> Directions:
    """v_ref of labels shuffled within harmful and within harmless prompts, as a source of directions."""
    vectors = normalize_rows(contrast.mix(seed).subtract_means())
    return Directions(v_harm=torch.zeros_like(vectors), v_ref=vectors)
