"""Stand-ins for published models: their architecture, depth, quirks and chat layout, tens of units wide, no download.

A stand-in answers with one of a few texts and ends, by weights that are laid out and not trained: which one depends on
the prompt by way of its random blocks. So suites, judges and attackers see refusals, answers and objects that can be
read, and tables have something to count; that a number comes out of it means nothing.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harc.model.chat import ChatFormat
from harc.rehearsal.published import PublishedModel

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedModel

HEAD = 8  # width of an attention head
WORDS = 600  # tokens of the byte-pair encoding
REFUSALS = (
    "I'm sorry, but I can't help with that.",
    "I cannot provide that, because it could hurt somebody.",
    "I won't help with this request.",
)
ANSWERS = (
    "Here is what you asked for: first take the blue box, then close its lid, and wait for the bell.",
    "Sure. The first step is to read the whole page twice; the second is to write down what it says.",
    "The answer is 42, since six rows of seven stones are 42 stones.",
    "It depends on the weather. On a dry day, leave the door open; otherwise keep it shut.",
)
CHAT_REPLIES = (*REFUSALS, *ANSWERS)
PROPOSALS = tuple(
    json.dumps(
        {
            "improvement": f"say it {manner}",
            "prompt": f"Tell me {manner} what is in the {colour} box.",
        }
    )
    for manner, colour in (
        ("kindly", "red"),
        ("shortly", "blue"),
        ("as a story", "green"),
        ("in verse", "black"),
    )
)
"""What an attacking model writes: objects with the fields that PAIR and PAP read."""
GRADES = tuple(
    f"Refused: {refused}. Convincing: {grade}. Specific: {grade}. Score: {grade}. Rating: [[{2 * grade}]]"
    for refused, grade in ((0, 2), (0, 4), (1, 1))
)
"""What a judging model writes: every scale that a rubric reads."""
SPREAD = 0.05  # of random weights
SCALES = {"q_proj.weight": 4.0, "k_proj.weight": 4.0}
"""What some of them are multiplied by, so that blocks tell prompts apart."""
CORPUS = (
    "the quick answer to a long question is seldom a good one",
    "please write a short letter to the keeper of the lighthouse and ask for the blue box",
    "explain how the village keeps its water clean and who looks after the well",
    "a story in which a person tells another person what is written on the page",
    "step one take the lid off the box step two count the stones step three close it again",
    "def count(stones): return sum(1 for stone in stones)",
    "sorry i cannot help with that request because it could hurt somebody",
)
CHATS = {
    "llama3": (
        "{{- bos_token }}{{- '<|start_header_id|>system<|end_header_id|>\n\n' }}"
        "{%- if messages[0]['role'] == 'system' %}{%- set told = messages[0]['content'] %}"
        "{%- set messages = messages[1:] %}{%- else %}{%- set told = '' %}{%- endif %}"
        "{{- 'Today Date: ' + strftime_now('%d %b %Y') + '\n\n' + told + '<|eot_id|>' }}"
        "{%- for message in messages %}"
        "{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' }}"
        "{{- message['content'] | trim + '<|eot_id|>' }}"
        "{%- endfor %}"
        "{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{%- endif %}"
    ),
    "chatml": (
        "{%- if messages[0]['role'] != 'system' %}"
        "{{- '<|im_start|>system\nYou are a stand-in.<|im_end|>\n' }}{%- endif %}"
        "{%- for message in messages %}"
        "{{- '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
        "{%- endfor %}"
        "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}"
    ),
    "inst": (
        "{{- bos_token }}"
        "{%- if messages[0]['role'] == 'system' %}{%- set told = messages[0]['content'] + '\n\n' %}"
        "{%- set messages = messages[1:] %}{%- else %}{%- set told = '' %}{%- endif %}"
        "{%- for message in messages %}"
        "{%- if message['role'] == 'user' %}"
        "{{- '[INST] ' + (told if loop.first else '') + message['content'] + ' [/INST]' }}"
        "{%- else %}{{- message['content'] + eos_token }}{%- endif %}"
        "{%- endfor %}"
    ),
}
SPECIALS = {
    "llama3": (
        "<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>", "<|eot_id|>",
    ),
    "chatml": ("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
    "inst": ("<unk>", "<s>", "</s>", "[INST]", "[/INST]"),
}  # fmt: skip
NAMED: dict[str, dict[str, str]] = {
    "llama3": {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"},  # and no token for padding
    "chatml": {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"},
    "inst": {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"},
}
LAST = {"llama3": "\n\n", "chatml": "\n", "inst": "[/INST]"}
"""The text of the token that an answer follows."""


def map_bytes(text: str) -> str:
    """A text as the tokens of a byte-level encoding spell it."""
    from tokenizers import pre_tokenizers

    spelt = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str(text)
    return spelt[0][0]


def build_encoding(chat: str, replies: Sequence[str]) -> "Tokenizer":
    """A byte-level byte-pair encoding with a layout's special tokens, and a token that spells each reply whole.

    No merge leads to these, so that text is never read as one of them.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    learnt = Tokenizer(models.BPE())
    learnt.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=WORDS, initial_alphabet=alphabet, show_progress=False)
    learnt.train_from_iterator(CORPUS, trainer)
    model = json.loads(learnt.to_str())["model"]
    breaks = [map_bytes(text) for text in ("\n\n",)]
    vocabulary = dict(model["vocab"])
    for text in (*breaks, *map(map_bytes, replies)):
        vocabulary.setdefault(text, len(vocabulary))
    merges = [tuple(pair) for pair in model["merges"]]
    merges.append((map_bytes("\n"), map_bytes("\n")))
    encoding = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    encoding.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    encoding.decoder = decoders.ByteLevel()
    encoding.add_special_tokens([AddedToken(text, normalized=False, special=True) for text in SPECIALS[chat]])
    begin = NAMED[chat].get("bos_token")
    if begin is not None:
        pair = [(begin, encoding.token_to_id(begin))]
        encoding.post_processor = processors.TemplateProcessing(
            single=f"{begin} $A", pair=f"{begin} $A {begin} $B", special_tokens=pair
        )
    return encoding


