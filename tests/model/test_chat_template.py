"""Chat templates are programs of others: bounded, the same every day, refused where they lose the prompt."""

import copy
import datetime
import os
import threading
import time
from pathlib import Path

import pytest
from tiny_chat import TEMPLATE
from tiny_models import load_tokenizer
from transformers import AutoTokenizer

from harc.core.errors import ModelError
from harc.model import chat_template
from harc.model.chat import ChatFormat
from harc.model.chat_template import list_variables, render_template
from harc.settings.backbones import DEFAULT_DATE

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
MISTRAL = (
    "{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]{% else %} {{ m.content }}</s>"
    "{% endif %}{% endfor %}"
)
CLOCK = "{{ strftime_now('%d %b %Y %H:%M') }} " + CHATML
USER = [{"role": "user", "content": "Hello there"}]
TURNS = [*USER, {"role": "assistant", "content": "<think>hm</think>Yes"}, {"role": "user", "content": "More"}]


def make_chat(template, **options) -> ChatFormat:
    tokenizer = copy.deepcopy(load_tokenizer())
    tokenizer.chat_template = template
    return ChatFormat(tokenizer, **options)


@pytest.fixture
def short_limit(monkeypatch):
    render_template("{{ messages }}", USER, {})  # the process is there
    monkeypatch.setattr(chat_template, "LIMIT_S", 0.5)


def test_the_date_is_a_setting(monkeypatch):
    assert make_chat(CLOCK).render("Hello").startswith("26 Jul 2024 00:00 ")
    assert make_chat(CLOCK, date="2031-01-02").render("Hello").startswith("02 Jan 2031 00:00 ")
    assert make_chat(CLOCK).describe()["date"] == DEFAULT_DATE
    with pytest.raises(ModelError, match="chat template: .*Invalid isoformat string"):
        make_chat(CLOCK, date="tomorrow").render("Hello")


def test_transformers_own_rendering_follows_the_clock():
    """The twin: what the test above would see if rendering were left to the tokenizer."""
    text = make_chat(CLOCK).tokenizer.apply_chat_template(USER, tokenize=False, add_generation_prompt=True)
    assert str(datetime.datetime.now().year) in text and "26 Jul 2024" not in text


@pytest.mark.parametrize(
    "template",
    [
        CHATML, MISTRAL, TEMPLATE,
        "{% generation %}{{ messages[0].content }}{% endgeneration %} {{ {'a': 'ü<'} | tojson }} {{ bos_token }}",
        "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{{ ns.n }}{{ m.content }}"
        "{% if loop.last %}{% break %}{% endif %}{% endfor %}",
        "{% macro say(m) %}{{ m.content | trim }}{% endmacro %}{% for m in messages %}{{ say(m) }}\n{% endfor %}"
        "{% if tools is not none %}tools{% endif %}{% if now is defined %}now{% endif %}",
        "{% for m in messages %}\n    {%- if m.role == 'user' %}\n{{ m.content }}\n    {% endif %}\n{% endfor %}",
    ],
)  # fmt: skip
def test_texts_are_those_of_transformers(template):
    chat = make_chat(template)
    for messages in (USER, TURNS):
        expected = chat.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        found = render_template(template, messages, chat.tokenizer.special_tokens_map)
        assert found == expected


@pytest.mark.parametrize("name", ["llama", "qwen2"])
def test_published_templates_too(name):
    folder = Path(__file__).parents[1] / "golden" / "data" / name / "model"
    chat = ChatFormat(AutoTokenizer.from_pretrained(folder))
    expected = chat.tokenizer.apply_chat_template(TURNS, tokenize=False, add_generation_prompt=True)
    assert chat.render(TURNS) == expected


@pytest.mark.parametrize(
    "template",
    [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% macro m(n) %}{% for a in range(9) %}{{ m(n + 1) if n < 99 }}{% endfor %}{% endmacro %}{{ m(0) }}",
        "{{ 9 ** (9 ** 9) }}",
    ],
    ids=["loop", "recursion", "power"],
)
@pytest.mark.usefixtures("short_limit")
def test_template_without_end_is_stopped(template):
    with pytest.raises(ModelError, match="chat template: expected a rendered conversation; found none after"):
        make_chat(template).render("Hello")
    assert make_chat(CHATML).render("Hello").count("Hello") == 1  # the next one is rendered again


@pytest.mark.usefixtures("short_limit")
def test_template_without_end_is_stopped_in_any_thread():
    found = []

    def work():
        try:
            make_chat(
                "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
            ).render("x")
        except ModelError as problem:
            found.append(problem)

    threads = [threading.Thread(target=work) for _ in range(2)]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2 and time.monotonic() - begun < 10


