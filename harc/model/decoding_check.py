"""A trial of batched decoding against transformers' own `generate`, once for every model that a process decodes with.

A family whose cache, padding or positions work otherwise than assumed gives fluent text that is wrong; the trial sees
it on three short prompts of different lengths, for about twenty forward passes of a few tokens.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from weakref import WeakSet

import torch
from torch import Tensor

from harc.core.errors import ModelError
from harc.model.decoding import decode_batch
from harc.model.prefilling import decides_per_row, find_base, read_signature, read_whole, shares_beginnings

LENGTHS = (9, 8, 3)  # longest first: the first two are read together, padded, the third in a pass of its own
PADDING_ALLOWED = 2
ALIKE = 5  # tokens that the first two begin with: read once where beginnings are
SHORT_WINDOW = 64  # windows up to this width are tried on a prompt that is longer
STEPS = 4
STOP_AFTER = 1  # tokens after which the last prompt ends, so that its row is dropped
TOLERANCE = (
    1e-3  # of the logits' spread, float32: padding moves them by some 1e-6, a wrong cache by 0.1 and more
)
TOLERANCE_HALF = 0.15  # 16 bits, a prompt's median: rounding moves it by some 0.02
ONE_TOKEN = 0.3  # a single token may be off by TOLERANCE_HALF / ONE_TOKEN there: a mixture's routing can flip

_tried: WeakSet[Any] = WeakSet()


def check_decoding(model: Any, pad: int) -> None:
    """Refuse a model whose batched decoding differs from plain decoding; nothing is done the second time.

    Args:
        model: a causal language model, in evaluation mode.
        pad: token that fills rows on the left.

    Raises:
        ModelError: if it differs, if it cannot be tried, or if later tokens change what stands before them.
    """
    if model in _tried:
        return
    read_signature(model)
    prompts = _choose_prompts(model)
    allowed = TOLERANCE if _is_single(model) else TOLERANCE_HALF
    try:
        with torch.no_grad():
            gap = _compare_ways(model, prompts, pad, allowed)
            if gap is None:
                return  # broken weights, not a family's fault: the first prompt will be refused by name
            # Steering decides by the whole text.
            leak = 0.0 if decides_per_row(model) else _look_ahead(model, prompts[0])
    except (
        AttributeError,
        IndexError,
        KeyError,
        NotImplementedError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as problem:
        raise _refuse(model, f"{type(problem).__name__}: {problem}") from problem
    if not gap <= allowed:  # NaN is no agreement
        raise _refuse(model, f"logits that differ from those of `generate` by {gap:.2g} of their spread")
    if not leak <= allowed:
        raise _refuse(
            model, f"tokens that change by {leak:.2g} with what comes after them (it is no decoder)"
        )
    _tried.add(model)


def _is_single(model: Any) -> bool:
    return next(model.parameters()).dtype == torch.float32


def _choose_prompts(model: Any) -> list[list[int]]:
    """Token ids spread over the vocabulary, longest first; within the context, beyond a short sliding window."""
    config = find_base(model).config.get_text_config()
    lengths = list(LENGTHS)
    windows = [getattr(config, name, None) for name in ("sliding_window", "attention_chunk_size")]
    lengths[0] = max(
        [lengths[0], *(width + 3 for width in windows if isinstance(width, int) and width <= SHORT_WINDOW)]
    )
    context = getattr(config, "max_position_embeddings", None)
    room = context - STEPS if isinstance(context, int) else lengths[0]
    size = find_base(model).get_input_embeddings().weight.shape[0]
    lengths = [max(1, min(length, room)) for length in lengths]
    return [
        [(7 + (31 * row if row > 1 or place >= ALIKE else 0) + 13 * place) % size for place in range(length)]
        for row, length in enumerate(lengths)
    ]


def _compare_ways(model: Any, prompts: Sequence[Sequence[int]], pad: int, allowed: float) -> float | None:
    """Distance as `_compare` gives it; where shared beginnings go wrong (windows that count padding), without them."""
    gap = _compare(model, prompts, pad)
    if gap is None or gap <= allowed or not shares_beginnings(model):
        return gap
    read_whole(model)
    return _compare(model, prompts, pad)


def _compare(model: Any, prompts: Sequence[Sequence[int]], pad: int) -> float | None:
    """Distance of the two ways' logits, of the worst prompt: its largest in float32, about its median in 16 bits.

    None if the model's own logits are no numbers.
    """
    alone = [_generate_alone(model, prompt, pad) for prompt in prompts]
    tokens = [[int(logits.argmax()) for logits in steps] for steps in alone]
    last = len(prompts) - 1
    end = next(token for token in range(alone[0].shape[-1]) if all(token not in row for row in tokens))
    seen: dict[int, list[Tensor]] = {row: [] for row in range(len(prompts))}

    def pick(logits: Tensor, rows: list[int]) -> Tensor:
        chosen = []
        for place, row in enumerate(rows):
            step = len(seen[row])
            seen[row].append(logits[place].float().cpu())
            chosen.append(end if row == last and step == STOP_AFTER else tokens[row][step])
        return torch.tensor(chosen, device=logits.device)

    ends = torch.tensor([end], device=next(model.parameters()).device)
    decode_batch(model, prompts, pad, ends, STEPS, pick, PADDING_ALLOWED)
    if [len(seen[row]) for row in seen] != [STEPS] * last + [STOP_AFTER + 1]:
        raise RuntimeError(f"steps of {[len(part) for part in seen.values()]}")
    if any(steps.isnan().any() or steps.isposinf().any() for steps in alone):
        return None
    gaps = [
        torch.stack([_distance(found, alone[row][step]) for step, found in enumerate(steps)])
        for row, steps in seen.items()
    ]
    if not _is_single(model):
        gaps = [torch.maximum(row.median(), ONE_TOKEN * row) for row in gaps]
    return float(torch.cat(gaps).nan_to_num(torch.inf).max())


def _distance(found: Tensor, expected: Tensor) -> Tensor:
    """Difference of two rows of logits in units of their spread."""
    return (found - expected).norm() / (expected - expected.mean()).norm().clamp_min(1e-30)


def _generate_alone(model: Any, prompt: Sequence[int], pad: int) -> Tensor:
    """Logits of each step of `generate` on one prompt, shape (steps, vocabulary)."""
    ids = torch.tensor([list(prompt)], device=next(model.parameters()).device)
    with _plain_generation(model, pad):
        found = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            return_dict_in_generate=True,
            output_logits=True,
        )
    return torch.cat([logits[:1] for logits in found.logits]).float().cpu()


@contextmanager
def _plain_generation(model: Any, pad: int) -> Iterator[None]:
    """Greedy steps without end tokens, penalties or whatever else the model's own settings ask for."""
    from transformers import GenerationConfig

    base = find_base(model)
    kept = base.generation_config
    base.generation_config = GenerationConfig(
        do_sample=False, max_new_tokens=STEPS, min_new_tokens=STEPS, pad_token_id=pad, use_cache=True
    )
    try:
        yield
    finally:
        base.generation_config = kept


def _look_ahead(model: Any, prompt: Sequence[int]) -> float:
    """How far the logits of the first half of a text move when its second half changes: 0 for a decoder."""
    device, half = next(model.parameters()).device, max(1, len(prompt) // 2)
    texts = [list(prompt), [*prompt[:half], *reversed(prompt[half:])]]
    one, other = (
        model(input_ids=torch.tensor([text], device=device), use_cache=False).logits[0, :half].float().cpu()
        for text in texts
    )
    return float(_distance(other, one))


def _refuse(model: Any, found: str) -> ModelError:
    return ModelError(
        type(find_base(model)).__name__,
        expected="a family whose prompts can be answered many at a time, each as it would be alone",
        found=re.sub(r"\s+", " ", found)[:300],
        fix="use another model, or serve it and name the server (--endpoint)",
    )
