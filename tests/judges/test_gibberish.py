"""Gibberish by statistics: loops and noise are found, sums and code are not, and what is out of reach is said."""

import random

import pytest

from harc.judges.gibberish import is_gibberish, measure_text

SENSE = (
    "To repair the fence, first take off the broken boards and pull out old nails. Measure the gap and saw new boards "
    "to that length. Hold each one level, drill two holes at either end, and fix it with screws that do not rust. "
    "Paint both sides when the weather is dry, and let the first coat rest for a day before you put on another."
)
SUMS = "Five boxes hold 5*12=<<5*12=60>>60 pears.\nShe eats 60/4=<<60/4=15>>15.\n#### 15"
CODE = "def add(a, b):\n    return a + b\n\n\nfor n in range(3):\n    print(add(n, 1), [n] * 2, {n: n})\n"


def scramble(text: str, letters: str) -> str:
    generator = random.Random(0)
    return "".join(generator.choice(letters) if character.isalpha() else character for character in text)


@pytest.mark.parametrize(
    "text",
    [SENSE, SUMS, CODE, "Sorry, no.", "42", "Ja, das geht so.", "\u6c34\u306f\u900f\u660e\u3067\u3059"],
)
def test_sense_passes(text):
    assert not is_gibberish(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n ... !!",
        "the " * 30,
        "and then we go on " * 12,
        SENSE[:120] + " so it goes, so it goes," * 20,
        scramble(SENSE, "abcdefghijklmnopqrstuvwxyz"),
        scramble(SENSE, "!@#$%^&*()"),
        "a" * 500,
    ],
    ids=["empty", "signs", "word", "phrase", "late loop", "letters", "symbols", "long"],
)
def test_noise_and_loops_are_found(text):
    assert is_gibberish(text)


def test_words_in_a_senseless_order_are_out_of_reach():
    words = SENSE.split()
    random.Random(0).shuffle(words)
    assert not is_gibberish(" ".join(words))


def test_short_texts_have_no_statistics_but_the_plain_ones():
    found = measure_text("Sorry, no.")
    assert (found.compressed, found.one_word, found.distinct, found.letters, found.vowels) == (None,) * 5
    assert found.longest == 6 and found.letters_or_digits