@pytest.mark.parametrize(
    ("template", "found"),
    [
        ("{{ 'a' * 1700000099 }}", "more than 512 MiB of memory"),
        (
            "{% set ns = namespace(x='aaaaaaaa') %}{% for i in range(40) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}"
            "{{ messages[0].content }}",
            "more than 512 MiB of memory",
        ),
        ("{{ 'a' * 17000000 }}", "a text of 17000000 characters"),
        ("x" * 10_000_000, "10000000 characters of template"),
        ("{{ raise_exception('roles\nmust alternate') }}", "TemplateError: roles must alternate"),
        ("{{ messages[0].content", "TemplateSyntaxError"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "RecursionError"),
        ("{{ messages | random }}", "No filter named 'random'"),
        ("{{ lipsum() }}", "'lipsum' is undefined"),
        ("{{ messages.__class__.__mro__ }}", "SecurityError"),
        ({"tool_use": "x"}, "multiple chat templates"),
        (5, "int in place of a text"),
        ("{{ '\ud800' }}{{ messages[0].content }}", "a text that no file can hold"),
    ],
    ids=lambda value: str(value)[:30].encode("ascii", "replace").decode(),
)  # fmt: skip
def test_broken_templates_are_one_line(template, found):
    with pytest.raises(ModelError) as problem:
        make_chat(template).render("Hello")
    assert found in str(problem.value) and "\n" not in str(problem.value)


@pytest.mark.parametrize(
    ("template", "messages", "found"),
    [
        ("You are kind. Answer:", USER, "a rendering without the user's 'Hello there'"),
        ("{{ messages[-1].content }}!", TURNS, "without the user's 'Hello there'"),
        (
            "{% for m in messages if m.role == 'user' %}{{ m.content }}!{% endfor %}", TURNS,
            "without the assistant's 'Yes'",
        ),
        (
            "{% for m in messages if m.role != 'system' %}{{ m.content }}!{% endfor %}",
            [{"role": "system", "content": "Be kind"}, *USER], "without the system's 'Be kind'",
        ),
        ("{% for m in messages %}<u>{{ m.content }}</u>\n{% endfor %}<a>", TURNS, "before either's turn"),
    ],
    ids=["constant", "last turn", "no assistant", "no system", "no roles"],
)  # fmt: skip
def test_template_that_loses_what_is_said_is_refused(template, messages, found):
    with pytest.raises(ModelError, match="chat template: expected") as problem:
        make_chat(template).render(messages)
    assert found in str(problem.value)


@pytest.mark.parametrize("template", [CHATML, MISTRAL, TEMPLATE])
def test_sound_templates_pass(template):
    chat = make_chat(template)
    prompts = chat.encode_prompts(["Hello", TURNS])
    assert len(prompts) == 2 and all(prompts)


def test_template_that_opens_no_turn_is_refused():
    with pytest.raises(ModelError, match="expected a generation prompt; found .* alone, where"):
        make_chat(CHATML.replace("add_generation_prompt", "false")).encode_prompts(["Hello"])


def test_template_options_reach_the_template():
    template = (
        CHATML + "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>{% endif %}"
    )
    assert make_chat(template, template_options={"enable_thinking": False}).render("Hi").endswith("</think>")
    assert (
        make_chat(template, template_options={"enable_thinking": True}).render("Hi").endswith("assistant\n")
    )


@pytest.mark.parametrize("name", ["enable_thinkng", "messages", "add_generation_prompt", "strftime_now"])
def test_options_that_nothing_reads_are_refused(name):
    template = CHATML + "{% if enable_thinking %}{% endif %}"
    with pytest.raises(ModelError, match=f"template_options: expected names that the .* reads; found {name}"):
        make_chat(template, template_options={name: 1}).render("Hi")


def test_names_that_a_template_reads():
    assert list_variables("{% set a = b %}{{ a }}{{ c.d }}") == {"b", "c"}


def test_renderer_that_was_ended_is_started_again():
    render_template("{{ 1 }}", USER, {})
    os.kill(chat_template._renderer._process.pid, 9)
    time.sleep(0.2)
    assert render_template("{{ 2 }}", USER, {}) == "2"


def test_turn_ends_are_the_templates_own():
    chat = ChatFormat(load_tokenizer())
    assert chat.tokenizer.convert_ids_to_tokens(list(chat.turn_ends)) == ["<|eot_id|>"]
    assert make_chat(MISTRAL.replace("</s>", "\n")).turn_ends == frozenset()
