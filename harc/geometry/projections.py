"""Where conversations lie in the harmfulness-refusal plane: cosines with the directions, per slot.

Of whole conversations, of answers token by token, and of held-out prompts when directions are refreshed.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize

from harc.core.errors import DataError
from harc.geometry.directions import Directions, compare_directions
from harc.model.activations import (
    Reading,
    Residuals,
    check_finite,
    observe_slots,
    pad_right,
    plan_batches,
    stoppable,
    stream_residuals,
)
from harc.model.backbones import Backbone
from harc.model.chat import Message
from harc.settings.directions import DirectionSettings

# name of the result: (position, family of directions)
PROMPT_AXES = {
    "inst_harm": ("inst", "v_harm"),
    "inst_ref": ("inst", "v_ref"),
    "post_harm": ("post", "v_harm"),
    "post_ref": ("post", "v_ref"),
}
RESPONSE_AXES = {"resp_harm": ("resp", "v_harm_resp"), "resp_ref": ("resp", "v_ref_resp")}
TOKEN_AXES = {
    "token_harm": "v_harm_resp",
    "token_ref": "v_ref_resp",
}  # name of the result: family of directions


def project_conversations(
    backbone: Backbone,
    messages: Sequence[str | Sequence[Message]],
    responses: Sequence[str] | None,
    directions: Directions,
    *,
    max_prompt_tokens: int | None = None,
    window: int = 32,
    truncation: str = "left",
    tokens_per_forward: int = 4096,
) -> dict[str, Float[np.ndarray, "conversations slots"]]:
    """Cosines of each conversation's residuals with the directions.

    Args:
        backbone: model in evaluation mode.
        messages: texts or conversations that end with a user turn.
        responses: one answer each, teacher-forced, of which the first `window` tokens are averaged; None
            reads prompts alone. A response without tokens gives NaN.
        directions: unit directions of a model of the same shape.
        max_prompt_tokens: most tokens of a prompt.
        window: response tokens to average.
        truncation: side on which long prompts lose tokens ("right" as in the release's validation).
        tokens_per_forward: padded tokens in one forward pass.

    Returns:
        By name, float32 arrays (conversation, slot): inst_harm, inst_ref, post_harm, post_ref (position
        t_inst or t_post with v_harm or v_ref) and, with responses, resp_harm, resp_ref. The plane of the
        paper's figures 2 and 3 is (inst_harm, post_ref).

    Raises:
        DataError: if there are not as many responses as conversations.
    """
    chat = backbone.chat
    if responses is not None:
        _check_counts(messages, responses)
    readings = []
    for number, ids in enumerate(chat.encode_prompts(messages, max_prompt_tokens, truncation)):
        answer = chat.tokenize(responses[number])[:window] if responses is not None else []
        bounds = (len(ids), len(ids) + len(answer)) if answer else None
        readings.append(Reading((*ids, *answer), *chat.locate_positions(ids), window=bounds))
    axes = PROMPT_AXES | (
        RESPONSE_AXES if responses is not None and directions.v_harm_resp is not None else {}
    )
    vectors = {name: getattr(directions, family).to(backbone.device) for name, (_, family) in axes.items()}
    result = {name: np.zeros((len(readings), directions.n_slots), dtype=np.float32) for name in axes}
    for residuals in stream_residuals(backbone, readings, tokens_per_forward=tokens_per_forward):
        for name, (position, _) in axes.items():
            result[name][residuals.rows] = _project(residuals, position, vectors[name]).cpu().numpy()
    missing = [number for number, reading in enumerate(readings) if reading.window is None]
    for name in axes.keys() & RESPONSE_AXES.keys():
        result[name][missing] = np.nan
    return result


def _check_counts(messages: Sequence[Any], responses: Sequence[str]) -> None:
    if len(responses) != len(messages):
        raise DataError(
            "responses",
            expected=f"{len(messages)} responses",
            found=str(len(responses)),
            fix="give one for each prompt",
        )


@torch.no_grad()
def _project(
    residuals: Residuals, position: str, vectors: Float[Tensor, "slots hidden"]
) -> Float[Tensor, "batch slots"]:
    return cosine_similarity(getattr(residuals, position), vectors[None], dim=-1)


class _TokenReader:
    """Collects one batch's cosines at every slot; only these leave the device."""

    def __init__(
        self, places: Int[Tensor, "batch tokens"], vectors: dict[str, Float[Tensor, "slots hidden"]]
    ) -> None:
        self.places, self.vectors = places, vectors
        self.seen: dict[str, list[Tensor]] = {name: [] for name in vectors}

    def see(self, slot: int, hidden: Float[Tensor, "batch time hidden"]) -> None:
        """Take the answer's tokens at one slot."""
        rows = torch.arange(len(hidden), device=hidden.device)[:, None]
        unit = normalize(hidden[rows, self.places.to(hidden.device)].float(), dim=-1)
        for name, vectors in self.vectors.items():
            self.seen[name].append((unit @ vectors[slot].to(unit.device)).cpu())


@torch.no_grad()
def project_tokens(
    backbone: Backbone,
    messages: Sequence[str | Sequence[Message]],
    responses: Sequence[str],
    directions: Directions,
    *,
    tokens: int = 32,
    tokens_per_forward: int = 4096,
) -> dict[str, Float[np.ndarray, "answers tokens slots"]]:
    """Cosine of the residual at each token of an answer with the response directions, teacher-forced.

    Token k is read where the model has just seen token k of the answer, as the mean over the window in
    `project_conversations` does; with causal attention this is the state in which it was generated.

    Args:
        backbone: model in evaluation mode.
        messages: texts or conversations that end with a user turn.
        responses: one answer each.
        directions: unit directions of a model of the same shape, response side included.
        tokens: most tokens of an answer, from the first.
        tokens_per_forward: padded tokens in one forward pass.

    Returns:
        By name (token_harm, token_ref), float32 (answer, token, slot); NaN past the end of an answer.

    Raises:
        DataError: if there are not as many answers as conversations, or the directions have no response side.
        ModelError: for states that are not finite.
    """
    _check_counts(messages, responses)
    if directions.v_harm_resp is None:
        raise DataError(
            "directions",
            expected="directions of the response side",
            found="the prompt side alone",
            fix="extract them with pairs of prompts and answers",
        )
    prompts = backbone.chat.encode_prompts(messages)
    answers = [backbone.chat.tokenize(response)[:tokens] for response in responses]
    vectors = {name: getattr(directions, family) for name, family in TOKEN_AXES.items()}
    shape = (len(answers), tokens, directions.n_slots)
    result = {name: np.full(shape, np.nan, dtype=np.float32) for name in TOKEN_AXES}
    rows = [row for row, answer in enumerate(answers) if answer]
    sequences = [[*prompts[row], *answers[row]] for row in rows]
    for chosen in plan_batches([len(ids) for ids in sequences], tokens_per_forward):
        width = max(len(answers[rows[index]]) for index in chosen)
        starts = torch.tensor([len(prompts[rows[index]]) for index in chosen])
        last = torch.tensor([len(sequences[index]) - 1 for index in chosen])
        places = torch.minimum(starts[:, None] + torch.arange(width), last[:, None])
        reader = _TokenReader(places, vectors)
        ids = pad_right([sequences[index] for index in chosen], backbone.chat.pad_id, backbone.device)
        with observe_slots(backbone, range(directions.n_slots), reader.see), stoppable():
            backbone.body(input_ids=ids, use_cache=False)
        for name, seen in reader.seen.items():
            cosines = torch.stack(seen, dim=2)
            check_finite(cosines, f"{backbone.source or 'model'}, activations")
            cosines = cosines.numpy()
            for place, index in enumerate(chosen):
                length = len(answers[rows[index]])
                result[name][rows[index], :length] = cosines[place, :length]
    return result


def describe_refresh(
    backbone: Backbone,
    before: Directions,
    fresh: Directions,
    after: Directions,
    base: Directions,
    selected: Sequence[int],
    held_out: tuple[Sequence[str], Sequence[str]],
    settings: DirectionSettings,
) -> dict[str, Any]:
    """One row of the diagnostics log, every list running over all slots (main/train.py@c3565e5 logs the
    band).

    Args:
        backbone: the adapted model, in evaluation mode.
        before, fresh, after, base: directions in use so far, read now, in use from now, of the base model.
        selected: slots in use from now.
        held_out: (harmful, harmless) prompts that training does not see.
        settings: how prompts are read.
    """
    row: dict[str, Any] = {
        "cos_ref_harm": _round((after.v_ref * after.v_harm).sum(-1)),
        "bootstrap_cos": {name: _round(value) for name, value in fresh.bootstrap.items()},
    }
    for label, a, b in (
        ("previous_fresh", before, fresh),
        ("previous_now", before, after),
        ("base_now", base, after),
    ):
        row[f"cos_{label}"] = {name: _round(value) for name, value in compare_directions(a, b).items()}
    row["held_out"] = _project_held_out(backbone, after, selected, held_out, settings)
    return row


def _project_held_out(
    backbone: Backbone,
    directions: Directions,
    selected: Sequence[int],
    held_out: tuple[Sequence[str], Sequence[str]],
    settings: DirectionSettings,
) -> dict[str, list[float]]:
    """Mean cosines on held-out prompts at the selected slots (project_validation in the release)."""
    means: dict[str, list[float]] = {}
    for group, prompts in zip(("harmful", "harmless"), held_out, strict=True):
        if not prompts:
            continue
        found = project_conversations(
            backbone,
            list(prompts),
            None,
            directions,
            max_prompt_tokens=settings.max_prompt_tokens,
            truncation=settings.truncation,
            tokens_per_forward=settings.tokens_per_forward,
        )
        for name, key in (("proj_ref", "post_ref"), ("proj_harm", "inst_harm")):
            means[f"{name}_{group}"] = _round(found[key].mean(0)[list(selected)])
    return means


def _round(values: Float[Tensor, " slots"] | Float[np.ndarray, " slots"]) -> list[float]:
    return [round(float(value), 6) for value in values]
