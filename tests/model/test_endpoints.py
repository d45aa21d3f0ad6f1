"""Chat endpoints: settings, cache, keys, and a server that does everything wrong that a server can."""

import json
import subprocess
import sys
import time
from email.utils import formatdate
from functools import partial

import pytest
from fixtures.misbehaving_server import answer, hang_up, raw, serve, status
from fixtures.scripted_endpoint import ScriptedEndpoint

from harc.core.errors import ConfigError, EnvironmentProblem
from harc.model.endpoints.base import ChatEndpoint, Reply, Usage, create_endpoint, failed
from harc.model.endpoints.cache import CachedEndpoint
from harc.model.endpoints.server import ServerEndpoint, choose_wait
from harc.settings.endpoints import EndpointSettings
from harc.settings.loading import parse_settings

KEY = "sk-secret-0123"
GREETING = [{"role": "user", "content": "hello"}]


def make_settings(url: str = "http://127.0.0.1:9/v1", **changes) -> EndpointSettings:
    values = {"kind": "openai", "model": "m", "base_url": url, "cache": None, "retries": 2, "timeout_s": 5}
    return EndpointSettings(**(values | changes))


def ask(behaviours, count: int = 1, **changes):
    """(replies, endpoint, waits, requests) of a server with these behaviours."""
    waits: list[float] = []
    with serve(behaviours) as (url, server):
        endpoint = ServerEndpoint(make_settings(url, **changes), sleep=waits.append)
        replies = endpoint.complete([[{"role": "user", "content": f"hello {n}"}] for n in range(count)])
        return replies, endpoint, waits, server


def test_a_reply_holds_text_reason_and_counts():
    (reply,), endpoint, _, server = ask([answer("good day")], prompt_price=2.0, completion_price=10.0)
    assert reply == Reply("good day", "stop", 3, 2)
    usage = endpoint.usage
    assert (usage.requests, usage.prompt_tokens, usage.completion_tokens) == (1, 3, 2)
    assert usage.cost == pytest.approx((3 * 2 + 2 * 10) / 1e6)
    ((_, body),) = server.requests
    assert body == {
        "model": "m", "messages": [{"role": "user", "content": "hello 0"}], "temperature": 0.0, "seed": 0,
        "max_tokens": 512,
    }  # fmt: skip


@pytest.mark.parametrize(
    "first",
    [status(429), status(500), status(503), hang_up, raw(b"{not json"), raw(b"\xff\xfe"), raw(b"[]"),
     raw(b'{"choices": [', length=9000), answer(choices=False), answer(None), raw(b'{"choices": [{}]}')],
    ids=["429", "500", "503", "hang-up", "no-json", "no-utf8", "list", "cut", "no-choice", "no-text", "no-message"],
)  # fmt: skip
def test_what_fails_in_passing_is_tried_again(first):
    (reply,), endpoint, waits, _ = ask([first, answer()])
    assert reply.text == "fine" and len(waits) == 1
    assert (endpoint.usage.requests, endpoint.usage.retries, endpoint.usage.failures) == (1, 1, 0)


def test_a_server_that_never_answers_gives_failed_replies_and_no_exception():
    replies, endpoint, waits, server = ask([status(500, text="broken")], count=2)
    assert [reply.text for reply in replies] == ["", ""]
    assert "status 500" in replies[0].error and "tried 3 times" in replies[0].error
    assert len(server.requests) == 6 and len(waits) == 4
    assert (endpoint.usage.failures, endpoint.usage.retries) == (2, 4)


def test_a_time_out_is_tried_again():
    (reply,), endpoint, _, _ = ask([answer(wait=1.0), answer("second")], timeout_s=0.2)
    assert reply.text == "second" and endpoint.usage.retries == 1


def test_no_server_at_all_is_a_failed_reply():
    endpoint = ServerEndpoint(make_settings(retries=1), sleep=lambda _: None)
    (reply,) = endpoint.complete([GREETING])
    assert reply.error.startswith("APIConnectionError")


