"""What the gibberish detector does: false alarms on real text of several kinds, and how much damage it finds."""

import random
import string
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from harc.core.files import read_jsonl
from harc.evaluation.calibrate_over_refusal import COMPLETIONS, SOURCE_COLUMNS, check_source, read_completions
from harc.judges.gibberish import COMPRESSED_FROM, is_gibberish
from harc.stats.intervals import wilson_interval

COLUMNS = ("text", "kind", "n", "flagged", "rate", "low", "high", *SOURCE_COLUMNS)
REAL, DAMAGED = "real", "damaged"
OTHERS = {
    "answers of GPT-4 (CoCoNot)": "coconot/coconot_pref.jsonl",
    "sums (GSM8K)": "gsm8k/test.jsonl",
    "program code (HumanEval)": "humaneval/HumanEval.jsonl.gz",
}


def _loop(words: Sequence[str], length: int) -> str:
    return " ".join((list(words) * length)[:length])


def loop_word(text: str, _: random.Random) -> str:
    """The first word over and over, as often as there were words."""
    words = text.split()
    return _loop(words[:1], len(words))


def loop_phrase(text: str, _: random.Random) -> str:
    """The first six words over and over."""
    words = text.split()
    return _loop(words[:6], len(words))


def loop_late(text: str, _: random.Random) -> str:
    """A third of the text, then six words over and over."""
    words = text.split()
    third = len(words) // 3
    return " ".join([*words[:third], _loop(words[third : third + 6], len(words) - third)])


def replace_letters(text: str, generator: random.Random) -> str:
    """Every letter by one at random."""
    return "".join(generator.choice(string.ascii_lowercase) if c.isalpha() else c for c in text)


def replace_by_signs(text: str, generator: random.Random) -> str:
    """Seven of ten characters by signs at random."""
    return "".join(
        generator.choice(string.punctuation) if not c.isspace() and generator.random() < 0.7 else c
        for c in text
    )


def shuffle_words(text: str, generator: random.Random) -> str:
    """The same words in another order: beyond the detector, and measured for that."""
    words = text.split()
    generator.shuffle(words)
    return " ".join(words)


DAMAGES: dict[str, Callable[[str, random.Random], str]] = {
    "one word in a loop": loop_word,
    "a phrase in a loop": loop_phrase,
    "a phrase in a loop, late": loop_late,
    "letters at random": replace_letters,
    "signs at random": replace_by_signs,
    "words shuffled": shuffle_words,
}


def measure(text: str, kind: str, texts: Iterable[str], source: dict) -> dict:
    """One row: how many of the texts are flagged."""
    flags = [is_gibberish(member) for member in texts]
    rate, low, high = wilson_interval(sum(flags), len(flags))
    figures = {"n": len(flags), "flagged": sum(flags), "rate": rate, "low": low, "high": high}
    return {"text": text, "kind": kind, **figures, **source}


def damage(texts: Sequence[str], how: Callable[[str, random.Random], str]) -> list[str]:
    """Texts long enough for every statistic, damaged; equal texts give equal damage."""
    generator = random.Random(0)
    return [how(text, generator) for text in texts if len(text) >= COMPRESSED_FROM]


def read_others(folder: Path, path: str) -> list[str]:
    """Texts of a dataset that the thresholds were not set on.

    Raises:
        DataError: for a damaged file.
    """
    return [
        row["prompt"] + row["canonical_solution"]
        if "canonical_solution" in row
        else row.get("chosen") or row["answer"]
        for row in read_jsonl(folder / path)
    ]


def calibrate_gibberish(folder: Path) -> list[dict]:
    """The whole table, from the registered files in a folder of public data.

    Raises:
        DataError: if a file is missing or has other bytes than the registered ones.
    """
    table, completions = [], []
    for name, path in COMPLETIONS.items():
        source = check_source(folder, path)
        texts = [row.response for row in read_completions(folder / path)]
        table.append(measure(f"answers of {name} (XSTest)", REAL, texts, source))
        completions += texts
    for name, path in OTHERS.items():
        source = check_source(folder, path)
        table.append(measure(name, REAL, read_others(folder, path), source))
    from_all = {"source": "the three files of XSTest above"}
    return table + [
        measure(name, DAMAGED, damage(completions, how), from_all) for name, how in DAMAGES.items()
    ]