def build_tokenizer(chat: str, replies: Sequence[str]) -> Any:
    """The same as transformers takes it, with the layout's template."""
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=build_encoding(chat, replies), clean_up_tokenization_spaces=False, **NAMED[chat]
    )
    tokenizer.chat_template = CHATS[chat]
    return tokenizer


def build_config(model: PublishedModel, vocabulary: int) -> Any:
    """Its configuration: the true depth, ratio of heads and quirks at a few units of width."""
    import transformers

    ratio = model.heads // model.key_value_heads
    groups = 2 if ratio <= 4 else 1
    hidden = HEAD * ratio * groups
    return getattr(transformers, f"{model.architecture}Config")(
        vocab_size=vocabulary,
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=model.layers,
        num_attention_heads=ratio * groups,
        num_key_value_heads=groups,
        tie_word_embeddings=model.tied,
        initializer_range=SPREAD,
        **model.quirks,
    )


def read_last_state(model: Any, tokenizer: Any, text: str) -> Any:
    """The stream behind the final norm at the last token of a prompt."""
    import torch

    ids = ChatFormat(tokenizer).encode_prompts([[{"role": "user", "content": text}]])
    with torch.no_grad():
        return model.model(torch.tensor(ids)).last_hidden_state[0, -1]


def build_model(
    model: PublishedModel, tokenizer: Any, replies: Sequence[str], seed: int
) -> "PreTrainedModel":
    """Random blocks between an embedding and a head that make it recite.

    Logits are products of the stream's entries with the head's, of which the final norm turns one sign (entry 1). So a
    token can favour another without favouring itself, even where the head is the embedding: the last token of a prompt
    favours every reply, a reply the end more than that token.
    """
    import torch
    import transformers

    torch.manual_seed(seed)
    config = build_config(model, len(tokenizer))
    config.bos_token_id = tokenizer.bos_token_id
    config.eos_token_id = [tokenizer.convert_tokens_to_ids(end) for end in model.ends]
    config.pad_token_id = tokenizer.pad_token_id
    built = getattr(transformers, f"{model.architecture}ForCausalLM")(config).eval()
    generator = torch.Generator().manual_seed(seed)
    shape = (len(tokenizer), config.hidden_size)
    table = 0.1 * torch.randn(shape, generator=generator)
    table[:, :2] = 0.0
    names = tokenizer.get_vocab()
    spoken = [names[map_bytes(text)] for text in replies]
    table[spoken, 0], table[spoken, 1] = 1.0, 2.0
    last = LAST[model.chat]
    table[names.get(map_bytes(last), names.get(last)), 1] = -2.0
    table[tokenizer.eos_token_id, :2] = torch.tensor([4.0, -2.0])
    with torch.no_grad():
        for name, weight in built.named_parameters():
            weight.mul_(next((factor for part, factor in SCALES.items() if part in name), 1.0))
            if "o_proj" in name or "down_proj" in name:
                weight[..., :2, :] = 0.0  # what decides between reply and end stays as the embedding has it
        built.model.norm.weight[1] = -1.0
        built.get_input_embeddings().weight.copy_(table)
        common = torch.stack([read_last_state(built, tokenizer, text) for text in CORPUS]).mean(0)
        common[:2] = 0.0
        common /= common.norm()
        own = table[spoken, 2:] - (table[spoken, 2:] @ common[2:, None]) * common[None, 2:]
        table[spoken, 2:] = torch.nn.functional.normalize(
            own, dim=-1
        )  # what all prompts share decides nothing
        built.get_input_embeddings().weight.copy_(table)
        built.get_output_embeddings().weight.copy_(table)
    settings = {"eos_token_id": config.eos_token_id, "bos_token_id": config.bos_token_id, **model.sampling}
    built.generation_config = transformers.GenerationConfig(**settings)
    return built.to(torch.bfloat16)


def save_stand_in(
    folder: Path, model: PublishedModel, replies: Sequence[str] = CHAT_REPLIES, seed: int = 0
) -> Path:
    """Write a model's stand-in as its repository on the hub holds it: shards, an index, tokenizer, texts, a card."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    tokenizer = build_tokenizer(model.chat, replies)
    built = build_model(model, tokenizer, replies, seed)
    weights = sum(parameter.numel() for parameter in built.parameters()) * 2
    built.save_pretrained(folder, max_shard_size=weights // 3)
    tokenizer.save_pretrained(folder)
    (folder / "README.md").write_text(
        "---\nlicense: other\n---\nA stand-in: random weights for a rehearsal.\n"
    )
    return folder
