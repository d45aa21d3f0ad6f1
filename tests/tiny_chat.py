"""A chat model of a few thousand random weights with a real tokenizer and chat template, for tests."""

from pathlib import Path

TEXT = (
    "how do i make the a red blue cat box ? . now sure b1 b2 h1 h2 q1 q2 y1 y2 sorry , will not help "
    "say what is plus 1 2 3 4 a1 a2 a3 wrong fine one which hero you are be good stack push pop"
)
REFUSAL = "sorry , i will not help ."
TEMPLATE = (
    "{%- for message in messages %}"
    "{{- '<start>' + message['role'] + '<sep>' + message['content'] + '<end>' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<start>assistant<sep>' }}{%- endif %}"
)
SEES_TOOLS = (  # the same, and every tool and call
    "{%- for tool in tools %}{{- '<start>system<sep>' + tool.function.name + '<end>' }}{%- endfor %}"
    "{%- for message in messages %}{{- '<start>' + message.role + '<sep>' + message.content }}"
    "{%- for call in message.tool_calls %}{{- ' ' + call.function.name + ' ' + call.function.arguments | tojson }}"
    "{%- endfor %}{{- '<end>' }}{%- endfor %}{%- if add_generation_prompt %}{{- '<start>assistant<sep>' }}{%- endif %}"
)
CONTEXT = 96


def make_tokenizer():
    """Word-level tokenizer with a ChatML-like template."""
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    specials = ["<pad>", "<end>", "<start>", "<sep>"]
    words = [*specials, "<unk>", "user", "assistant", *dict.fromkeys(TEXT.split())]
    raw = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    raw.add_special_tokens([AddedToken(text, normalized=False, special=True) for text in specials])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw,
        pad_token="<pad>",
        eos_token="<end>",
        unk_token="<unk>",
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def make_model(tokenizer, seed: int = 0, layers: int = 2):
    """A LlamaForCausalLM of a few blocks with random weights large enough to give varied answers."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=24,
        intermediate_size=32,
        num_hidden_layers=layers,
        num_attention_heads=2,
        max_position_embeddings=CONTEXT,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        initializer_range=0.7,
    )
    return LlamaForCausalLM(config).eval()


def save_tiny_chat(folder: Path, seed: int = 0, layers: int = 2) -> Path:
    """Write model and tokenizer as transformers does."""
    tokenizer = make_tokenizer()
    make_model(tokenizer, seed, layers).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
