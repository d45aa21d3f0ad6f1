"""Conversations with tools as models see them: through a chat template, as plain text, or through a server."""

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from harc.core.errors import ModelError
from harc.core.untrusted import parse_json
from harc.model.chat import ChatFormat
from harc.model.chat_template import list_variables, refuse_template, render_template
from harc.model.endpoints.base import Conversation, Reply
from harc.model.endpoints.cache import CachedEndpoint, redact_reply
from harc.model.endpoints.server import ServerEndpoint
from harc.suites.target import EndpointTarget

TOOLS = "tools"
"""What chat templates and servers call the tools that they are given."""
BORDER = "\x1e"  # between a served answer's text and its calls; no text of a model keeps it
INTRODUCTION = (
    "You can call these tools, described by JSON schemas:\n{tools}\n\nTo call one, reply with nothing but one JSON "
    'object: {{"name": NAME, "parameters": {{...}}}}. Its result comes back in the next turn.'
)
"""How tools are described to a model whose chat template does not: our wording, the form of Llama 3.1's calls."""


def render_conversation(chat: ChatFormat, row: Mapping[str, Any]) -> str:
    """A row's turns and tools as the model's chat template writes them, the assistant's turn opened.

    Raises:
        ModelError: for a template that takes no tools, or loses a turn or a call.
    """
    template = chat.tokenizer.get_chat_template(tools=row[TOOLS])
    if TOOLS not in list_variables(template):
        raise ModelError(
            "tools",
            expected="a model whose chat template takes tools",
            found="a template that does not read them",
            fix="give --tools-as-text, take the column tools out, or ask another model",
        )
    turns = row["messages"]
    if chat.system is not None and turns[0]["role"] != "system":
        turns = [{"role": "system", "content": chat.system}, *turns]
    variables = {**chat.tokenizer.special_tokens_map, **chat.template_options, TOOLS: row[TOOLS]}
    text = render_template(template, turns, variables, chat.date)
    wanted = [turn["content"] for turn in turns]
    wanted += [call["function"]["name"] for turn in turns for call in turn.get("tool_calls", ())]
    wanted += [tool["function"]["name"] for tool in row[TOOLS]]
    for part in wanted:
        if part.strip() not in text and json.dumps(part, ensure_ascii=False)[1:-1].strip() not in text:
            lost = refuse_template(f"a rendering without {part.strip()[:60]!r}", "every turn, call and tool")
            raise ModelError(
                lost.where,
                expected=lost.expected,
                found=lost.found,
                fix="give --tools-as-text, or ask another model",
            )
    return text


def write_as_text(row: dict[str, Any], system: str | None = None) -> dict[str, Any]:
    """A row whose turns hold tools, calls and results as plain text; its tools stay for what is read in the answer.

    Tools are described in the system prompt, an assistant's calls are JSON objects, a line each, and results stand in
    the user's turn.

    Args:
        row: with tools or not.
        system: the run's system prompt, for rows without one of their own.
    """
    if TOOLS not in row:
        return row
    first, turns = (
        ([row["messages"][0]], row["messages"][1:])
        if row["messages"][0]["role"] == "system"
        else ([], row["messages"])
    )
    described = "\n".join(json.dumps(tool["function"], ensure_ascii=False) for tool in row[TOOLS])
    introduced = [turn["content"] for turn in first] or ([system] if system else [])
    introduced.append(INTRODUCTION.format(tools=described))
    written = [{"role": "system", "content": "\n\n".join(introduced)}]
    for turn in turns:
        role, text = turn["role"], turn["content"]
        calls = [call["function"] for call in turn.get("tool_calls", ())]
        objects = [{"name": call["name"], "parameters": call["arguments"]} for call in calls]
        text = "\n".join(
            [*([text] if text else []), *(json.dumps(one, ensure_ascii=False) for one in objects)]
        )
        if role == "tool":
            role, text = "user", f"Result of {turn['name']}:\n{text}"
            if written[-1].get("of") == "tool":
                written[-1]["content"] += f"\n\n{text}"
                continue
        written.append({"role": role, "content": text, "of": turn["role"]})
    plain = [{"role": turn["role"], "content": turn["content"]} for turn in written]
    return row | {"messages": plain, "as_text": True}


