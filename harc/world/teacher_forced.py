"""Exact verdicts without generating: greedy decoding gives a text exactly when every token of it is the argmax."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from harc.world.batches import ChatEncoder, Example, collate

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Messages = Sequence[Mapping[str, str]]


def predict_examples(
    model: "PreTrainedModel", examples: Sequence[Example], pad_id: int, size: int = 64
) -> list[bool]:
    """For every example, whether greedy decoding would give exactly its target tokens."""
    import torch

    order = sorted(range(len(examples)), key=lambda index: len(examples[index].ids))
    right = [False] * len(examples)
    with torch.inference_mode():
        for start in range(0, len(order), size):
            members = order[start : start + size]
            ids, sources, labels, _ = collate([examples[index] for index in members], pad_id)
            hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state
            hits = (model.lm_head(hidden.flatten(0, 1)[sources]).argmax(-1) == labels).tolist()
            position = 0
            for index in members:
                count = len(examples[index].targets)
                right[index] = all(hits[position : position + count])
                position += count
    return right


def predict_answers(
    model: "PreTrainedModel", encoder: ChatEncoder, prompts: Sequence[Messages], answers: Sequence[str]
) -> list[bool]:
    """Whether each conversation would be answered, greedily, with exactly the given text and then end."""
    examples = []
    for messages, answer in zip(prompts, answers, strict=True):
        ids = encoder.encode_prompt(messages)
        end = [*encoder.encode_text(answer), encoder.vocabulary[encoder.layout.end]]
        examples.append(Example((*ids, *end), tuple(range(len(ids), len(ids) + len(end)))))
    return predict_examples(model, examples, encoder.pad_id)
