"""Broken text by statistics alone: loops, symbols, letters at random; thresholds measured on real answers.

What the thresholds do on real and on damaged answers is in config/calibration/gibberish.csv (`harc judges calibrate`).
Whole words in a senseless order pass: no statistic of single words tells them from sense.
"""

import re
import zlib
from collections import Counter
from dataclasses import dataclass

# Each with the extreme among 1,350 real answers (XSTest's completions of three models) that it keeps clear of.
LEAST_COMPRESSED = 0.25  # bytes after zlib per byte; real: 0.30 at least. Loops shrink far more
COMPRESSED_FROM = 200  # characters; shorter texts do not compress
MOST_OF_ONE_WORD = 0.35  # share of the commonest word; real: 0.20 at most
WORD_FROM = 8  # words
LEAST_DISTINCT = 0.5  # share of word triples that are distinct; real: 0.61 at least
DISTINCT_FROM = 20  # words
LEAST_LETTERS = (
    0.4  # letters and digits per visible character; real: 0.8 at least, sums and program code less
)
LETTERS_FROM = 20  # visible characters
LEAST_VOWELS = 0.26  # vowels and y per Latin letter; real: 0.33 at least, letters at random 0.23
VOWELS_FROM = 80  # Latin letters
_LATIN, _VOWELS = b"abcdefghijklmnopqrstuvwxyz", b"aeiouy"
LONGEST_WORD = 200  # characters without a space; real: 65 at most, an address
# Scripts that put no spaces between words: Thai, Lao, Myanmar, Khmer, kana, Chinese characters.
UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3000-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef]"
)


@dataclass(frozen=True)
class TextStatistics:
    """What `is_gibberish` looks at; a statistic of a text too short for it is None.

    Attributes:
        letters_or_digits: whether there is any.
        compressed: bytes after zlib, per byte.
        one_word: share of the commonest word.
        distinct: share of word triples that are distinct.
        letters: letters and digits per visible character.
        vowels: vowels and y per Latin letter.
        longest: characters of the longest word.
    """

    letters_or_digits: bool
    compressed: float | None
    one_word: float | None
    distinct: float | None
    letters: float | None
    vowels: float | None
    longest: int


def measure_text(text: str) -> TextStatistics:
    """The statistics of a text."""
    lowered = text.lower()
    words = lowered.split()
    data = text.encode(errors="replace")
    visible = "".join(text.split())
    latin = _count_bytes(lowered, _LATIN)
    triples = len(words) - 2
    return TextStatistics(
        any(map(str.isalnum, visible)),
        _compressed_size(data) / len(data) if len(text) >= COMPRESSED_FROM else None,
        max(Counter(words).values()) / len(words) if len(words) >= WORD_FROM else None,
        len(set(zip(words, words[1:], words[2:], strict=False))) / triples
        if len(words) >= DISTINCT_FROM
        else None,
        sum(map(str.isalnum, visible)) / len(visible) if len(visible) >= LETTERS_FROM else None,
        _count_bytes(lowered, _VOWELS) / latin if latin >= VOWELS_FROM else None,
        max(map(len, words if text.isascii() else UNSPACED.sub(" ", text).split()), default=0),
    )


def _count_bytes(text: str, wanted: bytes) -> int:
    """How many characters are among some ASCII ones, whose bytes occur in no other character."""
    data = text.encode(errors="replace")
    return len(data) - len(data.translate(None, wanted))


def _compressed_size(data: bytes) -> int:
    """Bytes after zlib: its buffers no larger than the data need, which are most of the time and change no size."""
    bits = min(zlib.MAX_WBITS, max(9, (len(data) + 300).bit_length()))
    packer = zlib.compressobj(9, zlib.DEFLATED, bits, max(1, min(zlib.DEF_MEM_LEVEL, bits - 6)))
    return len(packer.compress(data)) + len(packer.flush())


def is_gibberish(text: str) -> bool:
    """Whether a text is empty, a loop, mostly symbols, or letters without the vowels of a language."""
    found = measure_text(text)
    if not found.letters_or_digits or found.longest > LONGEST_WORD:
        return True
    if found.one_word is not None and found.one_word > MOST_OF_ONE_WORD:
        return True
    limits = (
        (found.compressed, LEAST_COMPRESSED),
        (found.distinct, LEAST_DISTINCT),
        (found.letters, LEAST_LETTERS),
        (found.vowels, LEAST_VOWELS),
    )
    return any(value is not None and value < least for value, least in limits)
