"""Extracting directions from a model in one sweep over its prompts and answers.

Means are summed on the device in float64 and moved once; the bootstrap is a weighted sum kept per resample,
so memory does not grow with the number of prompts. A prompt that is also the prompt of a pair is read in the
pair's pass.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from harc.core.errors import DataError
from harc.core.placeholder import refuse_placeholders
from harc.geometry.directions import FAMILIES, Directions, normalize_rows, randomize_directions
from harc.model.activations import Reading, Residuals, check_finite, stream_residuals
from harc.model.backbones import Backbone
from harc.settings.directions import COSINES, DirectionSettings

PROMPT_GROUPS = ("harmful", "harmless")
RESPONSE_GROUPS = ("harm", "refuse", "helpful")
# Which response direction (harmful, refusing) a group's mean adds to or takes from: each is less the helpful answers.
ANSWER_SIGNS = (((0, 1),), ((1, 1),), ((0, -1), (1, -1)))
LEAST_CONTRAST = 1e-5  # of the means' size, in any slot; rounding alone moves float32 states by some 1e-7


@dataclass(frozen=True)
class ResponsePairs:
    """(prompt, response) pairs by kind: harmful answers, refusals, helpful answers."""

    harm: Sequence[tuple[str, str]]
    refuse: Sequence[tuple[str, str]]
    helpful: Sequence[tuple[str, str]]


@dataclass
class _Entry:
    """One token sequence to read, and the groups that its readings count for."""

    reading: Reading
    prompt: tuple[int, int] | None = None  # (prompt group, place within it)
    response: tuple[int, int] | None = None  # (response group, place within it)


def extract_directions(
    backbone: Backbone,
    harmful: Sequence[str],
    harmless: Sequence[str],
    pairs: ResponsePairs | None,
    settings: DirectionSettings,
    *,
    resamples: int | None = None,
    bootstrap_seed: int | None = None,
) -> Directions:
    """Read the direction families of a model.

    Args:
        backbone: model in evaluation mode, with its adapter on if it has one.
        harmful, harmless: single-turn prompts.
        pairs: teacher-forced answers; None leaves the response side out.
        settings: how to read; `as_released` values are resolved by the model's type.
        resamples, bootstrap_seed: in place of the settings' own, at a refresh.

    Raises:
        DataError: for an empty side, or an empty response.
        ModelError: for NaN activations, or a chat template whose user text cannot be located.
    """
    settings = settings.resolve(backbone.text_config.model_type)
    entries = _plan_entries(backbone, (harmful, harmless), pairs, settings)
    counts = {name: len(group) for name, group in zip(PROMPT_GROUPS, (harmful, harmless), strict=True)}
    resamples = settings.bootstrap_resamples if resamples is None else resamples
    seed = settings.bootstrap_seed if bootstrap_seed is None else bootstrap_seed
    answers = _count_answers(entries)
    drawn = [
        draw_resamples(sizes, resamples, seed + n) for n, sizes in enumerate((list(counts.values()), answers))
    ]
    sums = _Sums(backbone, list(counts.values()), *drawn)
    readings = [entry.reading for entry in entries]
    for residuals in stream_residuals(backbone, readings, tokens_per_forward=settings.tokens_per_forward):
        sums.add(entries, residuals)
    directions = sums.finish(settings, with_responses=pairs is not None)
    return randomize_directions(directions, settings.null_seed) if settings.null == "random" else directions


def _plan_entries(
    backbone: Backbone,
    prompts: tuple[Sequence[str], Sequence[str]],
    pairs: ResponsePairs | None,
    settings: DirectionSettings,
) -> list[_Entry]:
    for name, group in zip(PROMPT_GROUPS, prompts, strict=True):
        _check_group(f"{name} prompts", group)
    entries = [] if pairs is None else _plan_pairs(backbone, pairs, settings)
    free = {entry.reading.ids[: entry.reading.t_post + 1]: entry for entry in reversed(entries)}
    chat = replace(backbone.chat, template=settings.position_template)
    for side, texts in enumerate(prompts):
        encoded = chat.encode_prompts(texts, settings.max_prompt_tokens, settings.truncation)
        for place, ids in enumerate(encoded):
            entry = free.pop(tuple(ids), None)
            if entry is None:
                entry = _Entry(Reading(tuple(ids), *chat.locate_positions(ids)))
                entries.append(entry)
            entry.prompt = (side, place)
    if settings.null == "permuted_labels":
        _permute_labels(entries, settings.null_seed)
    return entries


def _plan_pairs(backbone: Backbone, pairs: ResponsePairs, settings: DirectionSettings) -> list[_Entry]:
    """Entries of the response side: prompt cut on the left, response cut on the right, then to the window."""
    chat = backbone.chat
    entries = []
    for group, name in enumerate(RESPONSE_GROUPS):
        rows = getattr(pairs, name)
        if name == "helpful" and settings.helpful_baseline == "empty":
            continue
        _check_group(f"{name} pairs", rows)
        refuse_placeholders(f"{name} pairs", (response for _, response in rows))
        prompts = chat.encode_prompts([prompt for prompt, _ in rows], settings.max_prompt_tokens)
        responses = chat.encode_responses([response for _, response in rows], settings.max_response_tokens)
        for place, (prompt, response) in enumerate(zip(prompts, responses, strict=True)):
            ids = (*prompt, *response[: settings.response_window])
            reading = Reading(ids, *chat.locate_positions(prompt), window=(len(prompt), len(ids)))
            entries.append(_Entry(reading, response=(group, place)))
    return entries


def _count_answers(entries: list[_Entry]) -> list[int]:
    """Answers of each response group."""
    held = [entry.response[0] for entry in entries if entry.response is not None]
    return [held.count(group) for group in range(len(RESPONSE_GROUPS))]


def _check_group(name: str, group: Sequence[Any]) -> None:
    if not group:
        raise DataError(
            name,
            expected="at least one row",
            found="none",
            fix="give both sides of the contrast a file with rows",
        )


def _check_contrasts(families: dict[str, Float[Tensor, "slots hidden"]], size: float) -> None:
    """Refuse two groups whose means are the same but for rounding in every slot: their direction would be noise."""
    for name, part in families.items():
        largest = float(part.norm(dim=-1).max())
        if largest <= LEAST_CONTRAST * size:
            raise DataError(
                f"direction {name}",
                expected="two groups of texts that the model reads differently",
                found=f"means that differ by {largest / max(size, 1e-30):.1g} of their size at most",
                fix="check that the two sides are not the same texts",
            )


def _permute_labels(entries: list[_Entry], seed: int) -> None:
    """Shuffle which group each prompt and each response counts for; group sizes stay."""
    generator = torch.Generator().manual_seed(seed)
    for name in ("prompt", "response"):
        labelled = [entry for entry in entries if getattr(entry, name) is not None]
        labels = [getattr(entry, name) for entry in labelled]
        for entry, place in zip(
            labelled, torch.randperm(len(labels), generator=generator).tolist(), strict=True
        ):
            setattr(entry, name, labels[place])


def draw_resamples(sizes: list[int], resamples: int, seed: int) -> list[Float[Tensor, "resamples samples"]]:
    """How often each resample holds each prompt, by group, drawn in the release's order."""
    generator = torch.Generator().manual_seed(seed)
    drawn: list[list[Tensor]] = [[] for _ in sizes]
    for _ in range(resamples):
        for group, size in enumerate(sizes):
            picks = torch.randint(0, max(1, size), (size,), generator=generator)
            drawn[group].append(torch.bincount(picks, minlength=size))
    return [
        torch.stack(rows).double() if rows else torch.zeros(0, size)
        for rows, size in zip(drawn, sizes, strict=True)
    ]


