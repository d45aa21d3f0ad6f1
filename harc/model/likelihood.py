"""How likely a model finds given answers: teacher-forced, many at a time."""

from collections.abc import Sequence

import torch
from torch.nn.functional import log_softmax

from harc.core.errors import DataError
from harc.model.activations import pad_right, plan_batches
from harc.model.backbones import Backbone
from harc.model.tensors import check_logits


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
        final = backbone.body(input_ids=ids, use_cache=False).last_hidden_state
        for place, row in enumerate(chosen):
            start, stop = len(prompts[row]), len(rows[row])
            logits = backbone.apply_head(final[place, start - 1 : stop - 1]).float()
            check_logits(logits, [f"answer {row}"] * len(logits), backbone.source)
            wanted = ids[place, start:stop].to(logits.device)
            found[row] = float(log_softmax(logits, -1).gather(-1, wanted[:, None]).mean())
    return found
