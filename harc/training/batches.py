"""Training rows as tensors: encoding, right padding, positions, and splitting a micro-batch by length."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from harc.core.errors import DataError
from harc.model.activations import plan_batches
from harc.model.backbones import Backbone
from harc.model.chat import ChatFormat
from harc.model.packing import plan_full_passes

CATEGORIES = ("harmful", "harmless", "pseudo_harmful")


@dataclass(frozen=True)
class EncodedRow:
    """One training row as tokens: prompt, response, end token.

    Attributes:
        ids: the tokens.
        prompt_length: how many of them are the prompt's.
        category: harmful, harmless or pseudo_harmful.
        number: place of the row among the rows trained on.
        rejected: the same prompt with the response that is not wanted; empty where the row has none.
        chosen: the same prompt with the response preferred to it, where that is not the one of `ids`.
    """

    ids: tuple[int, ...]
    prompt_length: int
    category: str
    number: int = 0
    rejected: tuple[int, ...] = ()
    chosen: tuple[int, ...] = ()

    @property
    def is_harmful(self) -> bool:
        """Whether the row's right response is a refusal."""
        return self.category == "harmful"


def encode_rows(
    chat: ChatFormat, rows: Sequence[Mapping[str, Any]], max_prompt_tokens: int, max_response_tokens: int
) -> list[EncodedRow]:
    """Tokenize rows: prompt cut on the left, response cut on the right, end token on top
    (main/collate.py@c3565e5).

    Raises:
        DataError: for an unknown category or an empty response, with the row's id.
    """
    for number, row in enumerate(rows):
        if row["category"] not in CATEGORIES:
            raise DataError(
                f"training row {row.get('id', number)}",
                expected=f"a category among {', '.join(CATEGORIES)}",
                found=repr(row["category"]),
                fix="mend the row",
            )
        if not row["response"].strip():
            raise DataError(
                f"training row {row.get('id', number)}",
                expected="a response with at least one token",
                found=repr(row["response"]),
                fix="remove the row or fill in its response",
            )
    prompts = chat.encode_prompts([row["prompt"] for row in rows], max_prompt_tokens)
    responses = chat.encode_responses([row["response"] for row in rows], max_response_tokens, add_eos=True)
    others = {
        name: _encode_field(chat, rows, prompts, name, max_response_tokens) for name in ("rejected", "chosen")
    }
    return [
        EncodedRow(
            (*prompt, *response),
            len(prompt),
            row["category"],
            number,
            others["rejected"].get(number, ()),
            others["chosen"].get(number, ()),
        )
        for number, (prompt, response, row) in enumerate(zip(prompts, responses, rows, strict=True))
    ]


def _encode_field(
    chat: ChatFormat, rows: Sequence[Mapping[str, Any]], prompts: list[list[int]], name: str, max_tokens: int
) -> dict[int, tuple[int, ...]]:
    """Prompt and another response of the rows that have one, by the row's place."""
    numbers = [number for number, row in enumerate(rows) if (row.get(name) or "").strip()]
    answers = chat.encode_responses([rows[number][name] for number in numbers], max_tokens, add_eos=True)
    return {number: (*prompts[number], *answer) for number, answer in zip(numbers, answers, strict=True)}


def swap_responses(rows: Sequence[EncodedRow]) -> list[EncodedRow]:
    """The rows with the response that is not wanted: harmful prompts with a harmful answer.

    Raises:
        DataError: for a row without one.
    """
    for row in rows:
        if not row.rejected:
            raise DataError(
                f"training row {row.number} ({row.category})",
                expected="a response in field 'rejected', which this method pushes away",
                found="none",
                fix="add the field, or choose a method without it (harc, sft, no_coupling)",
            )
    return [replace(row, ids=row.rejected, rejected=row.ids) for row in rows]


