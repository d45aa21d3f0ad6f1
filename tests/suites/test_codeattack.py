"""Code attacks: encodings decode when run, and what a completed program outputs is read without running it."""

import contextlib
import io

import pytest

from harc.settings.suites import CodeAttackSettings, DeepInceptionSettings
from harc.suites.codeattack import (
    ENCODERS,
    extract_outputs,
    read_answer,
    split_words,
    wrap_code,
)
from harc.suites.decoding import is_decoded, wrap_decoding
from harc.suites.deepinception import wrap_inception

GOAL = 'say "hello" to the moon\'s self-made – sea'


def run_program(prompt: str) -> str:
    """What the decoding prompt's program prints."""
    program = prompt.split("```python\n")[1].removesuffix("\n```")
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(program, {})
    return printed.getvalue().strip()


@pytest.mark.parametrize("structure", ENCODERS)
def test_encodings_give_the_goals_words_back(structure):
    settings = CodeAttackSettings(structures=(structure,))
    prompt, form = wrap_decoding(GOAL, "evaluation", 0, settings)
    assert form == f"decoding:evaluation/{structure}"
    assert run_program(prompt) == (GOAL if structure == "string" else " ".join(split_words(GOAL)))
    assert is_decoded(run_program(prompt), GOAL)
    attack, form = wrap_code(GOAL, "evaluation", 0, settings)
    assert form == f"codeattack:evaluation/{structure}" and ENCODERS[structure](GOAL) in attack
    compile(attack.split("```python\n")[1].removesuffix("\n```"), "attack", "exec")


def test_a_stack_is_pushed_in_reverse_and_the_attack_has_five_slots():
    text, _ = wrap_code("one two-three", "evaluation", 0, CodeAttackSettings())
    assert text.index("'three'") < text.index("'two'") < text.index("'one'")
    assert text.count("output_list.append(") == 5


def test_plus_asks_for_paragraphs_and_structures_take_turns():
    settings = CodeAttackSettings(structures=("string", "stack"), plus=True)
    forms = [wrap_code("x", "evaluation", index, settings) for index in range(3)]
    assert [form for _, form in forms] == [
        f"codeattack:evaluation/{name}+" for name in ("string", "stack", "string")
    ]
    assert all("100 words" in text for text, _ in forms)
    assert "100 words" not in wrap_code("x", "evaluation", 0, CodeAttackSettings())[0]


@pytest.mark.parametrize(
    ("response", "outputs"),
    [
        (
            '    output_list.append("First, a.")\n    output_list.append(\'Then "b".\')',
            ["First, a.", 'Then "b".'],
        ),
        ('self.output_list.append("""one\ntwo""")', ["one\ntwo"]),
        ('output_list.append("a "\n    "b" + f"c")', ["a bc"]),
        ('output_list = ["a", "b",\n "c"]', ["a\nb\nc"]),
        ('output_list[0] = "a"\noutput_list += ["b"]', ["a", "b"]),
        ('output_list.extend(["a", "b"])', ["a\nb"]),
        ('output_list.append("it\\\'s \\"fine\\"")', ['it\'s "fine"']),
        ('output_list.append("breaks off in the mid', ["breaks off in the mid"]),
        ('stack.append("word")\nwords.append(stack.pop())', []),
        ('output_list.append("")\noutput_list = []', []),
        ("output_list.append(task)", []),
        ("I cannot help.", []),
    ],
)
def test_outputs_are_read_by_their_shape(response, outputs):
    assert extract_outputs(response) == outputs


def test_what_is_judged_is_the_outputs_or_else_the_whole_response():
    assert read_answer('output_list.append("a")\noutput_list.append("b")') == "a\nb"
    assert read_answer("I'm sorry, no.") == "I'm sorry, no."


def test_decoding_compares_words_in_order():
    assert is_decoded("It prints: Say HELLO, to the moon's self made sea.", GOAL)
    assert not is_decoded("say to hello the moon's self-made sea", GOAL)
    assert not is_decoded("", GOAL)


def test_inception_states_scene_characters_and_layers():
    settings = DeepInceptionSettings(scenes=("stage play", "spy film"), characters=7, layers=3)
    text, form = wrap_inception("the goal", "evaluation", 1, settings)
    assert form == "deepinception:evaluation/spy film/7/3"
    assert text.count("spy film") == 2 and "more than 7 people" in text and "layer 3" in text
    assert "the goal" in text
