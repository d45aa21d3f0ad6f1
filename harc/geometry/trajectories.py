"""Where an answer lies in the plane token by token: cosines with the response directions, per slot."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from harc.core.errors import DataError
from harc.geometry.directions import Directions
from harc.model.activations import check_finite, observe_slots, pad_right, plan_batches, stoppable
from harc.model.backbones import Backbone
from harc.model.chat import Message

# name of the result: family of directions
TOKEN_AXES = {"token_harm": "v_harm_resp", "token_ref": "v_ref_resp"}


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
    if len(responses) != len(messages):
        raise DataError(
            "responses",
            expected=f"{len(messages)} responses",
            found=str(len(responses)),
            fix="give one for each prompt",
        )
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
