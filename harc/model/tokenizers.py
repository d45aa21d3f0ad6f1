"""Loading a tokenizer that splits text as its file tokenizer.json says.

A tokenizer class of transformers may build its own splitting around the file's vocabulary: for a model of type qwen2,
or where tokenizer_config.json names GPT2Tokenizer, the ids are others than the file's, without a warning (transformers
5.23). So the ids are compared, and the file is right.
"""

from pathlib import Path
from typing import Any

from harc.core.errors import ModelError
from harc.model.tensors import explain_problems, read_object

FILE, CONFIG = "tokenizer.json", "tokenizer_config.json"
GENERIC = ("TokenizersBackend", "PreTrainedTokenizerFast")
"""Tokenizer classes that take tokenizer.json as it is."""
PROBES = (
    "Hello, world! How are you?", "hello world", "  two  spaces ", "a\nb\n\nc\r\n\td", "don't we'll I'M THEY'RE",
    "1 12 123 1234567 3.14159 1,000", "camelCase snake_case kebab-case", "x = [i**2 for i in range(10)]; # ok?",
    "https://example.org/a?b=c&d=e#f", "naïve café Ünïcödé ﬁ e\u0301 é", "Привет мир 你好世界",
    "こんにちは 안녕 مرحبا नमस्ते", "😀👩‍👩‍👧 ½ ² µ Å Ω", "\u00a0\u200b\u3000x", "", " ", "\n", "ALL CAPS Title Case",
    "<b>&amp;</b> {\"a\": [1]}",
)  # fmt: skip
"""Texts on which ways of splitting differ: spaces, line breaks, digits, apostrophes, scripts, composed letters."""


def load_tokenizer(source: str, names: dict[str, Any]) -> Any:
    """The tokenizer of a folder, with the ids of its tokenizer.json if it has one.

    Args:
        source: folder.
        names: gguf_file, for transformers, where the model is one.

    Raises:
        ModelError: if it cannot be loaded, or no class of transformers reproduces tokenizer.json.
    """
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    folder = Path(source)
    declared = read_object(folder / CONFIG) if (folder / CONFIG).is_file() else {}
    fix = "get the tokenizer's files again"
    with explain_problems(source, expected="a tokenizer", fix=fix):
        kind = declared.get("tokenizer_class")
        if not isinstance(kind, str | None):
            raise ValueError(f"tokenizer_class {kind!r} in {CONFIG}")
        if kind in GENERIC:
            return _check_ids(source, PreTrainedTokenizerFast.from_pretrained(source, **names), names)
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False, **names)
        if _find_difference(source, tokenizer, names) is None:
            return tokenizer
        return _check_ids(source, PreTrainedTokenizerFast.from_pretrained(source, **names), names)


def _check_ids(source: str, tokenizer: Any, names: dict[str, Any]) -> Any:
    text = _find_difference(source, tokenizer, names)
    if text is None:
        return tokenizer
    raise ModelError(
        source,
        expected=f"the token ids of {FILE}",
        found=f"others, as of {text!r}: {CONFIG} changes what the file says",
        fix=f"set tokenizer_class to PreTrainedTokenizerFast in {CONFIG}, or get both files again",
    )


def _find_difference(source: str, tokenizer: Any, names: dict[str, Any]) -> str | None:
    """The first probe of which a tokenizer's ids are not those of its tokenizer.json; None if there is none."""
    file = Path(source) / FILE
    if names or not file.is_file():  # a GGUF file holds its own
        return None
    from tokenizers import Tokenizer

    raw = Tokenizer.from_file(str(file))
    raw.no_padding()
    raw.no_truncation()
    added = [token.content for token in raw.get_added_tokens_decoder().values() if token.special]
    probes = [*PROBES, "".join(f"a{content}" for content in added)]
    for text in probes:
        if (
            tokenizer(text, add_special_tokens=False).input_ids
            != raw.encode(text, add_special_tokens=False).ids
        ):
            return text
    return None


def check_vocabulary(source: str, tokenizer: Any, model: Any) -> None:
    """Refuse a tokenizer whose ids the model has no embedding for, and one that has no tokens at all.

    Tokens added on top may lie beyond (as Gemma 3's image token), unless they pad or end a text.

    Raises:
        ModelError: naming a token.
    """
    rows = model.get_input_embeddings().weight.shape[0]
    added = set(tokenizer.get_added_vocab())
    words = tokenizer.get_vocab()
    needed = {tokenizer.pad_token, tokenizer.eos_token, tokenizer.bos_token} - {None}
    known = {token: place for token, place in words.items() if token not in added or token in needed}
    if not words.keys() - added:
        raise ModelError(
            source,
            expected="a tokenizer with a vocabulary",
            found="none",
            fix="add the model's tokenizer files",
        )
    token, largest = max(known.items(), key=lambda item: item[1])
    if largest >= rows:
        raise ModelError(
            source,
            expected=f"token ids below {rows}, which the model has embeddings for",
            found=f"{largest} for {token!r}",
            fix="use the tokenizer of this model",
        )
