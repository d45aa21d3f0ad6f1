"""Servers that redirect, drip, flood, compress, quote the key or answer nonsense: one line, or a right reply."""

import base64
import gzip
import itertools
import json
import time
from contextlib import suppress
from urllib.parse import quote

import pytest
from fixtures.misbehaving_server import answer, complete, drip, raw, reset, serve, status

from harc.core.errors import ConfigError, EnvironmentProblem
from harc.model.endpoints import transport
from harc.model.endpoints.cache import CachedEndpoint, hide_key, read_key, redact_reply
from harc.model.endpoints.server import ServerEndpoint, choose_wait
from harc.settings.endpoints import EndpointSettings
from harc.settings.loading import parse_settings

KEY = "sk-Ab3/dE+6hIjKl9MnOpQ_rSt0uV1wX2"
HELLO = [{"role": "user", "content": "hello"}]
START = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"


def make(url: str, **changes) -> ServerEndpoint:
    values = {"kind": "openai", "model": "m", "base_url": url, "cache": None, "retries": 0, "timeout_s": 5}
    return ServerEndpoint(EndpointSettings(**(values | changes)), sleep=lambda _: None)


def ask(behaviour, **changes):
    with serve([behaviour]) as (url, server):
        (reply,) = make(url, **changes).complete([HELLO])
        return reply, server


@pytest.mark.parametrize("code", [301, 302, 307])
def test_a_redirect_is_not_followed(code):
    with serve([answer("elsewhere")]) as (other, unasked):
        with pytest.raises(EnvironmentProblem) as caught:
            ask(status(code, {"location": f"{other}/chat/completions"}))
        assert not unasked.requests
        host = other.split("/")[2]
    assert f"found status {code}, a redirect from 127.0.0.1:" in str(caught.value) and f" to {host};" in str(
        caught.value
    )


@pytest.mark.parametrize(
    "location", ["", "/v2", "//evil.invalid/x", "http://user:secret@evil.invalid/", "http://[", "\u202e"]
)
def test_any_redirect_is_one_line(location):
    header = {"location": location.encode("utf-8").decode("latin-1")} if location else {}
    with pytest.raises(EnvironmentProblem, match="a redirect from 127.0.0.1:") as caught:
        ask(status(302, header))
    assert "secret" not in str(caught.value) and "\n" not in str(caught.value)


SLOW = {
    "body": [START + b"content-length: 9999\r\n\r\n", *[b" "] * 100],
    "headers": [b"HTTP/1.1 200 OK\r\n", *[b"x-a: b\r\n"] * 100],
    "chunks": [START + b"transfer-encoding: chunked\r\n\r\n", *[b"1\r\n \r\n"] * 100],
}


@pytest.mark.parametrize("where", SLOW)
def test_a_dripping_answer_ends_in_time(where):
    start = time.monotonic()
    reply, _ = ask(drip(SLOW[where], 0.1), timeout_s=0.5)
    assert "no whole answer in the time that timeout_s allows" in reply.error
    assert time.monotonic() - start < 6  # of ten; the client may have to be imported first


def test_an_answer_that_drips_but_ends_in_time_is_read():
    body = complete("slow but whole")
    pieces = [START + b"content-length: %d\r\n\r\n" % len(body), body[:9], body[9:]]
    assert ask(drip(pieces, 0.05))[0].text == "slow but whole"


@pytest.mark.parametrize("start", [b"\r\n", b"transfer-encoding: chunked\r\n\r\n"])
def test_an_endless_answer_is_cut(start, monkeypatch):
    monkeypatch.setattr(transport, "MOST_BYTES", 1 << 20)
    piece = b"10000\r\n" + b" " * 0x10000 + b"\r\n" if b"chunked" in start else b" " * 0x10000
    reply, _ = ask(drip(itertools.chain([START + start], itertools.repeat(piece)), 0))
    assert reply.error == "an answer of more than 1 MiB"


def test_a_large_answer_within_the_limit_is_read():
    assert len(ask(raw(complete("x" * (1 << 20))))[0].text) == 1 << 20


BOMB = gzip.compress(bytes(20_000_000), 9)


