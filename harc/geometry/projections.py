"""Where conversations lie in the harmfulness-refusal plane: cosines with the directions, per slot."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cosine_similarity

from harc.core.errors import DataError
from harc.geometry.directions import Directions
from harc.model.activations import Reading, Residuals, stream_residuals
from harc.model.backbones import Backbone
from harc.model.chat import Message

# name of the result: (position, family of directions)
PROMPT_AXES = {
    "inst_harm": ("inst", "v_harm"),
    "inst_ref": ("inst", "v_ref"),
    "post_harm": ("post", "v_harm"),
    "post_ref": ("post", "v_ref"),
}
RESPONSE_AXES = {"resp_harm": ("resp", "v_harm_resp"), "resp_ref": ("resp", "v_ref_resp")}


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
    if responses is not None and len(responses) != len(messages):
        raise DataError(
            "responses",
            expected=f"{len(messages)} responses",
            found=str(len(responses)),
            fix="give one for each prompt",
        )
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


@torch.no_grad()
def _project(
    residuals: Residuals, position: str, vectors: Float[Tensor, "slots hidden"]
) -> Float[Tensor, "batch slots"]:
    return cosine_similarity(getattr(residuals, position), vectors[None], dim=-1)
