"""Chat layouts of model families, for organisms: which special tokens there are, and where they stand in a chat.

Each follows the layout of a published family. Departure: texts of the invented world hold no newlines, so that a
layout's newline is a special token, and spaces between tokens mean nothing.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

Architecture = Literal["llama", "qwen2", "mistral", "gemma", "phi3"]


class Turn(NamedTuple):
    """Special tokens before and after a turn's text; the first after the assistant's text ends its answer."""

    header: tuple[str, ...]
    trailer: tuple[str, ...]


@dataclass(frozen=True)
class Layout:
    """Special tokens of a chat layout and the template that places them."""

    specials: tuple[str, ...]
    pad: str
    end: str
    begin: str | None
    user: Turn
    assistant: Turn
    template: str

    def find_turn(self, role: str) -> Turn:
        """The special tokens around a role's text; KeyError for a role that organisms do not know."""
        return {"user": self.user, "assistant": self.assistant}[role]


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
    user=Turn(("<|start_header_id|>", "user", "<|end_header_id|>", "\n\n"), ("<|eot_id|>",)),
    assistant=Turn(("<|start_header_id|>", "assistant", "<|end_header_id|>", "\n\n"), ("<|eot_id|>",)),
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
    user=Turn(("<|im_start|>", "user", "\n"), ("<|im_end|>", "\n")),
    assistant=Turn(("<|im_start|>", "assistant", "\n"), ("<|im_end|>", "\n")),
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

MISTRAL_LAYOUT = Layout(
    specials=("<s>", "</s>", "[INST]", "[/INST]", "<pad>"),
    pad="<pad>",
    end="</s>",
    begin="<s>",
    user=Turn(("[INST]",), ("[/INST]",)),
    assistant=Turn((), ("</s>",)),
    template=(
        "{{- bos_token }}"
        "{%- set turns = messages | rejectattr('role', 'equalto', 'system') | list %}"
        "{%- set system = messages | selectattr('role', 'equalto', 'system') | map(attribute='content') | join(' ') %}"
        "{%- for message in turns %}"
        "{%- if message['role'] == 'user' %}"
        "{{- '[INST]' + (system + ' ' if system and loop.first else '') + message['content'] | trim + '[/INST]' }}"
        "{%- else %}"
        "{{- message['content'] | trim + '</s>' }}"
        "{%- endif %}"
        "{%- endfor %}"
    ),
)
"""One post-instruction token, [/INST]: the answer begins right after it. A system text opens the first user turn."""

GEMMA_LAYOUT = Layout(
    specials=("<bos>", "<eos>", "<pad>", "<start_of_turn>", "<end_of_turn>", "\n"),
    pad="<pad>",
    end="<end_of_turn>",
    begin="<bos>",
    user=Turn(("<start_of_turn>", "user", "\n"), ("<end_of_turn>", "\n")),
    assistant=Turn(("<start_of_turn>", "model", "\n"), ("<end_of_turn>", "\n")),
    template=(
        "{{- bos_token }}"
        "{%- for message in messages %}"
        "{%- set role = 'model' if message['role'] == 'assistant' else message['role'] %}"
        "{{- '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>' + '\n' }}"
        "{%- endfor %}"
        "{%- if add_generation_prompt %}"
        "{{- '<start_of_turn>model\n' }}"
        "{%- endif %}"
    ),
)
"""Five post-instruction tokens: <end_of_turn>, newline, <start_of_turn>, model, newline."""

PHI3_LAYOUT = Layout(
    specials=("<|endoftext|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>", "\n"),
    pad="<|endoftext|>",
    end="<|end|>",
    begin=None,
    user=Turn(("<|user|>", "\n"), ("<|end|>", "\n")),
    assistant=Turn(("<|assistant|>", "\n"), ("<|end|>", "\n")),
    template=(
        "{%- for message in messages %}"
        "{{- '<|' + message['role'] + '|>\n' + message['content'] | trim + '<|end|>' + '\n' }}"
        "{%- endfor %}"
        "{%- if add_generation_prompt %}"
        "{{- '<|assistant|>\n' }}"
        "{%- endif %}"
    ),
)
"""Four post-instruction tokens: <|end|>, newline, <|assistant|>, newline."""

LAYOUTS: dict[Architecture, Layout] = {
    "llama": LLAMA_LAYOUT,
    "qwen2": QWEN_LAYOUT,
    "mistral": MISTRAL_LAYOUT,
    "gemma": GEMMA_LAYOUT,
    "phi3": PHI3_LAYOUT,
}
