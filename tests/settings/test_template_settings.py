"""What a chat template is told, from every place that sets it to every place that renders, caches or records it."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from fixtures.misbehaving_server import answer, serve
from fixtures.scripted_endpoint import ScriptedEndpoint
from tiny_chat import TEMPLATE, save_tiny_chat

import harc
from harc.core.errors import ConfigError, ModelError
from harc.core.files import read_json, read_jsonl, sha256_text
from harc.evaluation.own.choices import choose_chat
from harc.evaluation.own.command import evaluate_by_hand
from harc.evaluation.own.options import Options
from harc.evaluation.run import EvaluationPaths, describe_run
from harc.model.backbones import load_backbone
from harc.model.endpoints.cache import CachedEndpoint
from harc.model.endpoints.local import LocalEndpoint
from harc.model.endpoints.server import ServerEndpoint
from harc.model.handle import ModelHandle
from harc.settings.backbones import GgufBackbone, HubBackbone, TemplateSettings
from harc.settings.endpoints import EndpointSettings
from harc.settings.loading import TrainingFile, parse_settings

THINKING = (
    "{{ strftime_now('%Y') }}!"
    + TEMPLATE
    + "{% if enable_thinking is defined and not enable_thinking %}wrong{% endif %}"
)
GREETING = [{"role": "user", "content": "red cat"}]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = save_tiny_chat(tmp_path_factory.mktemp("thinking"))
    (folder / "chat_template.jinja").write_text(THINKING)
    return folder


def run(model: Path, out: Path, *given: str, date: str | None = None):
    prompts = out.parent / "abuse.csv"
    prompts.write_text("prompt\nred cat\nwhich hero are you\n")
    options = Options(
        model=str(model), suites=(str(prompts),), out=out, max_new_tokens=4, template_options=given, template_date=date
    )  # fmt: skip
    evaluate_by_hand(options)
    return read_jsonl(out / "generations" / "abuse.jsonl")


def test_options_and_date_change_prompts_and_identity(model, tmp_path):
    plain = run(model, tmp_path / "plain")
    quiet = run(model, tmp_path / "quiet", "enable_thinking=false")
    later = run(model, tmp_path / "later", date="2031-01-02")
    assert len({records[0]["prompt_sha256"] for records in (plain, quiet, later)}) == 3
    text = "2024!<start>user<sep>red cat<end><start>assistant<sep>"
    assert plain[0]["prompt_sha256"] == sha256_text(text)
    assert quiet[0]["prompt_sha256"] == sha256_text(text + "wrong")
    assert later[0]["prompt_sha256"] == sha256_text(text.replace("2024", "2031"))
    kept = [read_json(tmp_path / name / "run.json")["chat"] for name in ("plain", "quiet", "later")]
    assert kept == [
        {"template_options": {}, "date": "2024-07-26"},
        {"template_options": {"enable_thinking": False}, "date": "2024-07-26"},
        {"template_options": {}, "date": "2031-01-02"},
    ]
    with pytest.raises(ConfigError, match="one that differs in chat"):
        run(model, tmp_path / "plain", "enable_thinking=false")


def test_misspelt_option_is_refused_before_anything_is_answered(model, tmp_path):
    with pytest.raises(
        ModelError, match="template_options: expected names that .* reads; found enable_thinkng"
    ):
        run(model, tmp_path / "run", "enable_thinkng=false")
    assert not (tmp_path / "run" / "generations").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"template_options": ("enable_thinking",)}, "expected NAME=VALUE"),
        ({"template_options": ("messages=1",)}, "options other than messages"),
        ({"template_date": "26 July"}, "a day such as 2024-07-26"),
        (
            {"template_date": "2024-07-26", "endpoint": Path("e.yaml"), "model": None},
            "neither with --endpoint",
        ),
    ],
    ids=["no value", "reserved", "no date", "served"],
)
def test_what_cannot_be_told_is_one_line(given, said, tmp_path):
    options = replace(Options(model="m", suites=(), out=tmp_path), **given)
    with pytest.raises(ConfigError) as problem:
        choose_chat(options)
    assert said in str(problem.value) and "\n" not in str(problem.value)


def test_values_are_json_where_they_can_be():
    given = ("a=false", "b=3", "c=low", 'd={"e": [1]}', "f=x=y", "g=")
    chosen = choose_chat(Options(model="m", suites=(), out=Path("x"), template_options=given))
    assert chosen["template_options"] == {
        "a": False,
        "b": 3,
        "c": "low",
        "d": {"e": [1]},
        "f": "x=y",
        "g": "",
    }


def test_servers_are_sent_the_options():
    settings = EndpointSettings(
        kind="openai", model="m", base_url="http://127.0.0.1:9/v1", cache=None, continues_replies=True,
        template_options={"enable_thinking": False},
    )  # fmt: skip
    assert settings.describe_answers()["template_options"] == {"enable_thinking": False}
    opened = [*GREETING, {"role": "assistant", "content": "Sure"}]
    with serve([answer(), answer()]) as (url, server):
        endpoint = ServerEndpoint(settings.model_copy(update={"base_url": url}))
        endpoint.complete([GREETING])
        endpoint.complete([opened])
    bodies = [body for _, body in server.requests]
    assert [body["chat_template_kwargs"] for body in bodies] == [{"enable_thinking": False}] * 2
    assert bodies[1]["continue_final_message"] is True


def test_a_servers_clock_is_its_own():
    values = {
        "kind": "openai",
        "model": "m",
        "base_url": "http://127.0.0.1:9/v1",
        "template_date": "2031-01-02",
    }
    with pytest.raises(ConfigError, match="no template_date for an endpoint of kind openai"):
        parse_settings(EndpointSettings, values, "file")


def test_the_cache_tells_templates_apart(tmp_path):
    def make_key(**changes):
        settings = EndpointSettings(kind="local", model="m", cache=tmp_path, **changes)
        return CachedEndpoint(ScriptedEndpoint([]), settings).make_key(GREETING, {})

    keys = [
        make_key(),
        make_key(template_options={"enable_thinking": False}),
        make_key(template_date="2031-01-02"),
    ]
    assert len(set(keys)) == 3 and make_key(template_date="2024-07-26") == keys[0]


def test_local_endpoints_render_with_their_options(model):
    settings = EndpointSettings(
        kind="local", model=str(model), cache=None, template_options={"enable_thinking": False},
        template_date="2031-01-02",
    )  # fmt: skip
    endpoint = LocalEndpoint.load(settings)
    assert endpoint.backbone.chat.render("cat") == "2031!<start>user<sep>cat<end><start>assistant<sep>wrong"


def test_backbones_and_training_files_say_what_their_template_is_told(model):
    told = {"template_options": {"enable_thinking": False}, "template_date": "2031-01-02"}
    hub = HubBackbone(model_id="lab/tiny", memory_gb=1, disk_gb=1, **told)
    place = {"sha256": "0" * 64, "wheels": {"requirement": "a==1", "sha256": ["0" * 64]}}
    wheel, file = GgufBackbone(gguf=place, **told), TrainingFile(training="rows.jsonl", **told)
    for settings in (hub, wheel, file, TemplateSettings(**told)):
        assert load_backbone(model, **settings.chat).chat.render("cat").endswith("wrong")


def test_finished_suites_belong_to_what_the_template_was_told(tmp_path):
    from harc.settings.evaluation import EvaluationSettings

    (tmp_path / "rows.jsonl").write_text("")
    paths = EvaluationPaths(
        ModelHandle("m"), tmp_path / "rows.jsonl", tmp_path / "world.json", None, tmp_path
    )
    chat = {"template_options": {"enable_thinking": False}, "date": "2024-07-26"}
    told = replace(paths, model=ModelHandle("m", chat=chat))
    settings = EvaluationSettings()
    assert json.dumps(describe_run(paths, settings, 0)) != json.dumps(describe_run(told, settings, 0))


def test_every_rendering_goes_through_one_place():
    """A tokenizer's own method follows the clock and knows no limit; lm_eval's method of that name is ours."""
    texts = [path.read_text() for path in Path(harc.__file__).parent.rglob("*.py")]
    call = re.compile(r"\.(apply_chat_template|render_jinja_template)\(")
    assert len(texts) > 200 and not any(map(call.search, texts))
    assert call.search("tokenizer.apply_chat_template(messages)")
