"""Templates of any layout: positions, truncation, and errors where the user's text cannot be located."""

import copy
from dataclasses import replace

import pytest
from tiny_models import load_tokenizer

from harc.core.errors import DataError, ModelError
from harc.model.chat import ChatFormat

PLAIN = "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\n' }}{% endfor %}assistant:"
SYSTEM = "{% if messages[0]['role'] != 'system' %}system: be kind\n{% endif %}" + PLAIN
NO_SYSTEM = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}" + PLAIN
TRIMMED = "{% for m in messages %}<u>{{ m['content'] | trim }}</u>\n{% endfor %}<a>"
THINKING = PLAIN + "{% if not enable_thinking | default(true) %} (no thoughts){% endif %}"


def make_chat(template: str, **options) -> ChatFormat:
    tokenizer = copy.deepcopy(load_tokenizer())
    tokenizer.chat_template = template
    return ChatFormat(tokenizer, **options)


@pytest.mark.parametrize("template", [PLAIN, SYSTEM, NO_SYSTEM, TRIMMED, THINKING])
@pytest.mark.parametrize("prompt", ["Short", "A long prompt about gardens " * 40 + "end"])
def test_positions_hold_for_prompts_of_any_length(template: str, prompt: str):
    chat = make_chat(template)
    (ids,) = chat.encode_prompts([prompt], max_length=60)
    t_inst, t_post = chat.locate_positions(ids)
    assert t_post == len(ids) - 1 <= 59
    assert prompt.endswith(chat.tokenizer.decode(ids[t_inst : t_inst + 1]).strip())
    assert tuple(ids[t_inst + 1 :]) == chat.suffix_ids


def test_right_truncation_loses_the_header_as_the_release_does():
    chat = make_chat(PLAIN)
    (ids,) = chat.encode_prompts(["words " * 100], max_length=20, truncation="right")
    assert len(ids) == 20
    assert tuple(ids[-chat.post_instruction_count :]) != chat.suffix_ids


def test_system_turn_and_template_options():
    assert "be kind" in make_chat(SYSTEM).render("Hello")
    assert make_chat(SYSTEM, system="be brief").render("Hello").startswith("system: be brief\n")
    quiet = make_chat(THINKING, template_options={"enable_thinking": False})
    assert quiet.post_instruction_count > make_chat(THINKING).post_instruction_count


def test_conversations_keep_their_turns():
    turns = [("user", "One"), ("assistant", "Two"), ("user", "Three")]
    messages = [{"role": role, "content": content} for role, content in turns]
    chat = make_chat(PLAIN)
    (ids,) = chat.encode_prompts([messages])
    assert chat.tokenizer.decode(ids) == "user: One\nassistant: Two\nuser: Three\nassistant:"


def test_raw_template_is_zhaos():
    chat = ChatFormat(load_tokenizer(), template="raw")
    assert chat.render("Hello") == (
        "<|start_header_id|>user<|end_header_id|>\nHello<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n"
    )
    with pytest.raises(DataError, match="raw template: expected one user turn; found 3 turns"):
        chat.render([{"role": "user", "content": "a"}] * 3)


@pytest.mark.parametrize(
    ("template", "found"),
    [
        ("user: {{ messages[0]['content'] | upper }} assistant:", "the probe 0 times"),
        ("{{ messages[0]['content'] }}{{ messages[0]['content'] }} assistant:", "the probe 2 times"),
        ("user: {{ messages[0]['content'] }}", "no token after it"),
        ("always the same", "the probe 0 times"),
    ],
)
def test_user_text_that_cannot_be_located_is_an_error(template: str, found: str):
    with pytest.raises(ModelError, match=f"chat template: expected the user's text unchanged.*found {found}"):
        make_chat(template).encode_prompts(["Hello"])


def test_template_that_refuses_a_system_turn_says_so():
    with pytest.raises(ModelError, match="expected a rendered conversation; found TemplateError: no sys"):
        make_chat(NO_SYSTEM, system="be kind").render("Hello")


def test_end_that_differs_from_the_probed_one_is_an_error():
    text = "messages[0]['content']"
    odd = f"{{% if 'x' in {text} and 'q' not in {text} %}}{{{{ {text} }}}} other end"
    template = odd + "{% else %}" + PLAIN + "{% endif %}"
    with pytest.raises(ModelError, match="prompt 1: expected the template's tokens at the end"):
        make_chat(template).encode_prompts(["Hello", "axe"])


@pytest.mark.parametrize("messages", [[], [{"role": "assistant", "content": "Hi"}]])
def test_conversations_must_end_with_the_user(messages: list):
    with pytest.raises(DataError, match="conversation: expected a last turn by the user"):
        make_chat(PLAIN).render(messages)


def test_limits_too_small_for_the_template():
    chat = make_chat(PLAIN)
    with pytest.raises(DataError, match=r"prompt 0: expected more than the template's \d+ last tokens"):
        chat.encode_prompts(["Hello there"], max_length=chat.post_instruction_count)


def test_responses_are_cut_on_the_right_with_the_end_token_on_top():
    chat = make_chat(PLAIN)
    (ids,) = chat.encode_responses(["one two three four"], 3, add_eos=True)
    assert ids == [*chat.tokenize("one two three four")[:3], chat.end_id]
    with pytest.raises(DataError, match="response 1: expected a text with at least one token; found ''"):
        chat.encode_responses(["fine", ""])


def test_slow_tokenizers_are_refused():
    class Slow:
        is_fast = False

        def __getattr__(self, name):
            return getattr(load_tokenizer(), name)

        def __call__(self, *args, **kwargs):
            return load_tokenizer()(*args, **kwargs)

    with pytest.raises(ModelError, match="found a tokenizer without character offsets"):
        replace(make_chat(PLAIN), tokenizer=Slow()).encode_prompts(["Hello"])