def test_missing_usage_is_counted_as_uncounted():
    (reply,), endpoint, _, _ = ask([answer(usage=False)])
    assert (reply.prompt_tokens, reply.completion_tokens) == (None, None)
    assert endpoint.usage.uncounted == 1


def test_a_refused_request_is_not_sent_again():
    (reply,), _, waits, server = ask([status(400, text="too long")])
    assert "too long" in reply.error and not waits and len(server.requests) == 1


@pytest.mark.parametrize(("code", "named"), [(401, "key_variable"), (403, "key_variable"), (404, "base_url")])
def test_what_no_request_would_survive_stops_the_run(code, named):
    with pytest.raises(EnvironmentProblem, match=rf"found status {code}.*{named}"):
        ask([status(code)])


def test_one_request_that_a_firewall_forbids_ends_nothing():
    replies, *_ = ask([answer(), status(403, text="WAF")], count=2, concurrency=1)
    assert [reply.finish_reason for reply in replies] == ["stop", "refused"] and "403" in replies[1].error


@pytest.mark.parametrize("name", ["timeout_s", "first_wait_s", "longest_wait_s"])
def test_a_wait_beyond_every_clock_is_refused(name):
    with pytest.raises(ConfigError, match=f"{name}: expected less than or equal to 86400"):
        parse_settings(EndpointSettings, {"kind": "local", "model": "m", name: 1e308}, "mine.yaml")


def test_retry_after_is_obeyed_up_to_a_limit():
    _, _, waits, _ = ask([status(429, {"retry-after": "7"}), status(429, {"retry-after": "900"}), answer()])
    assert waits == [7.0, 60.0]
    settings = make_settings(first_wait_s=1.0)
    assert 0.75 <= choose_wait(1, None, settings) <= 1.25
    assert 3.0 <= choose_wait(3, "nonsense", settings) <= 5.0
    assert choose_wait(9, None, settings) == 60.0
    assert 25 < choose_wait(1, formatdate(time.time() + 30, usegmt=True), settings) <= 30
    assert choose_wait(1, "-5", settings) == 0.0


def test_requests_under_way_are_bounded_and_replies_stay_in_order():
    replies, _, _, server = ask([answer(wait=0.05)], count=9, concurrency=3)
    assert server.most_open <= 3 and len(replies) == 9
    echo = ScriptedEndpoint(lambda conversation, seed: conversation[0]["content"])
    assert [r.text for r in echo.complete([[{"role": "user", "content": c}] for c in "abc"])] == [
        "a",
        "b",
        "c",
    ]


def test_the_key_comes_from_its_variable_and_leaves_no_trace(monkeypatch):
    monkeypatch.setenv("A_KEY", KEY)
    (reply,), endpoint, _, server = ask([status(400, text=f"bad header Bearer {KEY}")], key_variable="A_KEY")
    assert server.requests[0][0]["authorization"] == f"Bearer {KEY}"
    assert KEY not in reply.error and "[key]" in reply.error
    assert KEY not in repr(endpoint.settings) and KEY not in endpoint.name
    with pytest.raises(EnvironmentProblem) as caught:
        ask([status(401, text=f"unknown {KEY}")], key_variable="A_KEY")
    assert KEY not in str(caught.value) and "[key]" in str(caught.value)
    assert caught.value.__suppress_context__


def test_a_key_that_is_not_set_is_named_before_anything_is_sent(monkeypatch):
    monkeypatch.delenv("A_KEY", raising=False)
    with pytest.raises(EnvironmentProblem, match=r"A_KEY; found no such variable.*export A_KEY=\.\.\."):
        create_endpoint(make_settings(key_variable="A_KEY"))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"base_url": None}, "base_url for an endpoint of kind openai"),
        ({"base_url": "ftp://x"}, "an address such as"),
        ({"base_url": "http://me:secret@x/v1"}, "without user, password"),
        ({"key": "sk-1"}, "unknown key"),
        ({"key_variable": "sk-1"}, "match pattern"),
    ],
)
def test_settings_refuse(values, said):
    given = {"kind": "openai", "model": "m", "base_url": "http://127.0.0.1/v1"} | values
    with pytest.raises(ConfigError, match=said):
        parse_settings(EndpointSettings, given, "profile: evaluation.attacker")


