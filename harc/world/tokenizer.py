"""Real tokenizers for the invented world: one word is one token, chats follow the layout of a model family.

Built from the words of world.json, saved as transformers saves any fast tokenizer (tokenizer.json,
tokenizer_config.json, chat_template.jinja). Departure from the families they are modelled on: word-level.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from harc.core.files import read_json
from harc.world.layouts import LAYOUTS, Architecture

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

UNKNOWN = "<unk>"


def build_tokenizer(data_dir: Path, architecture: Architecture) -> "PreTrainedTokenizerFast":
    """Build the tokenizer of an organism.

    Args:
        data_dir: folder written by `build_world_data`; only world.json is read.
        architecture: names the layout.

    Returns:
        A fast tokenizer whose `decode(encode(text))` is `text` for any single-spaced text of the world.
    """
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    layout = LAYOUTS[architecture]
    roles = {word for turn in (layout.user, layout.assistant) for word in turn.header} - set(layout.specials)
    words = [*layout.specials, UNKNOWN, *read_json(data_dir / "world.json")["words"]]
    words += sorted(roles - set(words))  # a family's own name of a role
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
