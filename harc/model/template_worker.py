"""The process that renders chat templates: a program of its own, run by file, that imports nothing of the project.

It reads one JSON request a line and answers with one JSON line, within limits that its parent cannot give itself: its
memory is bounded, and it can be killed. Filters and functions are those that transformers gives templates, except
that the clock stands at a given date and that nothing is drawn at random.
"""

import datetime
import json
import resource
import sys
from functools import lru_cache
from typing import Any, ClassVar

from jinja2 import Environment, meta, nodes
from jinja2.exceptions import TemplateError
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

MEMORY = 1 << 29  # bytes
LONGEST = 1 << 24  # characters of a rendered conversation


class GenerationTag(Extension):
    """`{% generation %}`, which marks the assistant's words for training: its body is rendered as it stands."""

    tags: ClassVar[set[str]] = {"generation"}  # type: ignore[misc]  # jinja2 has it as the object's

    def parse(self, parser: Any) -> nodes.Node | list[nodes.Node]:
        """The statements up to `{% endgeneration %}`, in a scope of their own."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body).set_lineno(line)


def raise_exception(message: str) -> None:
    """How a template refuses a conversation."""
    raise TemplateError(message)


def write_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: Any = None,
    separators: Any = None,
    sort_keys: bool = False,
) -> str:
    """The filter `tojson` of transformers, which escapes nothing for HTML."""
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def make_environment() -> Environment:
    """Jinja as transformers 5.23 sets it up (utils/chat_template_utils.py), without what differs from run to run."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[GenerationTag, loopcontrols]
    )
    environment.filters["tojson"] = write_json
    environment.globals["raise_exception"] = raise_exception
    del environment.filters["random"]
    del environment.globals["lipsum"]
    return environment


ENVIRONMENT = make_environment()


@lru_cache(maxsize=8)
def compile_template(text: str) -> Any:
    """A template ready to be rendered."""
    return ENVIRONMENT.from_string(text)


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """The rendered text, or the names that a template reads where no messages are given."""
    if "messages" not in request:
        return {"names": sorted(meta.find_undeclared_variables(ENVIRONMENT.parse(request["template"])))}
    now = datetime.datetime.fromisoformat(request["date"])
    variables = {"tools": None, "documents": None, "strftime_now": now.strftime, **request["variables"]}
    text = compile_template(request["template"]).render(
        messages=request["messages"], add_generation_prompt=request["add_generation_prompt"], **variables
    )
    if len(text) > LONGEST:
        return {"problem": f"a text of {len(text)} characters"}
    return {"text": text}


def main() -> None:
    """Answer until the parent closes the pipe."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for line in sys.stdin:
        try:
            reply = answer(json.loads(line))
        except MemoryError:
            reply = {"problem": "more than 512 MiB of memory"}
        except Exception as problem:  # jinja raises many kinds, templates raise their own
            reply = {"problem": f"{type(problem).__name__}: {problem}"[:1000]}
        sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
