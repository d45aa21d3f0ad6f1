"""Thoughts of reasoning models: told apart from answers, whatever marks they stand in; words about marks stay."""

import pytest

from harc.model.completion import opens_thought, split_thought

REFUSAL = "I'm sorry, but I can't help with that."


@pytest.mark.parametrize(
    "text",
    [
        f"<think>They ask for harm. Step 1: ...</think>\n\n{REFUSAL}",
        f"\n<THINK>\nlong\n\nthought\n</think>{REFUSAL}",
        f"Okay, the user asks.\n</think>\n\n{REFUSAL}",
        f"<thinking>a</thinking>\n{REFUSAL}",
        f"<think>a</think>\n<think>b</think>\n{REFUSAL}",
        f"<think>a <think>b</think> c\n</think>\n{REFUSAL}",
        f"[THINK]a[/THINK]{REFUSAL}",
        f"<seed:think>a</seed:think>{REFUSAL}",
        f"<|begin_of_thought|>a<|end_of_thought|>\n<|begin_of_solution|>{REFUSAL}<|end_of_solution|>",
        f"<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>{REFUSAL}<|return|>",
        f"<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>{REFUSAL}",
        f"analysisThe user asks.assistantfinal{REFUSAL}",
        f"◁think▷a◁/think▷{REFUSAL}",
    ],
)
def test_what_follows_the_thought_is_the_answer(text):
    said = split_thought(text)
    assert said.answer == REFUSAL and said.thought and said.closed
    assert REFUSAL not in said.thought


@pytest.mark.parametrize(
    "text",
    ["<think>They ask for", "<think>", "<|channel|>analysis<|message|>They ask", "<|channel|>ana",
     "analysisThey ask for", "<think>a</think>\n<think>b", "[THINK]and then"],
)  # fmt: skip
def test_a_thought_that_was_cut_is_no_answer(text):
    said = split_thought(text)
    assert said.answer == "" and said.thought is not None and not said.closed


@pytest.mark.parametrize(
    "text",
    ["plain", "", "  two\n lines ", "Close it with `</think>` when done.", "The tag <think> opens it.",
     "analysis of data", "Analysis: fine", "Here:\n<think>\nis how one writes it", "1 < 2 and 3 > 2",
     "analysis\nof it"],
)  # fmt: skip
def test_text_without_a_thought_stays_as_it_is(text):
    assert split_thought(text) == (text, None, True)


def test_a_thought_that_the_template_opened_is_one_without_a_mark():
    assert opens_thought("<|assistant|>\n<think>\n") and not opens_thought("<think>\n\n</think>\n\n")
    assert split_thought("They ask for harm", opened=True) == ("", "They ask for harm", False)
    assert split_thought(f"a</think>{REFUSAL}", opened=True).answer == REFUSAL