@dataclass(frozen=True)
class TokenBatch:
    """Rows padded on the right, with the positions that losses read.

    Attributes:
        input_ids: tokens.
        attention_mask, response_mask: 1 at real tokens, 1 at response tokens (end token included).
        labels: the response tokens of harmful rows, -100 elsewhere.
        t_inst, t_post: index of the user's last token and of the prompt's last token.
        is_harmful: category is harmful.
    """

    input_ids: Int[Tensor, "batch time"]
    attention_mask: Int[Tensor, "batch time"]
    response_mask: Int[Tensor, "batch time"]
    labels: Int[Tensor, "batch time"]
    t_inst: Int[Tensor, " batch"]
    t_post: Int[Tensor, " batch"]
    is_harmful: Bool[Tensor, " batch"]

    @cached_property
    def refusal_positions(self) -> tuple[Int[Tensor, " tokens"], Int[Tensor, " tokens"]]:
        """(row, time) of the logits that predict harmful rows' response tokens."""
        return torch.where(self.labels[:, 1:] != -100)

    @cached_property
    def benign_positions(self) -> tuple[Int[Tensor, " tokens"], Int[Tensor, " tokens"]]:
        """(row, time) of the logits that predict benign rows' response tokens, t_post first."""
        return torch.where(self.response_mask[:, 1:].bool() & ~self.is_harmful[:, None])

    @cached_property
    def unshifted_positions(self) -> tuple[Int[Tensor, " tokens"], Int[Tensor, " tokens"]]:
        """(row, time) of benign rows' response tokens: the release's KL mask, which misses t_post."""
        return torch.where(self.response_mask.bool() & ~self.is_harmful[:, None])

    @property
    def windows(self) -> Int[Tensor, "batch bounds"]:
        """(start, stop) of each row's response."""
        start = self.t_post + 1
        return torch.stack([start, start + self.response_mask.sum(1)], dim=1)


def collate_rows(rows: Sequence[EncodedRow], post_instruction_count: int, pad: int) -> TokenBatch:
    """Lay out rows as one batch on the CPU (main/collate.py@c3565e5)."""
    shape = (len(rows), max(len(row.ids) for row in rows))
    input_ids = torch.full(shape, pad)
    attention, response = torch.zeros(shape, dtype=torch.long), torch.zeros(shape, dtype=torch.long)
    labels = torch.full(shape, -100)
    for index, row in enumerate(rows):
        ids, start, stop = torch.tensor(row.ids), row.prompt_length, len(row.ids)
        input_ids[index, :stop] = ids
        attention[index, :stop] = 1
        response[index, start:stop] = 1
        if row.is_harmful:
            labels[index, start:stop] = ids[start:]
    t_post = torch.tensor([row.prompt_length - 1 for row in rows])
    harmful = torch.tensor([row.is_harmful for row in rows])
    return TokenBatch(
        input_ids, attention, response, labels, t_post - post_instruction_count, t_post, harmful
    )


def collate_groups(
    rows: Sequence[EncodedRow], backbone: Backbone, tokens_per_forward: int | None
) -> list[TokenBatch]:
    """A micro-batch as batches of rows of like length, each one forward pass; see split_rows."""
    chat = backbone.chat
    groups = split_rows(rows, tokens_per_forward, backbone.device.type)
    return [collate_rows(group, chat.post_instruction_count, chat.pad_id) for group in groups]


def split_rows(
    rows: Sequence[EncodedRow], tokens_per_forward: int | None, device: str = "cpu"
) -> list[list[EncodedRow]]:
    """Cut a micro-batch by length into forward passes with the least padding.

    The micro-batch's gradient is the sum over groups, whatever the cut. On a GPU rows are packed without padding
    and a pass costs as much as thousands of tokens, so there are as few passes as the budget allows.

    Args:
        rows: rows of a micro-batch.
        tokens_per_forward: most tokens of a pass; None leaves the micro-batch whole.
        device: type of the device that runs them.
    """
    if tokens_per_forward is None:
        return [list(rows)]
    lengths = [len(row.ids) for row in rows]
    plan = plan_full_passes if device == "cuda" else plan_batches
    return [[rows[index] for index in group] for group in plan(lengths, tokens_per_forward)]