class _Sums:
    """Running sums on the device, over the batches of one extraction."""

    def __init__(
        self, backbone: Backbone, sizes: list[int], resamples: list[Tensor], answers: list[Tensor]
    ) -> None:
        self.device = backbone.device
        self.kind = torch.float32 if self.device.type == "mps" else torch.float64
        shape = (backbone.n_slots, backbone.hidden_size)
        self.sizes = sizes
        self.weights = [self._weigh(part) for part in resamples]
        self.answer_weights = [self._weigh(part) for part in answers]
        self.prompt = torch.zeros(2, 2, *shape, dtype=self.kind, device=self.device)  # group, position
        self.resampled = torch.zeros(len(resamples[0]), 2, *shape, dtype=self.kind, device=self.device)
        self.resampled_answers = torch.zeros_like(self.resampled)  # harmful, refusing; each less the helpful
        self.response = torch.zeros(3, *shape, dtype=self.kind, device=self.device)
        self.response_counts = [0, 0, 0]

    def _weigh(self, resamples: Float[Tensor, "resamples samples"]) -> Float[Tensor, "resamples samples"]:
        """Each sample's weight in the mean of a resample."""
        return (resamples / max(1, resamples.shape[1])).to(self.device, self.kind)

    def add(self, entries: list[_Entry], residuals: Residuals) -> None:
        """Count one batch."""
        batch = [entries[row] for row in residuals.rows]
        both = torch.stack([residuals.inst, residuals.post], dim=1).to(self.kind)
        for group, sign in ((0, 1), (1, -1)):
            places = {row: e.prompt[1] for row, e in enumerate(batch) if e.prompt and e.prompt[0] == group}
            if rows := list(places):
                self.prompt[group] += both[rows].sum(0)
                weights = self.weights[group][:, list(places.values())]
                self.resampled += sign * torch.einsum("kb,bpsh->kpsh", weights, both[rows])
        for group in range(3):
            places = {
                row: e.response[1] for row, e in enumerate(batch) if e.response and e.response[0] == group
            }
            if rows := list(places):
                read = residuals.resp[rows].to(self.kind)
                self.response[group] += read.sum(0)
                self.response_counts[group] += len(rows)
                mean = torch.einsum("kb,bsh->ksh", self.answer_weights[group][:, list(places.values())], read)
                for side, sign in ANSWER_SIGNS[group]:
                    self.resampled_answers[:, side] += sign * mean

    def finish(self, settings: DirectionSettings, *, with_responses: bool) -> Directions:
        """Directions from the sums, moved to the CPU in one go."""
        means = self.prompt / torch.tensor(self.sizes, device=self.device).view(2, 1, 1, 1)
        sizes = torch.tensor(self.response_counts, device=self.device).clamp_min(1).view(3, 1, 1)
        answers = self.response / sizes
        answers[:, -1] = 0
        raw = torch.stack([*(means[0] - means[1]), answers[0] - answers[2], answers[1] - answers[2]])
        raw = raw.float().cpu()
        check_finite(raw, "activations")
        names = ("v_harm", "v_ref", "v_harm_resp", "v_ref_resp")[: 4 if with_responses else 2]
        _check_contrasts(dict(zip(names, raw, strict=False)), float(means.norm(dim=-1).max()))
        groups = zip((*PROMPT_GROUPS, *RESPONSE_GROUPS), (*self.sizes, *self.response_counts), strict=True)
        return Directions(
            **{name: normalize_rows(part) for name, part in zip(names, raw, strict=False)},
            norms={name: part.norm(dim=-1) for name, part in zip(names, raw, strict=False)},
            counts=dict(groups),
            bootstrap=self._summarize_resamples("prompt"),
            bootstrap_pairs=self._summarize_pairs() if with_responses else {},
            settings=settings.model_dump(mode="json", exclude={"layers", "tokens_per_forward"}),
        )

    def _summarize_pairs(self) -> dict[str, Float[Tensor, " slots"]]:
        """Cosines with the response side over resampled prompts and answers, which are drawn apart."""
        self.resampled_answers[:, :, -1] = 0
        return {
            f"{pair}.{name}": value
            for pair in COSINES
            if pair != "prompt"
            for name, value in self._summarize_resamples(pair).items()
        }

    def _summarize_resamples(self, pair: str) -> dict[str, Float[Tensor, " slots"]]:
        if not len(self.resampled):
            return {}
        drawn = dict(
            zip(FAMILIES, (*self.resampled.unbind(1), *self.resampled_answers.unbind(1)), strict=True)
        )
        both = torch.stack([drawn[name] for name in COSINES[pair]], dim=1)
        unit = both / both.norm(dim=-1, keepdim=True).clamp_min(1e-8)
        cosine = unit.prod(dim=1).sum(-1).float().cpu()
        low, high = torch.quantile(cosine, torch.tensor([0.025, 0.975]), dim=0)
        return {"mean": cosine.mean(0), "lo": low, "hi": high}