@pytest.mark.parametrize(
    ("encoding", "code"),
    [("gzip", 200), ("GZIP", 400), ("br", 200), ("zstd", 500), ("gzip, gzip", 200), ("x-unknown", 429)],
)
def test_a_compressed_answer_is_not_unpacked(encoding, code):

    def behave(handler):
        handler.close_connection = True
        handler.send(code, BOMB, {"content-encoding": encoding})

    reply, server = ask(behave)
    assert reply.error == f"a compressed answer ({encoding.lower()}), which was not asked for"
    assert server.requests[0][0]["accept-encoding"] == "identity"


FORMS = {
    "plain": KEY,
    "header": f"Authorization: Bearer {KEY}",
    "url": quote(KEY, safe=""),
    "json": json.dumps({"key": KEY}),
    "base64": base64.b64encode(KEY.encode()).decode(),
    "basic": base64.b64encode(f"user:{KEY}".encode()).decode(),
    "bearer": base64.b64encode(f"Bearer {KEY}".encode()).decode(),
    "hex": KEY.encode().hex(),
    "upper": KEY.upper(),
    "cut": KEY[:-4],
    "end": KEY[8:],
    "twice": KEY + KEY,
}


def quotes_key(text: str) -> bool:
    """Whether enough of the key can be read off a text."""
    pieces = [KEY[start : start + 12] for start in range(len(KEY) - 11)]
    found = [text, text.lower(), text.upper()]
    for word in text.replace('"', " ").split():
        with suppress(ValueError):
            found.append(base64.b64decode(word + "=" * (-len(word) % 4)).decode("latin-1"))
    return any(piece in text for piece in pieces for text in found)


@pytest.mark.parametrize("form", FORMS)
def test_a_key_that_is_quoted_is_stored_nowhere(form, monkeypatch, tmp_path, capsys):
    assert quotes_key(FORMS[form]) or form in ("url", "hex", "upper")
    monkeypatch.setenv("A_KEY", KEY)
    text = f"before {FORMS[form]} after\nnext line"
    body = complete(text, model=f"m {FORMS[form]}")
    with serve([raw(body), status(400, text=text), status(500, text=text), status(401, text=text)]) as (
        url,
        _,
    ):
        endpoint = make(url, key_variable="A_KEY", cache=tmp_path / "cache")
        cached = CachedEndpoint(endpoint, endpoint.settings)
        (reply,) = cached.complete([HELLO])
        assert (
            reply.text.startswith("before ")
            and reply.text.endswith(" after\nnext line")
            and "[key]" in reply.text
        )
        errors = [cached.complete([HELLO], seed=seed)[0].error for seed in (1, 2)]
        with pytest.raises(EnvironmentProblem) as caught:
            cached.complete([HELLO], seed=3)
    stored = "".join(path.read_text() for path in tmp_path.rglob("*.json*"))
    for seen in (
        repr(reply),
        *errors,
        str(caught.value),
        stored,
        capsys.readouterr().err,
        repr(endpoint.usage),
    ):
        assert not quotes_key(seen) and FORMS[form] not in seen
    assert "before" in stored


def test_a_short_key_is_a_word_like_others_in_answers():
    assert redact_reply("EMPTY words", "EMPTY") == "EMPTY words"
    assert hide_key("nothing of it here", KEY) == "nothing of it here"
    assert hide_key(f"{KEY} {KEY}", KEY) == "[key] [key]"


@pytest.mark.parametrize("key", ["two words", "line\nbreak", "caf\u00e9-0123456"])
def test_a_key_that_no_header_holds_is_not_shown(key, monkeypatch):
    monkeypatch.setenv("A_KEY", key)
    with pytest.raises(EnvironmentProblem, match="expected a key of plain characters") as caught:
        read_key(make("http://127.0.0.1:9/v1").settings.model_copy(update={"key_variable": "A_KEY"}))
    assert key not in str(caught.value)


