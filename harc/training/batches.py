"""Training rows as tensors: encoding, right padding, positions, splitting by length; and what a pass gives of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from harc.core.errors import DataError
from harc.core.lazy import Bool, Float, Int, torch
from harc.core.placeholder import refuse_placeholders

if TYPE_CHECKING:
    from harc.model.backbones import Backbone
    from harc.model.chat import ChatFormat

CATEGORIES = ("harmful", "harmless", "pseudo_harmful")
ANSWERS = ("response", "rejected", "chosen")
"""Fields of a training row that methods learn from."""


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
    refuse_placeholders("training rows", (row.get(name) for row in rows for name in ANSWERS))
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

    input_ids: Int[torch.Tensor, "batch time"]
    attention_mask: Int[torch.Tensor, "batch time"]
    response_mask: Int[torch.Tensor, "batch time"]
    labels: Int[torch.Tensor, "batch time"]
    t_inst: Int[torch.Tensor, " batch"]
    t_post: Int[torch.Tensor, " batch"]
    is_harmful: Bool[torch.Tensor, " batch"]

    @cached_property
    def refusal_positions(self) -> tuple[Int[torch.Tensor, " tokens"], Int[torch.Tensor, " tokens"]]:
        """(row, time) of the logits that predict harmful rows' response tokens."""
        return torch.where(self.labels[:, 1:] != -100)

    @cached_property
    def benign_positions(self) -> tuple[Int[torch.Tensor, " tokens"], Int[torch.Tensor, " tokens"]]:
        """(row, time) of the logits that predict benign rows' response tokens, t_post first."""
        return torch.where(self.response_mask[:, 1:].bool() & ~self.is_harmful[:, None])

    @cached_property
    def unshifted_positions(self) -> tuple[Int[torch.Tensor, " tokens"], Int[torch.Tensor, " tokens"]]:
        """(row, time) of benign rows' response tokens: the release's KL mask, which misses t_post."""
        return torch.where(self.response_mask.bool() & ~self.is_harmful[:, None])

    @property
    def windows(self) -> Int[torch.Tensor, "batch bounds"]:
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
    from harc.model.packing import packs_rows

    chat = backbone.chat
    packed = packs_rows(backbone, sum(len(row.ids) for row in rows))
    groups = split_rows(rows, tokens_per_forward, packed=packed)
    return [collate_rows(group, chat.post_instruction_count, chat.pad_id) for group in groups]


def split_rows(
    rows: Sequence[EncodedRow], tokens_per_forward: int | None, *, packed: bool = False
) -> list[list[EncodedRow]]:
    """Cut a micro-batch by length into forward passes with the least padding.

    The micro-batch's gradient is the sum over groups, whatever the cut. Rows that are packed leave no padding, and
    share what they begin with, so there are as few passes as the budget allows.

    Args:
        rows: rows of a micro-batch.
        tokens_per_forward: most tokens of a pass; None leaves the micro-batch whole.
        packed: whether the model packs them; see `packs_rows`.
    """
    from harc.model.activations import plan_batches
    from harc.model.packing import plan_full_passes

    if tokens_per_forward is None:
        return [list(rows)]
    lengths = [len(row.ids) for row in rows]
    plan = plan_full_passes if packed else plan_batches
    return [[rows[index] for index in group] for group in plan(lengths, tokens_per_forward)]


@dataclass(frozen=True)
class Wanted:
    """What a pass has to give.

    Attributes:
        slots: residuals are read at these slots.
        kl: "anchored", "skipped" (the release's mask), or None for no KL.
        refusal_ce, benign_ce: cross-entropy on harmful and on benign rows' responses.
        window: response tokens to average.
        kl_temperature: divides the logits of both models in the KL.
        pair_slots: all positions are read at these slots, from the adapted model and from its base.
        stop: end both passes after the last of pair_slots; no other loss is read then.
    """

    slots: tuple[int, ...] = ()
    kl: str | None = None
    refusal_ce: bool = False
    benign_ce: bool = False
    window: int = 32
    kl_temperature: float = 1.0
    pair_slots: tuple[int, ...] = ()
    stop: bool = False


@dataclass(frozen=True)
class Outcome:
    """Residuals at the wanted slots, and sums over tokens; zeros where not wanted.

    `adapted` and `base` hold every position's residual at the pair slots, under the adapter and without it.
    """

    inst: Float[torch.Tensor, "slots batch hidden"]
    post: Float[torch.Tensor, "slots batch hidden"]
    resp: Float[torch.Tensor, "slots batch hidden"]
    kl: Float[torch.Tensor, ""]
    refusal_ce: Float[torch.Tensor, ""]
    benign_ce: Float[torch.Tensor, ""]
    adapted: Float[torch.Tensor, "pair_slots batch time hidden"]
    base: Float[torch.Tensor, "pair_slots batch time hidden"]


def sum_positions(batches: Sequence[TokenBatch], name: str) -> int:
    """Number of token positions of a kind (a positions property of TokenBatch) over a micro-batch."""
    return sum(len(getattr(batch, name)[0]) for batch in batches)
