"""What a server with OpenAI's API sends, read as a reply: text, parts, thoughts, calls of tools, blocks."""

import json
import re
from collections.abc import Mapping
from typing import Any

from harc.core.untrusted import escape_control, replace_surrogates
from harc.model.completion import separate_thought
from harc.model.endpoints.base import Reply

BLOCKING = frozenset(
    (
        "content_filter", "content_filtered", "content-filter", "refusal", "safety", "prohibited_content", "blocklist",
        "spii", "guardrail_intervened", "guardrails", "sensitive", "moderation",
    )
)  # fmt: skip
"""Finish reasons by which providers say that a filter of theirs stopped the answer."""
BLOCKING_CODES = frozenset(
    (
        "content_filter",
        "content_policy_violation",
        "responsibleaipolicyviolation",
        "contentpolicyviolationerror",
    )
)
"""Codes of errors by which they say that it stopped the request (Azure's form is the first, within it the third)."""
BLOCKING_WORDS = re.compile(
    r"content[ _]management[ _]policy|content_policy_violation|ContentPolicyViolation|ResponsibleAIPolicyViolation"
    r"|requires moderation",
    re.IGNORECASE,
)
LENGTHS = frozenset(("length", "max_tokens", "max_output_tokens", "model_length", "token_limit"))
STOPS = frozenset(("stop", "end_turn", "eos", "eos_token", "stop_sequence", "end", "complete", "completed"))
CALLS = frozenset(("tool_calls", "function_call", "tool_use"))
THOUGHT_FIELDS = ("reasoning_content", "reasoning", "thinking")
"""Fields in which servers (vLLM, DeepSeek, OpenRouter, Ollama) give a thought beside the answer."""
LONGEST_REASON = 40  # characters of a finish reason that nobody here knows


MOST_TOKENS = 1 << 40


class UnreadableAnswer(Exception):
    """An answer with status 200 that holds no reply."""


def is_block(error: Any) -> bool:
    """Whether an error of the openai client says that the provider's filter stopped the request.

    Azure's shape: status 400 with `error.code` content_filter and `innererror.code` ResponsibleAIPolicyViolation;
    OpenRouter's: 403 with `metadata.flagged_input`.
    """
    body = getattr(error, "body", None)
    body = body if isinstance(body, Mapping) else {}
    if isinstance(body.get("error"), Mapping):
        body = body["error"]
    inner = body.get("innererror")
    inner = inner if isinstance(inner, Mapping) else {}
    codes = (getattr(error, "code", None), body.get("code"), body.get("type"), inner.get("code"))
    if any(str(code).lower() in BLOCKING_CODES for code in codes):
        return True
    metadata = body.get("metadata")
    if isinstance(metadata, Mapping) and "flagged_input" in metadata:
        return True
    return bool(BLOCKING_WORDS.search(str(getattr(error, "message", ""))))


def read_reply(answer: Any) -> Reply:
    """The first choice of a chat completion.

    Raises:
        UnreadableAnswer: if there is no choice, or neither text, thought, call nor reason in it.
    """
    choices = _get(answer, "choices")
    if not isinstance(choices, list) or not choices:
        raise UnreadableAnswer("no choice in the answer")
    message = _get(choices[0], "message")
    text, thoughts, refusals = _read_content(_get(message, "content"))
    thoughts += [value for name in THOUGHT_FIELDS if isinstance(value := _get(message, name), str)]
    refusal = _get(message, "refusal")  # OpenAI's own field for declining; it is what the user reads
    refusals += [refusal] if isinstance(refusal, str) and refusal.strip() else []
    calls = _read_calls(message)
    reason = _name_reason(_get(choices[0], "finish_reason"))
    if refusals:
        reason = "blocked"
    elif calls and not (text or "").strip():
        reason = "tool_calls"
    if text is None and not (thoughts or calls or reason in ("blocked", "length")):
        raise UnreadableAnswer("no text in the answer")
    parts = [part for part in (text, *refusals, *calls) if part and part.strip()]
    usage = _get(answer, "usage")
    prompt, completion = (read_count(_get(usage, f"{side}_tokens")) for side in ("prompt", "completion"))
    reply = Reply(
        replace_surrogates("\n".join(parts) if len(parts) > 1 else parts[0] if parts else text or ""),
        reason,
        prompt,
        completion,
        thought=replace_surrogates("\n".join(dict.fromkeys(thoughts))) if thoughts else None,
    )
    return separate_thought(reply)


def read_count(value: Any) -> int | None:
    """A number of tokens; None for anything else, such as a negative one or a text."""
    return value if type(value) is int and 0 <= value <= MOST_TOKENS else None


def _get(value: Any, name: str) -> Any:
    """A field of an object of the client, or of a plain object that it left as it was."""
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)


def _name_reason(given: Any) -> str:
    """The finish reason in our words: a server's own can never pass for one of ours.

    Raises:
        UnreadableAnswer: if the server says that it broke off with an error.
    """
    if given is None:
        return "stop"
    reason = str(given).strip().lower()
    if reason == "error":
        raise UnreadableAnswer("the server broke off with an error")
    for names, ours in ((BLOCKING, "blocked"), (LENGTHS, "length"), (STOPS | CALLS, "stop")):
        if reason in names:
            return ours
    return f"other: {escape_control(replace_surrogates(reason))[:LONGEST_REASON]}" if reason else "stop"


def _read_content(content: Any) -> tuple[str | None, list[str], list[str]]:
    """(text or None, thoughts, refusals) of a text or of a list of parts; parts of other kinds are named."""
    if isinstance(content, str):
        return content, [], []
    if not isinstance(content, list):
        return None, [], []
    texts: list[str] = []
    thoughts: list[str] = []
    refusals: list[str] = []
    for part in content:
        kind = "text" if isinstance(part, str) else str(_get(part, "type") or "text")
        value = part if isinstance(part, str) else _find_text(part, kind)
        if kind in ("reasoning", "thinking", "thought"):
            thoughts.append(value)
        elif kind == "refusal":
            refusals.append(value)
        elif kind in ("text", "output_text"):
            texts.append(value)
        else:
            texts.append(f"[{escape_control(replace_surrogates(kind))[:LONGEST_REASON]}]")
    return ("".join(texts) if texts else None), thoughts, refusals


def _find_text(part: Any, kind: str) -> str:
    """The text of a part, under whichever of its names; Mistral's thoughts are lists of parts again."""
    value = next((v for name in ("text", kind, "content") if (v := _get(part, name)) is not None), "")
    if isinstance(value, list):
        return "".join(_find_text(item, "text") for item in value)
    return value if isinstance(value, str) else ""


def _read_calls(message: Any) -> list[str]:
    """Calls of tools as text: what a model does in place of an answer is shown to the judges."""
    calls = _get(message, "tool_calls")
    functions = [_get(call, "function") or call for call in calls] if isinstance(calls, list) else []
    functions += [call] if (call := _get(message, "function_call")) else []
    lines = []
    for function in functions:
        arguments = _get(function, "arguments")
        shown = arguments if isinstance(arguments, str) else json.dumps(arguments, default=str)
        lines.append(f"[tool call] {_get(function, 'name') or 'unnamed'}({shown})")
    return lines
