"""Real tokenizers for the invented world: one word is one token, chats follow a Llama-3-like or ChatML-like layout.

Built from the words of world.json, saved as transformers saves any fast tokenizer (tokenizer.json,
tokenizer_config.json, chat_template.jinja). Departure from the families they are modelled on: word-level, and
texts never contain newlines, so that the newline of the layout is a special token.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from harc.files import read_json

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Architecture = Literal["llama", "qwen2"]

UNKNOWN = "<unk>"


@dataclass(frozen=True)
class Layout:
    """Special tokens of a chat layout and the template that places them."""

    specials: tuple[str, ...]
    pad: str
    end: str
    begin: str | None
    header: tuple[str, ...]
    trailer: tuple[str, ...]
    template: str


LLAMA_LAYOUT = Layout(
    specials=(
        "<|begin_of_text|>",
        "<|start_header_id|>",
        "<|end_header_id|>",
        "<|eot_id|>",
        "<|pad|>",
        "\n\n",
    ),
    pad="<|pad|>",
    end="<|eot_id|>",
    begin="<|begin_of_text|>",
    header=("<|start_header_id|>", "{role}", "<|end_header_id|>", "\n\n"),
    trailer=("<|eot_id|>",),
    template=(
        "{{- bos_token }}"
        "{%- for message in messages %}"
        "{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' }}"
        "{{- message['content'] | trim + '<|eot_id|>' }}"
        "{%- endfor %}"
        "{%- if add_generation_prompt %}"
        "{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}"
        "{%- endif %}"
    ),
)
"""Five post-instruction tokens: <|eot_id|>, <|start_header_id|>, assistant, <|end_header_id|>, two newlines."""

QWEN_LAYOUT = Layout(
    specials=("<|endoftext|>", "<|im_start|>", "<|im_end|>", "\n"),
    pad="<|endoftext|>",
    end="<|im_end|>",
    begin=None,
    header=("<|im_start|>", "{role}", "\n"),
    trailer=("<|im_end|>", "\n"),
    template=(
        "{%- for message in messages %}"
        "{{- '<|im_start|>' + message['role'] + '\n' + message['content'] | trim + '<|im_end|>' + '\n' }}"
        "{%- endfor %}"
        "{%- if add_generation_prompt %}"
        "{{- '<|im_start|>assistant\n' }}"
        "{%- endif %}"
    ),
)
"""Five post-instruction tokens: <|im_end|>, newline, <|im_start|>, assistant, newline."""

LAYOUTS: dict[Architecture, Layout] = {"llama": LLAMA_LAYOUT, "qwen2": QWEN_LAYOUT}


def build_tokenizer(data_dir: Path, architecture: Architecture) -> "PreTrainedTokenizerFast":
    """Build the tokenizer of an organism.

    Args:
        data_dir: folder written by `build_world_data`; only world.json is read.
        architecture: `llama` or `qwen2`, which names the layout.

    Returns:
        A fast tokenizer whose `decode(encode(text))` is `text` for any single-spaced text of the world.
    """
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    layout = LAYOUTS[architecture]
    words = [*layout.specials, UNKNOWN, *read_json(data_dir / "world.json")["words"]]
    backend = Tokenizer(
        models.WordLevel({word: index for index, word in enumerate(words)}, unk_token=UNKNOWN)
    )
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.add_special_tokens([AddedToken(text, normalized=False, special=True) for text in layout.specials])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=layout.begin,
        eos_token=layout.end,
        pad_token=layout.pad,
        unk_token=UNKNOWN,
        extra_special_tokens=[
            text for text in layout.specials if text not in (layout.begin, layout.end, layout.pad)
        ],
        clean_up_tokenization_spaces=False,
        model_max_length=128,
        padding_side="left",
    )
    tokenizer.chat_template = layout.template
    return tokenizer
