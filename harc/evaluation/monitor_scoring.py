"""Prompts answered under a monitor, and what each axis says of them, token by token and as one score.

Scores of the prompt's side are those of the paper's plane (`harc.geometry.projections`): harmfulness at the user's last
token, refusal at the prompt's last one. Scores of the response's side are means over its first tokens.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from harc.core.errors import ConfigError
from harc.evaluation.monitor_file import COMBINED, FAMILY_OF, MonitorFile
from harc.geometry.directions import Directions
from harc.geometry.monitor import Monitor, Trace
from harc.model.backbones import Backbone
from harc.model.generation import check_lengths, choose_pad, end_token_ids

SIDES = {"prompt": ("prompt_harm", "prompt_ref"), "response": ("response_harm", "response_ref")}


def list_axes(directions: Directions, window: int) -> tuple[str, ...]:
    """Axes that directions and a window allow: those of the response need its directions, and a response."""
    return tuple(
        name for name, family in FAMILY_OF.items()
        if family in directions.families and (window or name in SIDES["prompt"])
    )  # fmt: skip


@torch.no_grad()
def watch_prompts(
    backbone: Backbone,
    directions: Directions,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    batch_size: int,
    slots: Sequence[int] | None = None,
    names: Sequence[str] | None = None,
    on_done: Callable[[int], None] = lambda count: None,
) -> Iterator[tuple[int, Trace]]:
    """(place, trace) of every prompt with its greedy answer, as the model reads it while it answers; longest first.

    Args:
        backbone: model in evaluation mode.
        directions: read on this model.
        prompts: token ids, template and generation prompt included.
        max_new_tokens: longest response, tokens; 0 reads prompts alone.
        batch_size: prompts answered together.
        slots: slots to read; all by default.
        names: of the prompts, for errors.
        on_done: called with the number of prompts of each batch.

    Raises:
        ModelError: for a prompt that does not fit the context with its answer, states that are not finite, or
            directions of another model.
    """
    # One token more: a token is read where another follows it.
    room = max_new_tokens + 1 if max_new_tokens else 0
    check_lengths(backbone.model, [len(prompt) for prompt in prompts], room, names)
    ends = end_token_ids(backbone.model, backbone.tokenizer, backbone.chat)
    pad = choose_pad(backbone.model, backbone.tokenizer, ends)
    order = sorted(range(len(prompts)), key=lambda place: (-len(prompts[place]), place))
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        width = len(prompts[batch[0]])
        rows = [[pad] * (width - len(prompts[place])) + list(prompts[place]) for place in batch]
        lengths = torch.tensor([len(prompts[place]) for place in batch])
        ids = torch.tensor(rows, device=backbone.device)
        mask = (torch.arange(width) >= width - lengths[:, None]).to(backbone.device, torch.int64)
        with Monitor(backbone, directions, slots, ends=sorted(ends)) as monitor:
            if room:
                _generate(backbone, ids, mask, room, sorted(ends), pad)
            else:
                positions = (mask.cumsum(-1) - 1).clamp_min(0)
                backbone.body(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False)
        traces = monitor.list_traces(lengths.tolist())
        on_done(len(batch))
        yield from zip(batch, traces, strict=True)


def _generate(backbone: Backbone, ids: Any, mask: Any, tokens: int, ends: list[int], pad: int) -> None:
    """Answer greedily, whatever sampling the model's own settings name."""
    from transformers import GenerationConfig

    settings = GenerationConfig(do_sample=False, max_new_tokens=tokens, eos_token_id=ends, pad_token_id=pad)
    backbone.model.generate(ids, attention_mask=mask, generation_config=settings)


def score_trace(
    trace: Trace, axes: Sequence[str], suffix: int, window: int
) -> dict[str, Float[np.ndarray, " slots"]]:
    """The score of each axis at every slot that was read; NaN for an answer without tokens.

    Args:
        trace: a prompt with its answer.
        axes: which.
        suffix: tokens that the chat template puts after the user's text.
        window: response tokens that count.
    """
    scores = {}
    for name in axes:
        values = trace.take_side(FAMILY_OF[name])
        if name == "prompt_harm":
            scores[name] = values[-1 - suffix]
        elif name == "prompt_ref":
            scores[name] = values[-1]
        elif len(values):
            scores[name] = values[:window].mean(0)
        else:
            scores[name] = np.full(len(trace.slots), np.nan, dtype=np.float32)
    return scores


