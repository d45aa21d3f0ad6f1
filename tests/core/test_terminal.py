"""Everything that is printed passes one function, which lets no text of others steer the terminal."""

import ast
import io
from pathlib import Path

import pytest

from harc.audit.report import AuditReport, Finding, print_report
from harc.core.terminal import make_console, make_printable, show

ROOT = Path(__file__).parents[2]
HOSTILE = "a\x1b]0;title\x07\x1b[2Jb\rc\x9bd\u202ee\u2066f\x00g\ud800h\x08i\u200bj"
ALLOWED = {
    "harc/methods/cast.py": "warns, with numbers of its own alone",
    "harc/core/terminal.py": "the one place",
    "harc/judges/sandbox/guest.py": "runs in the sandbox, without a terminal",
    "harc/cli/running.py": "asks whether anybody reads the output, and writes none",
    "harc/model/template_worker.py": "speaks with its parent process through pipes",
}


def find_prints(source: str) -> list[str]:
    """Whatever in a module's code could print: print, echo, standard streams, consoles, warnings."""
    found = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Name(id="print" | "Console"):
                found.append(node.id)
            case ast.Attribute(
                value=ast.Name(id="sys"), attr="stdout" | "stderr" | "__stdout__" | "__stderr__"
            ):
                found.append(f"sys.{node.attr}")
            case ast.Attribute(attr="echo" | "secho" | "Console" | "print_exception" | "print_exc"):
                found.append(node.attr)
            case ast.Attribute(value=ast.Name(id="warnings"), attr="warn"):
                found.append("warnings.warn")
            case ast.ImportFrom(module="sys" | "warnings"):
                found += [name.name for name in node.names if name.name in ("stdout", "stderr", "warn")]
            case ast.ImportFrom(module="rich" | "rich.console" | "click"):
                found += [name.name for name in node.names]
    return found


def test_nothing_prints_past_the_one_place():
    files = [*(ROOT / "harc").rglob("*.py"), *(ROOT / "snakemake_logger_plugin_harc").glob("*.py")]
    names = {path.relative_to(ROOT).as_posix(): path for path in files}
    assert len(names) > 200
    found = {name: find_prints(path.read_text()) for name, path in names.items() if name not in ALLOWED}
    assert {name: prints for name, prints in found.items() if prints} == {}


@pytest.mark.parametrize(
    "code",
    [
        "print(x)", "import sys\nsys.stdout.write(x)", "from sys import stderr\nstderr.write(x)",
        "import typer\ntyper.echo(x)", "import rich\nrich.console.Console()",
        "import click\nclick.secho(x)", "from rich.console import Console",
        "from rich import print as p", "import warnings\nwarnings.warn(x)", "import traceback\ntraceback.print_exc()",
    ],
)  # fmt: skip
def test_a_print_elsewhere_is_found(code):
    assert find_prints(code)
    assert find_prints("from harc.core.terminal import show\nshow(x)\nconsole.print(x)") == []


def is_harmless(text: str) -> bool:
    return all(char.isprintable() or char == "\n" for char in text)


@pytest.mark.parametrize("err", [False, True])
def test_what_is_shown_cannot_steer_a_terminal(err, capsys):
    show(f"first\n{HOSTILE}\tlast", err=err)
    said = capsys.readouterr()
    text = said.err if err else said.out
    assert is_harmless(text) and text.startswith("first\na\\x1b]0;title") and text.endswith("last\n")
    assert not is_harmless(HOSTILE)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_a_terminal_that_lacks_a_character_gets_its_number(encoding):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    text = make_printable("na\u00efve \u4e2d \U0001f600", stream)
    assert text.encode(encoding) and "\\u4e2d" in text and "\\U0001f600" in text


def test_tables_and_styles_are_escaped_whatever_they_are_given():
    from rich.table import Table
    from rich.text import Text

    stream = io.StringIO()
    console = make_console(stream)
    table = Table(title=HOSTILE)
    table.add_column(HOSTILE)
    table.add_row(HOSTILE)
    for shown in (table, Text(HOSTILE, style="red"), HOSTILE, "[red]markup[/red]"):
        console.print(shown)
    assert is_harmless(stream.getvalue()) and "[red]markup[/red]" in stream.getvalue()


def test_styles_still_reach_a_terminal():
    from rich.text import Text

    stream = io.StringIO()
    console = make_console(stream)
    console._force_terminal, console._color_system = True, console._color_system or 1
    console.print(Text(f"{HOSTILE} red", style="red"))
    assert "a\\x1b]0;title" in stream.getvalue()


def test_an_audit_of_hostile_names_is_harmless():
    stream = io.StringIO()
    found = Finding(f"results/{HOSTILE}", "orphan", "a sidecar", HOSTILE, f"rm '{HOSTILE}'")
    print_report(AuditReport(HOSTILE, "0" * 64, {HOSTILE: 1}, (found,)), stream)
    assert is_harmless(stream.getvalue())