def test_a_reply_is_continued_only_where_the_server_can():
    half = [*GREETING, {"role": "assistant", "content": "Good"}]
    with serve([answer("day")]) as (url, server):
        plain, able = (ServerEndpoint(make_settings(url, continues_replies=c)) for c in (False, True))
        assert "continues_replies" in plain.complete([half])[0].error and not server.requests
        assert able.complete([half])[0].text == "day"
        body = server.requests[0][1]
        assert body["continue_final_message"] is True and body["add_generation_prompt"] is False


def make_cached(tmp_path, answers=lambda conversation, seed: f"{seed}"):
    inner = ScriptedEndpoint(answers)
    return inner, CachedEndpoint(inner, make_settings(cache=tmp_path))


def test_the_cache_asks_once_and_tells_options_apart(tmp_path):
    inner, cached = make_cached(tmp_path)
    assert isinstance(cached, ChatEndpoint)
    seen = []
    first = cached.complete([GREETING, GREETING], seed=1, on_reply=lambda place, _: seen.append(place))
    assert len(inner.asked) == 1 and sorted(seen) == [0, 1]
    assert cached.complete([GREETING, GREETING], seed=1) == first and len(inner.asked) == 1
    assert cached.usage.cache_hits == 2
    cached.complete([GREETING], seed=2)
    cached.complete([GREETING], seed=1, temperature=0.5)
    cached.complete([GREETING], seed=1, max_new_tokens=3)
    cached.complete([[*GREETING, {"role": "assistant", "content": "x"}]], seed=1)
    assert len(inner.asked) == 5


def test_the_cache_keeps_no_failures_and_mends_damage(tmp_path, capsys):
    answers = iter([failed("no"), "yes", "again"])
    _, cached = make_cached(tmp_path, lambda *_: next(answers))
    assert cached.complete([GREETING])[0].error == "no"
    assert cached.complete([GREETING])[0].text == "yes"
    (file,) = tmp_path.rglob("*.jsonl")
    kept = json.loads(file.read_text())
    assert kept["value"]["text"] == "yes"
    changed = [kept | {"value": {**kept["value"], "text": "no"}}, kept | {"name": "x"}, {"value": {}}, []]
    refuse = partial(pytest.fail, "a whole one is not asked for")
    for damage in ("", '{"key": 1', "\n\n", *(f"{json.dumps(entry)}\n" for entry in changed)):
        file.write_text(damage)
        answers = iter(["again"])
        assert cached.complete([GREETING])[0].text == "again", damage
        _, other = make_cached(tmp_path, lambda *_: refuse())
        assert other.complete([GREETING])[0].text == "again", damage
    assert "damaged entries are left out" in capsys.readouterr().err


def test_what_was_answered_before_a_failure_is_kept(tmp_path):
    def answers(conversation, _):
        if conversation[0]["content"] == "second":
            raise KeyboardInterrupt
        return "kept"

    inner, cached = make_cached(tmp_path, answers)
    with pytest.raises(KeyboardInterrupt):
        cached.complete([[{"role": "user", "content": text}] for text in ("first", "second")])
    assert cached.complete([[{"role": "user", "content": "first"}]])[0].text == "kept"
    assert len(inner.asked) == 2


def test_usage_does_not_charge_failures():
    usage = Usage()
    usage.add(failed("x"), 1.0, 1.0)
    assert (usage.requests, usage.failures, usage.cost) == (1, 1, 0.0)


def test_the_client_is_imported_only_for_a_server():
    code = (
        "import sys, harc.evaluation.run, harc.model.endpoints.base;"
        "import harc.model.endpoints.cache, harc.model.endpoints.server;"
        "assert 'openai' not in sys.modules and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
