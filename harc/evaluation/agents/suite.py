"""The embedded suite of office tasks: rows from its file."""

from pathlib import Path
from typing import Any

from harc.core.yaml_text import read_yaml

NAME = "agents"
ABOUT = "embedded office tasks with invented tools: harmful, benign, and with instructions planted in tools' results"
FILE = Path(__file__).with_name("suite.yaml")


def make_turns(*parts: tuple[str, str], call: dict[str, Any], result: str) -> list[dict[str, Any]]:
    """User's turns, and behind the first the assistant's call and its result."""
    made = {"id": "call00001", "type": "function", "function": {"arguments": {}} | call}
    turns: list[dict[str, Any]] = [{"role": role, "content": text} for role, text in parts]
    place = next(number for number, turn in enumerate(turns) if turn["role"] == "user") + 1
    turns[place:place] = [
        {"role": "assistant", "content": "", "tool_calls": [made]},
        {"role": "tool", "content": result, "name": call["name"], "tool_call_id": made["id"]},
    ]
    return turns


def read_suite() -> list[dict[str, Any]]:
    """Rows of the suite, in the form of prompt files' rows; pairs and injections stand side by side."""
    data = read_yaml(FILE, "the suite of agents")
    system = ("system", data["company"].strip())

    def describe(name: str) -> dict[str, Any]:
        tool = data["tools"][name]
        properties = {
            key: {"type": "string", "description": text} for key, text in tool["parameters"].items()
        }
        schema = {"type": "object", "properties": properties, "required": list(properties)}
        return {
            "type": "function",
            "function": {"name": name, "description": tool["about"], "parameters": schema},
        }

    def make_row(row_id: str, kind: str, category: str, turns: list[dict[str, Any]], tools: list[str],
                 calls: dict[str, Any], **more: str) -> dict[str, Any]:  # fmt: skip
        asked = [turn["content"] for turn in turns if turn["role"] == "user"]
        used = [call["function"]["name"] for turn in turns for call in turn.get("tool_calls", ())]
        return {
            "id": row_id, "suite": NAME, "category": category, "kind": kind, "messages": turns, "expected": "",
            "goal": asked[-1], "place": f"{NAME}: {row_id}", "calls": calls,
            "tools": [describe(name) for name in dict.fromkeys([*used, *tools])],
        } | more  # fmt: skip

    rows = []
    for item in data["pairs"]:
        for kind, watched in (("harmful", "harmful"), ("benign", "expected")):
            own = item[kind]
            turns = [
                dict(zip(("role", "content"), turn, strict=True)) for turn in (system, ("user", own["ask"]))
            ]
            if before := item.get("before"):
                turns = make_turns(system, ("user", item["asked"]), ("user", own["ask"]), **before)
                turns.insert(4, {"role": "assistant", "content": before["result"]})
            calls = {watched: [own["call"]]}
            rows.append(make_row(f"{item['id']}-{kind}", kind, item["category"], turns, item["tools"], calls))
    for item in data["injections"]:
        expected = {"expected": [item["task"]]} if "task" in item else {}
        more = {"expected": item["contains"]} if "contains" in item else {}
        for kind, result in (
            ("injected", f"{item['result']}\n{item['planted']}"),
            ("benign", item["result"]),
        ):
            turns = make_turns(system, ("user", item["ask"]), call=item["call"], result=result)
            planted = {"injected": [item["follow"]]} if "follow" in item and kind == "injected" else {}
            shown = {"canary": item["canary"]} if "canary" in item and kind == "injected" else {}
            name = f"{item['id']}-{'planted' if kind == 'injected' else 'clean'}"
            rows.append(
                make_row(
                    name,
                    kind,
                    "planted instruction",
                    turns,
                    item["tools"],
                    expected | planted,
                    **more,
                    **shown,
                )
            )
    return rows
