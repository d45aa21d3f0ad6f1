"""What servers send in place of plain text: blocks, refusals, parts, calls of tools, thoughts, and errors."""

import json

import pytest
from fixtures.misbehaving_server import raw, serve

from harc.model.endpoints.server import ServerEndpoint
from harc.settings.endpoints import EndpointSettings

AZURE = {
    "error": {
        "message": "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
        "type": None, "param": "prompt", "code": "content_filter", "status": 400,
        "innererror": {"code": "ResponsibleAIPolicyViolation", "content_filter_result": {"hate": {"filtered": True}}},
    }
}  # fmt: skip
CALL = {"id": "1", "type": "function", "function": {"name": "search", "arguments": '{"q": "x"}'}}


def ask(body: dict | bytes, code: int = 200):
    """The reply to one conversation, and how often the server was asked."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    behave = raw(data) if code == 200 else lambda handler: handler.send(code, data)
    with serve([behave]) as (url, server):
        settings = EndpointSettings(kind="openai", model="m", base_url=url, retries=1, timeout_s=5)
        (reply,) = ServerEndpoint(settings, sleep=lambda _: None).complete(
            [[{"role": "user", "content": "x"}]]
        )
        return reply, len(server.requests)


def complete(message: dict, reason: str | None = "stop") -> dict:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": reason}
    return {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (complete({"content": None}, "content_filter"), 200),
        (complete({"content": ""}, "content_filter"), 200),
        (complete({"content": "Well, first"}, "SAFETY"), 200),
        (complete({"content": None, "refusal": "I can't help."}), 200),
        (complete({"content": [{"type": "refusal", "refusal": "I can't help."}]}), 200),
        (AZURE, 400),
        (AZURE, 200),
        ({"error": {"message": "flagged", "metadata": {"flagged_input": "x"}}, "choices": []}, 200),
        ({"error": {"message": "no", "innererror": {"code": "ResponsibleAIPolicyViolation"}}}, 400),
        ({"error": {"message": "no", "code": "content_policy_violation"}}, 400),
        (
            {"error": {"message": "flagged", "code": 403, "metadata": {"flagged_input": "x", "reasons": []}}},
            403,
        ),
    ],
)
def test_what_a_provider_blocks_is_blocked_and_asked_once(body, code):
    reply, requests = ask(body, code)
    assert (reply.finish_reason, reply.error, requests) == ("blocked", None, 1)
    assert reply.text in ("", "Well, first", "I can't help.")


@pytest.mark.parametrize("code", [400, 413, 422])
def test_a_request_that_no_filter_stopped_is_none_that_was_blocked(code):
    reply, _ = ask(
        {"error": {"message": "maximum context length is 10 tokens", "code": "context_length"}}, code
    )
    assert reply.finish_reason == "refused" and "maximum context length" in reply.error


@pytest.mark.parametrize(
    ("message", "text", "reason"),
    [
        ({"content": None, "tool_calls": [CALL]}, '[tool call] search({"q": "x"})', "tool_calls"),
        ({"content": "", "function_call": {"name": "f", "arguments": "{}"}}, "[tool call] f({})", "tool_calls"),
        ({"content": "I look it up.", "tool_calls": [CALL]}, 'I look it up.\n[tool call] search({"q": "x"})', "stop"),
        ({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, "ab", "stop"),
        ({"content": [{"type": "image_url", "image_url": {}}, {"type": "text", "text": "b"}]}, "[image_url]b", "stop"),
        ({"content": ["a", {"text": "b"}]}, "ab", "stop"),
        ({"content": "a\ud800b"}, "a\ufffdb", "stop"),
    ],
)  # fmt: skip
def test_every_form_of_content_is_a_text(message, text, reason):
    reply, _ = ask(complete(message, "tool_calls"))
    assert (reply.text, reply.finish_reason, reply.error, reply.thought) == (text, reason, None, None)


@pytest.mark.parametrize(
    "message",
    [
        {"content": "no", "reasoning_content": "they ask"},
        {"content": "no", "reasoning": "they ask"},
        {"content": "<think>they ask</think>no"},
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "they ask"}]},
                     {"type": "text", "text": "no"}]},
    ],
)  # fmt: skip
def test_thoughts_are_kept_apart(message):
    reply, _ = ask(complete(message))
    assert (reply.text, reply.thought) == ("no", "they ask")


def test_a_thought_that_used_up_the_answer_is_an_empty_one():
    reply, requests = ask(complete({"content": None, "reasoning_content": "they ask"}, "length"))
    assert (reply.text, reply.thought, reply.finish_reason, requests) == ("", "they ask", "length", 1)


@pytest.mark.parametrize("reason", ["blocked", "unanswered", "not_asked", "refused", "banana\x1b[2J"])
def test_no_word_of_a_server_passes_for_one_of_ours(reason):
    reply, _ = ask(complete({"content": "fine"}, reason))
    assert reply.finish_reason.startswith("other: ") and reply.finish_reason.isprintable()


def test_a_server_that_breaks_off_with_an_error_gave_no_answer():
    reply, requests = ask(complete({"content": "half an"}, "error"))
    assert reply.error and reply.finish_reason == "error" and requests == 2


@pytest.mark.parametrize("error", [{"message": "overloaded", "code": 503}, "overloaded", None])
def test_an_error_with_status_200_is_tried_again_and_quoted(error):
    reply, requests = ask({"error": error})
    assert (reply.finish_reason, requests) == ("error", 2)
    assert f"an error in place of an answer: {'overloaded' if error else None}" in reply.error