@pytest.mark.parametrize(
    "values",
    [
        {"base_url": f"http://me:{KEY}@h/v1"}, {"base_url": f"http://h/v1?key={KEY}"}, {"base_url": f"ftp://{KEY}@h/"},
        {"base_url": f"http://h/v1#{KEY}"}, {"key_variable": KEY}, {"proxy": f"http://me:{KEY}@h:1"},
        {"base_url": "http://h:99999999/v1"}, {"base_url": "http://[::1/v1"}, {"proxy": "socks9://h"},
    ],
)  # fmt: skip
def test_settings_with_a_secret_in_them_are_refused_without_showing_it(values):
    given = {"kind": "openai", "model": "m", "base_url": "http://127.0.0.1/v1"} | values
    with pytest.raises(ConfigError) as caught:
        parse_settings(EndpointSettings, given, "endpoint.yaml")
    assert KEY not in str(caught.value)


MALFORMED = {
    "empty": b"", "spaces": b"  \n", "page": b"<html><body>gateway</body></html>", "text": b"fine", "number": b"7",
    "list": b"[]", "null": b"null", "nan": b'{"choices": NaN}', "twice": b'{"choices": [], "choices": []}',
    "deep": b"[" * 200_000, "deep-object": b'{"a":' * 50_000 + b"1" + b"}" * 50_000, "utf16": "{}".encode("utf-16"),
    "latin": b'{"choices": "\xe9"}', "no-choices": b"{}", "choices-null": complete(choices=None),
    "choices-text": complete(choices="x"), "choices-object": complete(choices={"0": 1}),
    "choice-null": complete(choices=[None]), "choice-list": complete(choices=[[]]),
    "message-null": complete(choices=[{"message": None}]), "message-text": complete(choices=[{"message": "x"}]),
    "content-number": complete(choices=[{"message": {"content": 7}}]),
    "content-object": complete(choices=[{"message": {"content": {"text": "x"}}}]),
    "digits": b'{"choices": ' + b"9" * 5000 + b"}", "cut": complete()[:-9], "more": complete() + b"x",
    "error": b'{"error": {"message": "overloaded"}}', "event-stream": b"data: {}\n\ndata: [DONE]\n\n",
}  # fmt: skip


@pytest.mark.parametrize("kind", ["application/json", "text/html"])
def test_an_answer_of_another_form_is_one_line(kind):
    def send(body):
        return lambda handler: handler.send(200, body, {"content-type": kind})

    with serve([send(body) for body in MALFORMED.values()]) as (url, _):
        endpoint = make(url)
        for form in MALFORMED:
            (reply,) = endpoint.complete([HELLO])
            assert (reply.text, reply.finish_reason) == ("", "error"), form
            assert "\n" not in reply.error and len(reply.error) < 500, form


@pytest.mark.parametrize("kind", ["text/html", "", "application/octet-stream", "nonsense; charset=klingon"])
def test_a_right_answer_under_a_wrong_type_is_read(kind):
    reply, _ = ask(lambda handler: handler.send(200, complete("good"), {"content-type": kind}))
    assert reply.text == "good"


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        (None, (None, None)), ("many", (None, None)), ([1], (None, None)), ({}, (None, None)),
        ({"prompt_tokens": -1, "completion_tokens": 2}, (None, 2)),
        ({"prompt_tokens": "3", "completion_tokens": 1.5}, (None, None)),
        ({"prompt_tokens": True, "completion_tokens": 10**300}, (None, None)),
        ({"prompt_tokens": 0, "completion_tokens": 7}, (0, 7)),
    ],
)  # fmt: skip
def test_counts_that_are_none_are_not_counted(usage, counts):
    reply, _ = ask(raw(complete(usage=usage)))
    assert reply.error is None and (reply.prompt_tokens, reply.completion_tokens) == counts


def test_lone_surrogates_of_an_answer_are_replaced():
    reply, _ = ask(raw(rb'{"choices": [{"message": {"content": "a\ud800b \ud83d\ude00"}}]}'))
    assert reply.text == "a\ufffdb \U0001f600"


def test_a_prompt_with_a_lone_surrogate_is_not_sent():
    with serve([answer()]) as (url, server):
        (reply,) = make(url).complete([[{"role": "user", "content": "a\udc00"}]])
        assert "a lone surrogate in the prompt" in reply.error and not server.requests


