"""How likely a model finds given answers: teacher-forced, many at a time."""

import inspect
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import log_softmax

from harc.core.errors import DataError
from harc.model.activations import pad_right, plan_batches
from harc.model.backbones import Backbone
from harc.model.tensors import check_logits

KEEP = "logits_to_keep"  # argument by which most families are told where logits are wanted


@torch.inference_mode()
def measure_likelihoods(
    backbone: Backbone,
    prompts: Sequence[Sequence[int]],
    answers: Sequence[Sequence[int]],
    tokens_per_forward: int = 4096,
) -> list[float]:
    """Mean log-likelihood of each answer's tokens behind its prompt, in nats a token.

    Args:
        backbone: model in evaluation mode, under whatever intervention is active.
        prompts: token ids, template and generation prompt included.
        answers: token ids, at least one each.
        tokens_per_forward: padded tokens of one forward pass.

    Raises:
        DataError: for an answer without tokens.
        ModelError: for logits that are not finite.
    """
    for number, answer in enumerate(answers):
        if not len(answer):
            raise DataError(
                f"answer {number}", expected="at least one token", found="none", fix="leave it out"
            )
    rows = [[*prompt, *answer] for prompt, answer in zip(prompts, answers, strict=True)]
    found = [0.0] * len(rows)
    for chosen in plan_batches(list(map(len, rows)), tokens_per_forward):
        ids = pad_right([rows[row] for row in chosen], backbone.chat.pad_id, backbone.device)
        starts = [len(prompts[row]) - 1 for row in chosen]
        logits = _read_logits(backbone, ids, min(starts), ids.shape[1] - 1)
        for place, (row, start) in enumerate(zip(chosen, starts, strict=True)):
            own = logits[place, start - min(starts) : len(rows[row]) - 1 - min(starts)].float()
            check_logits(own, [f"answer {row}"] * len(own), backbone.source)
            wanted = torch.tensor(answers[row], device=own.device)
            found[row] = float(log_softmax(own, -1).gather(-1, wanted[:, None]).mean())
    return found


def _read_logits(
    backbone: Backbone, ids: Int[Tensor, "batch time"], first: int, stop: int
) -> Float[Tensor, "batch kept vocabulary"]:
    """Logits at positions `first` up to `stop`; the head runs for no others where the family can be told so."""
    model = backbone.causal_lm
    if KEEP not in inspect.signature(type(model).forward).parameters:
        return model(input_ids=ids, use_cache=False).logits[:, first:stop]
    kept = torch.arange(first, stop, device=ids.device)
    return model(input_ids=ids, use_cache=False, **{KEEP: kept}).logits
