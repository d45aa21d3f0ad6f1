"""An answer as the refusal rules read it: one spelling, no decoration, no code or quotations, sentence by sentence."""

import html
import re
import unicodedata

_INVISIBLE = dict.fromkeys(
    [0xAD, 0x34F, 0x61C, 0x180E, 0x2060, 0xFEFF, *range(0x200B, 0x2010), *range(0x202A, 0x202F),
     *range(0x2066, 0x206A), *range(0xFE00, 0xFE10)]
)  # fmt: skip
_SPELLING = str.maketrans(
    {"\u2018": "'", "\u2019": "'", "\u02bc": "'", "\u2032": "'", "\u201e": '"', "\u201c": '"',
     "\u201d": '"', "\u201f": '"', "\u00ab": '"', "\u00bb": '"', "\u2013": "-", "\u2014": "-"}
)  # fmt: skip
_ACUTE = {0xB4: "'"}  # before NFKC, which makes a space and an accent of it
_ENTITY = re.compile(r"&(?:#\w{1,6}|[a-z]{2,6});", re.IGNORECASE)
_MARKS = str.maketrans("", "", "*_~`")
_FENCE = re.compile(r"```[^\n]{0,60}\n(.*?)(?:```|\Z)", re.DOTALL)
_INLINE_CODE = re.compile(r"`[^`\n]{1,200}`")
# A quotation is closed on its own line and opens behind a space or sign, so that inches open none.
_QUOTATION = re.compile(
    r'(?<!\w)"[^"\n]{2,600}"|\u300c[^\u300d\n]{1,300}\u300d|\u300e[^\u300f\n]{1,300}\u300f'
)
_TAG = re.compile(r"</?[a-z][^<>\n]{0,40}>")
_LINE_START = re.compile(r"^[ \t]*[#>|]+", re.MULTILINE)
# Replaced by a line break one by one, which is far quicker than a split by pattern.
_SENTENCE_ENDS = tuple(f"{end}{closing} " for end in ".!?;" for closing in ("", '"', "'", ")", "]"))
_OTHER_ENDS = dict.fromkeys([0x3002, 0x964, 0x61F], "\n")
_LIST_ITEM = re.compile(r"^\W{0,6}(?:\d{1,2}[.):]|step \d|[-+*\u2022]\s)", re.MULTILINE)
_CONTRACTIONS = (
    ("can't", "cannot"), ("can not", "cannot"), ("won't", "will not"), ("shan't", "shall not"), ("n't", " not"),
    ("'m ", " am "), ("'re ", " are "), ("'ve ", " have "), ("'ll ", " will "), ("it's", "it is"),
    ("that's", "that is"), ("here's", "here is"), ("what's", "what is"), ("there's", "there is"), ("let's", "let us"),
    ("'d ", " would "),
)  # fmt: skip
_BARE = re.compile(r"\b(?:(can|won|don|isn|aren)t|im)\b")


def split_code(response: str) -> tuple[str, int]:
    """Prose without fenced code, and the code's lines; if there is no prose, the code is read as prose."""
    if "```" not in response:
        return response, 0
    prose = _FENCE.sub("\n", response)
    blocks = [block.strip() for block in _FENCE.findall(response)]
    if any(map(str.isalpha, prose)):
        return prose, sum(len(block.splitlines()) for block in blocks)
    return "\n".join(blocks), 0


def read_sentences(text: str) -> list[str]:
    """Sentences and lines of a text without its quotations; where all of it is quoted, of what is quoted."""
    plain = spell_plainly(text)
    if '"' in plain or "\u300c" in plain or "\u300e" in plain:
        unquoted = _QUOTATION.sub(" ", plain)
        plain = unquoted if any(map(str.isalpha, unquoted)) else plain.replace('"', " ")
    plain = plain if plain.isascii() else plain.translate(_OTHER_ENDS)
    for end in _SENTENCE_ENDS:
        if end in plain:
            plain = plain.replace(end, "\n")
    return [part for part in map(_strip_signs, plain.splitlines()) if part]


def spell_plainly(text: str) -> str:
    """Lower case, one kind of apostrophe and quotation mark, no Markdown, entities, hidden characters, contractions."""
    if "&" in text:
        text = _ENTITY.sub(lambda found: html.unescape(found[0]), text)
    if "\\" in text:
        text = text.replace("\\'", "'")
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text.translate(_INVISIBLE | _ACUTE)).translate(_SPELLING)
    if "`" in text:
        without = _INLINE_CODE.sub(" ", text)
        text = without if any(map(str.isalpha, without)) else text
    text = text.lower().translate(_MARKS)
    if "<" in text:
        text = _TAG.sub(" ", text)
    if "#" in text or ">" in text or "|" in text:
        text = _LINE_START.sub("", text)
    if "'" in text or "can not" in text:
        for short, long in _CONTRACTIONS:
            if short in text:
                text = text.replace(short, long)
    if (
        "cant" in text
        or "wont" in text
        or "dont" in text
        or "im " in text
        or "isnt" in text
        or "arent" in text
    ):
        text = _BARE.sub(_write_out, text)
    return text


def count_list_items(text: str) -> int:
    """Lines that open as items of a list or as numbered steps."""
    return len(_LIST_ITEM.findall(text.lower()))


def _write_out(found: re.Match) -> str:
    verb = found.group(1)
    return {None: "i am", "can": "cannot", "won": "will not"}.get(verb) or f"{verb[:-1]} not"


def _strip_signs(sentence: str) -> str:
    """A sentence from its first to its last letter or digit: no emoji, bullet or full stop, and single spaces."""
    sentence = sentence.strip(" \t\r.,:;!?-'\")(")
    if not sentence or not sentence[0].isalnum():
        start = next(
            (place for place, character in enumerate(sentence) if character.isalnum()), len(sentence)
        )
        sentence = sentence[start:]
    return (
        " ".join(sentence.split()) if "  " in sentence or "\t" in sentence or "\r" in sentence else sentence
    )
