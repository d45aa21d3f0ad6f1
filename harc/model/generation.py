"""Answers to many prompts, greedy or drawn: sorted by length, in batches, each the text that it would be alone."""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from harc.core.errors import ModelError
from harc.core.files import sha256_text
from harc.model.completion import Completion, separate_thoughts
from harc.model.decoding import decode_batch
from harc.model.decoding_check import check_decoding
from harc.model.prefilling import find_base
from harc.model.prepacking import prepack_linears
from harc.model.tensors import check_logits

CONTEXTS = ("max_position_embeddings", "max_seq_len")  # names of the longest sequence; MPT's is the second


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn.

    Attributes:
        temperature: above 0.
        top_p: share of the probability that tokens are drawn from.
        seed: equal seeds give equal draws.
    """

    temperature: float
    top_p: float = 1.0
    seed: int = 0


def keep_top_p(logits: Float[Tensor, "batch vocabulary"], top_p: float) -> Float[Tensor, "batch vocabulary"]:
    """Logits with all but the likeliest tokens at minus infinity: the fewest that hold `top_p` of the probability."""
    values, order = logits.sort(dim=-1, descending=True)
    before = values.softmax(-1).cumsum(-1) - values.softmax(-1)
    return torch.full_like(logits, -math.inf).scatter(
        -1, order, values.masked_fill(before >= top_p, -math.inf)
    )


class TokenSampler:
    """Draws the next token of every prompt in a batch.

    A prompt's draws depend on its tokens and the seed alone, not on what else is in the batch, so a resumed run gives
    what an unbroken one would.
    """

    def __init__(self, prompts: Sequence[Sequence[int]], sampling: Sampling) -> None:
        """Make one generator per prompt."""
        self.sampling = sampling
        self.generators = []
        for prompt in prompts:
            digest = sha256_text(f"{sampling.seed}/{','.join(map(str, prompt))}")
            self.generators.append(torch.Generator().manual_seed(int(digest[:15], 16)))

    def __call__(
        self, logits: Float[Tensor, "batch vocabulary"], rows: Sequence[int]
    ) -> Int[Tensor, " batch"]:
        """One token per row; `rows` names the prompt behind each."""
        scaled = logits.float().cpu() / self.sampling.temperature
        if self.sampling.top_p < 1:
            scaled = keep_top_p(scaled, self.sampling.top_p)
        drawn = [
            torch.multinomial(values.softmax(-1), 1, generator=self.generators[row])
            for values, row in zip(scaled, rows, strict=True)
        ]
        return torch.cat(drawn).to(logits.device)


def end_token_ids(model: Any, tokenizer: Any, chat: Any = None) -> frozenset[int]:
    """Tokens that end a turn: those of the model's settings, the tokenizer's own, and the template's end of a turn.

    Args:
        model: a causal language model.
        tokenizer: its tokenizer.
        chat: its chat format, where it answers chats; a model whose settings name another token than its template
            writes would run on after its answer.

    Raises:
        ModelError: if there is none that the model can write, since decoding would never stop early, or one that is
            no number.
    """
    ends = {tokenizer.eos_token_id} | (set() if chat is None else chat.turn_ends)
    for settings in (getattr(model, "generation_config", None), model.config.get_text_config()):
        declared = getattr(settings, "eos_token_id", None)
        ends |= _read_ends(declared, model.config._name_or_path)
    size = find_base(model).get_input_embeddings().weight.shape[0]
    known = frozenset(token for token in ends if token is not None and 0 <= token < size)
    if not known:
        named = ", ".join(str(token) for token in ends if token is not None)
        raise ModelError(
            type(tokenizer).__name__,
            expected="an end-of-turn token",
            found=f"{named}, beyond the model's {size} tokens"
            if named
            else "none in the generation config or the tokenizer",
            fix="set eos_token_id in generation_config.json",
        )
    return known


def _read_ends(declared: Any, source: str) -> set[int | None]:
    """The ids that settings name as ends; the library takes whatever generation_config.json holds."""
    several = declared if isinstance(declared, (list, tuple)) else [declared]
    odd = [token for token in several if token is not None and type(token) is not int]
    if odd:
        raise ModelError(
            source,
            expected="eos_token_id, a token's number or several",
            found=repr(odd[0]),
            fix="mend generation_config.json",
        )
    return set(several)


def choose_pad(model: Any, tokenizer: Any, ends: Collection[int]) -> int:
    """A token to fill rows with, which no mask lets through; a tokenizer's may lie beyond the model's embeddings."""
    size = find_base(model).get_input_embeddings().weight.shape[0]
    pad = tokenizer.pad_token_id
    return pad if pad is not None and 0 <= pad < size else min(*ends, size - 1)


def context_length(model: Any) -> int | None:
    """Longest sequence that the model takes, in tokens; None where its config does not say."""
    config = model.config.get_text_config()
    return next((limit for name in CONTEXTS if (limit := getattr(config, name, None)) is not None), None)


def check_lengths(
    model: Any, lengths: Sequence[int], max_new_tokens: int, names: Sequence[str] | None = None
) -> None:
    """Refuse a prompt that would have to be cut: cutting moves t_inst and t_post, or ends a response early.

    Raises:
        ModelError: naming the first prompt that is empty or does not fit with its response.
    """
    limit = context_length(model)
    for index, length in enumerate(lengths):
        if length == 0 or (limit is not None and length + max_new_tokens > limit):
            room = None if limit is None else limit - max_new_tokens
            fits = f"1 to {'any number of' if room is None else room} tokens"
            raise ModelError(
                names[index] if names else f"prompt {index}",
                expected=fits if room is None or room > 0 else f"a max_new_tokens below the context, {limit}",
                found=f"{length} (context {limit}, response up to {max_new_tokens})",
                fix="shorten the prompt, lower max_new_tokens, or use a model with a longer context",
            )


def _check_first(
    pick: Callable[[Tensor, list[int]], Tensor], labels: Sequence[str], source: str
) -> Callable[[Tensor, list[int]], Tensor]:
    """`pick` for logits that are finite; others are an error that names the prompt."""

    def check_and_pick(logits: Tensor, rows: list[int]) -> Tensor:
        check_logits(logits, [labels[row] for row in rows], source)
        return pick(logits, rows)

    return check_and_pick


def _pick_likeliest(logits: Tensor, rows: list[int]) -> Tensor:
    return logits.argmax(-1)


@torch.inference_mode()
def generate_greedy(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    batch_size: int,
    ends: Collection[int] | None = None,
    names: Sequence[str] | None = None,
    on_done: Callable[[int], None] | None = None,
    sampling: Sampling | None = None,
) -> list[Completion]:
    """Decode every prompt greedily, many at a time; the order of the answers is that of the prompts.

    In float32 the text is the one that `model.generate(do_sample=False)` gives for each prompt alone. Equal
    prompts are decoded once.

    Args:
        model: a causal language model of transformers, in evaluation mode, with or without an adapter.
        tokenizer: its tokenizer.
        prompts: token ids, template and generation prompt included.
        max_new_tokens: longest response, tokens.
        batch_size: prompts decoded together.
        ends: tokens that end a response; by default those of `end_token_ids`.
        names: of the prompts, for errors; numbers by default.
        on_done: called with the number of prompts finished since the last call.
        sampling: draws tokens instead; a prompt's draws then depend on its tokens and the seed alone.

    Raises:
        ModelError: for a prompt that does not fit the context, since nothing is ever cut, or whose logits are not
            finite.
    """
    check_lengths(model, [len(prompt) for prompt in prompts], max_new_tokens, names)
    copies: dict[tuple[int, ...], list[int]] = {}
    for index, prompt in enumerate(prompts):
        copies.setdefault(tuple(prompt), []).append(index)
    # Longest first: a batch that does not fit the memory shows at once, and neighbours need little padding.
    unique = sorted(copies, key=len, reverse=True)
    ends = end_token_ids(model, tokenizer) if ends is None else ends
    pad = choose_pad(model, tokenizer, ends)
    check_decoding(model, pad)
    labels = {
        prompt: names[places[0]] if names else f"prompt {places[0]}" for prompt, places in copies.items()
    }
    answers: dict[tuple[int, ...], tuple[list[int], bool]] = {}
    with prepack_linears(model):
        for start in range(0, len(unique), batch_size):
            batch = unique[start : start + batch_size]
            pick = _pick_likeliest if sampling is None else TokenSampler(batch, sampling)
            pick = _check_first(pick, [labels[prompt] for prompt in batch], model.config._name_or_path)
            found = decode_batch(
                model, batch, pad, torch.tensor(sorted(ends), device=model.device), max_new_tokens, pick
            )
            answers |= zip(batch, found, strict=True)
            if on_done is not None:
                on_done(sum(len(copies[prompt]) for prompt in batch))
    texts = {prompt: tokenizer.decode(answers[prompt][0], skip_special_tokens=True) for prompt in unique}
    return [
        Completion(
            texts[prompt], "stop" if answers[prompt][1] else "length", len(prompt), len(answers[prompt][0])
        )
        for prompt in map(tuple, prompts)
    ]


def answer_prompts(
    backbone: Any,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    batch_size: int,
    names: Sequence[str] | None = None,
    on_done: Callable[[int], None] | None = None,
    sampling: Sampling | None = None,
) -> list[Completion]:
    """What a chat model says until it ends its turn, with its thoughts set apart; see `generate_greedy`.

    Args:
        backbone: a `Backbone`.
        prompts: token ids, template and generation prompt included.
        max_new_tokens, batch_size, names, on_done, sampling: of `generate_greedy`.
    """
    completions = generate_greedy(
        backbone.model,
        backbone.tokenizer,
        prompts,
        max_new_tokens=max_new_tokens,
        batch_size=batch_size,
        ends=end_token_ids(backbone.model, backbone.tokenizer, backbone.chat),
        names=names,
        on_done=on_done,
        sampling=sampling,
    )
    return separate_thoughts(completions, prompts, backbone.tokenizer)