class ToolServer(ServerEndpoint):
    """A server that is sent tools, which ride on a first turn, and whose calls come back behind BORDER."""

    def __init__(self, settings: Any) -> None:
        """Make the client; see ServerEndpoint."""
        super().__init__(settings)
        self._seen = threading.local()
        completions = self._client.chat.completions.with_raw_response
        create = completions.create

        def note(**request: Any) -> Any:
            answer = create(**request)
            body, self._seen.calls = take_calls(answer.http_response.content)
            return SimpleNamespace(http_response=SimpleNamespace(content=body))

        completions.create = note

    def _ask(self, conversation: Conversation, options: dict[str, Any]) -> tuple[Reply, int]:
        turns = [dict(turn) for turn in conversation]
        tools = next((found for turn in turns if (found := turn.pop(TOOLS, None))), None)
        return super()._ask(
            [_write_calls(turn) for turn in turns], options | ({TOOLS: tools} if tools else {})
        )

    def _request(self, request: dict[str, Any]) -> Reply:
        reply = super()._request(request)
        text = reply.text.replace(BORDER, " ")
        if not self._seen.calls:
            return replace(reply, text=text)
        calls = redact_reply(json.dumps(self._seen.calls), self._key)
        reason = "stop" if reply.finish_reason == "tool_calls" else reply.finish_reason
        return replace(reply, text=f"{text}{BORDER}{calls}", finish_reason=reason)


def _write_calls(turn: dict[str, Any]) -> dict[str, Any]:
    """A turn with its calls' arguments as JSON texts, as OpenAI's API has them."""
    if "tool_calls" not in turn:
        return turn
    calls = [
        call | {"function": call["function"] | {"arguments": json.dumps(call["function"]["arguments"])}}
        for call in turn["tool_calls"]
    ]
    return turn | {"tool_calls": calls}


def take_calls(body: bytes) -> tuple[bytes, list[dict[str, Any]]]:
    """A server's answer without the calls of its first choice, and those; what is no such answer stays as it is."""
    try:
        answer = parse_json(body.decode("utf-8-sig"), replace_lone=True)
        message = answer["choices"][0]["message"]
        calls = message.pop("tool_calls", None) or []
        functions = [call["function"] for call in calls]
        made = [{"name": one["name"], "arguments": one.get("arguments") or "{}"} for one in functions]
        message["content"] = message.get("content") or ("" if made else message.get("content"))
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return body, []
    return (json.dumps(answer).encode() if made else body), made


def split_calls(text: str) -> tuple[str, list[dict[str, Any]]]:
    """A served answer's text, and its calls."""
    said, border, calls = text.partition(BORDER)
    return said, (json.loads(calls) if border else [])


def put_tools(row: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """A row's turns for a server, the tools on the first."""
    if TOOLS not in row or row.get("as_text"):
        return row["messages"]
    first, *rest = row["messages"]
    return [{**first, TOOLS: row[TOOLS]}, *rest]


def give_tools(target: Any, suites: Mapping[str, Sequence[Mapping[str, Any]]]) -> Any:
    """The target, able to be sent tools where rows have some and it is a server with OpenAI's API."""
    with_tools = any(TOOLS in row for rows in suites.values() for row in rows)
    if not isinstance(target, EndpointTarget) or not with_tools:
        return target
    endpoint = target.endpoint
    inner = endpoint.endpoint if isinstance(endpoint, CachedEndpoint) else endpoint
    if type(inner) is not ServerEndpoint:
        return target
    able: Any = ToolServer(inner.settings)
    return replace(target, endpoint=CachedEndpoint(able, inner.settings) if endpoint is not inner else able)


def takes_tools(target: Any) -> bool:
    """Whether a served target can be sent tools."""
    endpoint = target.endpoint
    return isinstance(getattr(endpoint, "endpoint", endpoint), ToolServer)