@dataclass(frozen=True)
class Reading:
    """What a calibrated monitor says of one prompt and its answer.

    Attributes:
        pieces: the text of each token, the template's included.
        prompt_tokens: how many of them are the prompt.
        positions: places of the user's last token and of the prompt's last one.
        tokens: by axis, the cosine of each token of its side.
        scores: by axis, and combined; NaN where there is none.
        flags: whether each score lies above its threshold.
    """

    pieces: tuple[str, ...]
    prompt_tokens: int
    positions: tuple[int, int]
    tokens: dict[str, Float[np.ndarray, " tokens"]]
    scores: dict[str, float]
    flags: dict[str, bool]


def read_prompts(
    monitor: MonitorFile,
    backbone: Backbone,
    prompts: Sequence[str],
    *,
    max_new_tokens: int | None = None,
    batch_size: int = 8,
    names: Sequence[str] | None = None,
    on_done: Callable[[int], None] = lambda count: None,
) -> list[Reading]:
    """What a monitor says of each prompt.

    Args:
        monitor: calibrated on this model.
        backbone: the model.
        prompts: user turns.
        max_new_tokens: tokens of an answer that are shown; the monitor's window by default, and never fewer.
        batch_size, names, on_done: of `watch_prompts`.

    Raises:
        ModelError, ConfigError: see `watch_prompts`; for fewer tokens than the window.
    """
    count = monitor.window if max_new_tokens is None else max_new_tokens
    if count < monitor.window:
        raise ConfigError(
            "--max-new-tokens", expected=f"at least the {monitor.window} tokens that the monitor was calibrated on",
            found=str(count), fix="raise it, or calibrate on fewer",
        )  # fmt: skip
    slots = tuple(sorted({axis.slot for axis in monitor.axes.values()}))
    readings: dict[int, Reading] = {}
    watched = watch_prompts(
        backbone, monitor.make_directions(), backbone.chat.encode_prompts(prompts), max_new_tokens=count,
        batch_size=batch_size, slots=slots, names=names, on_done=on_done,
    )  # fmt: skip
    for place, trace in watched:
        readings[place] = _judge_trace(monitor, backbone, trace)
    return [readings[place] for place in range(len(prompts))]


def _judge_trace(monitor: MonitorFile, backbone: Backbone, trace: Trace) -> Reading:
    chat = backbone.chat
    every = score_trace(trace, list(monitor.axes), chat.post_instruction_count, monitor.window)
    column = {name: trace.slots.index(axis.slot) for name, axis in monitor.axes.items()}
    scores = {name: float(values[column[name]]) for name, values in every.items()}
    scores[COMBINED] = combine(monitor, scores)
    return Reading(
        split_text(backbone.tokenizer, trace.ids),
        trace.prompt_tokens,
        chat.locate_positions(trace.ids[: trace.prompt_tokens]),
        {name: trace.take_side(FAMILY_OF[name])[:, column[name]] for name in monitor.axes},
        scores,
        {name: scores[name] > monitor.threshold_of(name) for name in scores},
    )


def combine(monitor: MonitorFile, scores: Mapping[str, float]) -> float:
    """The combined score of one prompt; an axis without a score counts as the mean."""
    terms = [
        0.0 if np.isnan(scores[name]) else axis.weight * (scores[name] - axis.mean) / axis.scale
        for name, axis in monitor.axes.items()
    ]
    return float(monitor.intercept + sum(terms))


def split_text(tokenizer: Any, ids: Sequence[int]) -> tuple[str, ...]:
    """The text of each token such that all together are the text of the sequence.

    A token is decoded behind the ones before it, since alone it would lose the space in front of a word; a character
    that several tokens spell stands at the last of them.
    """
    pieces, context, known = [], 0, 0

    def decode(start: int, stop: int) -> str:
        return tokenizer.decode(list(ids[start:stop]), skip_special_tokens=False)

    for place in range(len(ids)):
        before, text = decode(context, known), decode(context, place + 1)
        if text.endswith("\ufffd") and place + 1 < len(ids):
            pieces.append("")
            continue
        pieces.append(text[len(before) :])
        context, known = known, place + 1
    return tuple(pieces)