CODES = (204, 400, 405, 408, 409, 410, 413, 418, 422, 429, 500, 502, 503, 504, 599)
BODIES = (
    b"", b"<html>" + b"x" * 5000, b"[" * 100_000, b'{"error": 7}', b"\xff\xfe\x00",
    b'{"error": {"message": {"a": []}}}',
)  # fmt: skip


@pytest.mark.parametrize("body", BODIES, ids=["empty", "page", "deep", "number", "bytes", "object"])
def test_every_status_gives_one_line(body):
    def send(code):
        return lambda handler: handler.send(code, b"" if code == 204 else body, {"content-type": "text/html"})

    with serve([*map(send, CODES), status(304)]) as (url, _):
        endpoint = make(url)
        for code in CODES:
            (reply,) = endpoint.complete([HELLO])
            assert reply.text == "" and len(reply.error) < 600 and "\n" not in reply.error, code
        with pytest.raises(EnvironmentProblem, match="status 304"):
            endpoint.complete([HELLO])


@pytest.mark.parametrize(
    ("header", "low", "high"),
    [
        ("1e999", 0.7, 1.3), ("nan", 0.7, 1.3), ("-1", 0, 0), ("9" * 400, 0.7, 1.3), ("99999999", 60, 60),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 60, 60), ("Thu, 01 Jan 1970 00:00:00 GMT", 0, 0), ("1970", 60, 60),
        ("Fri, 99 Foo 99999 99:99:99 GMT", 0.7, 1.3), ("-inf", 0.7, 1.3), ("\u0664", 4, 4), ("", 0.7, 1.3),
    ],
)  # fmt: skip
def test_any_retry_after_gives_a_wait_in_bounds(header, low, high):
    assert low <= choose_wait(1, header, make("http://127.0.0.1:9/v1").settings) <= high


@pytest.mark.parametrize("behaviour", [reset(complete()[:20]), reset(b"")], ids=["mid-body", "before"])
def test_a_reset_connection_is_one_line(behaviour):
    assert "reset by peer" in ask(behaviour)[0].error.lower() or "Connection" in ask(behaviour)[0].error


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://nowhere.invalid/v1", "(Name or service not known|resol|No address)"),
        ("http://[::1]:9/v1", "(refused|unavailable|Cannot assign|not supported|unreachable)"),
        ("http://127.0.0.1:9/v1", "refused"),
    ],
)
def test_a_server_that_cannot_be_reached_is_named_by_what_the_system_says(url, said):
    (reply,) = make(url, timeout_s=3).complete([HELLO])
    pytest.importorskip("re").search(said, reply.error) or pytest.fail(reply.error)


def test_plain_http_where_tls_is_asked_is_one_line():
    with serve([answer()]) as (url, _):
        (reply,) = make(url.replace("http:", "https:")).complete([HELLO])
    assert "SSL" in reply.error and reply.finish_reason == "error"


def test_no_proxy_of_the_environment_hears_of_a_prompt(monkeypatch):
    with serve([answer("by proxy")]) as (proxy, heard), serve([answer("direct")]) as (url, _):
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HTTPS_PROXY"):
            monkeypatch.setenv(name, proxy.removesuffix("/v1"))
        (reply,) = make("http://nowhere.invalid/v1", timeout_s=3).complete([HELLO])
        assert reply.error is not None and not heard.requests
        assert make(url).complete([HELLO])[0].text == "direct"
        named = make("http://nowhere.invalid/v1", proxy=proxy.removesuffix("/v1"))
        assert named.complete([HELLO])[0].text == "by proxy" and len(heard.requests) == 1


def test_an_answer_in_another_models_name_is_said_once_and_counted(capsys):
    with serve([raw(complete(model="other \x1b[31mred"))]) as (url, _):
        endpoint = make(url)
        replies = [endpoint.complete([HELLO])[0] for _ in range(2)]
    said = capsys.readouterr().err
    assert said.count("warning: m at http") == 1 and "\x1b" not in said and "the server answers as" in said
    assert list(endpoint.usage.other_models.values()) == [2]
    assert replies[0].other_model.startswith("other")
    reply, _ = ask(raw(complete(model="m")))
    assert reply.other_model is None and capsys.readouterr().err == ""
