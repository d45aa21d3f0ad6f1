"""Pages of the documentation site (mkdocs.yml) whose text lies outside docs/: a hook of mkdocs.

README, log and the like are taken as they stand; the reference of the commands comes from the program, that of the
Python names from their docstrings. A relative link leads where it leads in the repository: to the page of the site, or
to a copy of the file; one that leads nowhere is left as it is, and the strict build ends with its name.
"""

import html
import json
import os
import posixpath
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "LOG.md": "log.md",
    "SECURITY.md": "security.md",
    "config/README.md": "configuration.md",
}
"""File of the repository -> page of the site; pages of docs/ keep their names."""
COPIES = "files"
"""Folder of the site for other files that pages link to."""
LINK = re.compile(r"(?<=\]\()(?!\w+:)([^)#\s]+)(?=[)#])")
FENCE = re.compile(r"^ *```.*?^ *```", re.DOTALL | re.MULTILINE)


def locate_origin(page: str) -> str:
    """Path in the repository of a page's text."""
    return next((origin for origin, name in PAGES.items() if name == page), f"docs/{page}")


def resolve_link(link: str, origin: str) -> str:
    """Path in the repository that a link of a file leads to."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(origin), link))


def place_on_site(path: str) -> str:
    """Where the site has a file of the repository."""
    return PAGES.get(path) or (path.removeprefix("docs/") if path.startswith("docs/") else f"{COPIES}/{path}")


def adapt_markdown(text: str, page: str) -> str:
    """A page's text with its links as the site has them, and without comments, which swallow what follows."""
    origin = locate_origin(page)

    def lead(match: re.Match) -> str:
        path = resolve_link(match[1], origin)
        if not (ROOT / path).is_file():
            return match[0]
        return posixpath.relpath(place_on_site(path), posixpath.dirname(page) or ".")

    return re.sub(r"^<!--.*?-->$", "", LINK.sub(lead, text), flags=re.MULTILINE)


def list_copies(texts: dict[str, str]) -> Iterator[str]:
    """Files of the repository that pages link to and that are no pages; texts by origin."""
    for origin, text in texts.items():
        paths = (resolve_link(link, origin) for link in LINK.findall(text))
        yield from (
            path for path in paths if place_on_site(path).startswith(COPIES) and (ROOT / path).is_file()
        )


def list_commands(command: Any, context: Any, words: str) -> Iterator[tuple[str, Any, Any]]:
    """(words, command, context) of a command of the program and of all below it."""
    yield words, command, context
    for name, inner in getattr(command, "commands", {}).items():
        if not inner.hidden:
            below = type(context)(inner, info_name=name, parent=context)
            yield from list_commands(inner, below, f"{words} {name}")


def format_help(text: str) -> Iterator[str]:
    r"""A command's help in Markdown: paragraphs, and what stands under the mark \b as it stands."""
    for block in re.split(r"\n\s*\n", text.strip()):
        if block.lstrip(" ").startswith("\b"):
            yield "```text\n" + block.lstrip(" ").lstrip("\b").strip("\n") + "\n```\n"
        else:
            yield html.escape(block, quote=False) + "\n"


def format_command(words: str, command: Any, context: Any) -> Iterator[str]:
    """The section of one command."""
    yield f"{'#' * min(words.count(' ') + 1, 3)} {words}\n"
    yield f"```text\n{words} {' '.join(command.collect_usage_pieces(context))}\n```\n"
    yield from format_help(command.help or "")
    records = [record for one in command.get_params(context) if (record := one.get_help_record(context))]
    rows = [(name, text) for name, text in records if name != "--help"]
    if rows:
        yield "| argument or option | meaning |\n|---|---|"
        for name, text in rows:
            told = html.escape(text, quote=False).replace("|", "\\|")
            yield f"| `{name.replace('|', chr(92) + '|')}` | {told} |"
        yield ""


def write_commands() -> str:
    """The page of every command with its options."""
    import typer

    import harc.cli

    program = typer.main.get_command(harc.cli.app)
    context = program.make_context("harc", ["--help"], resilient_parsing=True)
    found = list_commands(program, context, "harc")
    return "\n".join(line for one in found for line in format_command(*one))


def write_names() -> str:
    """The page of the public Python names, which mkdocstrings fills in from their docstrings."""
    import harc

    lines = [
        "# Python names\n",
        "What `from harc import ...` gives; [python.md](../python.md) shows it at work.\n",
    ]
    for name in (name for name in harc.__all__ if name in harc._PLACES):
        lines.append(f"::: {harc._PLACES[name]}.{name}\n")
    lines += ["## What they give, take and raise\n"]
    lines += [
        f"::: {name}\n"
        for name in (
            "harc.evaluation.own.options.Options",
            "harc.geometry.directions.Directions",
            "harc.geometry.monitor.Trace",
            "harc.model.backbones.Backbone",
            "harc.core.errors.HarcError",
            "harc.core.errors.ConfigError",
            "harc.core.errors.DataError",
            "harc.core.errors.ModelError",
            "harc.core.errors.EnvironmentProblem",
        )
    ]
    return "\n".join(lines)


def write_notebook(notebook: Path) -> str:
    """A notebook's page: its texts and code, with a link to the notebook itself."""
    cells = json.loads(notebook.read_text("utf-8"))["cells"]
    parts = ["".join(cell["source"]) for cell in cells]
    shown = [
        text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```"
        for cell, text in zip(cells, parts, strict=True)
    ]
    return "\n\n".join([*shown, f"The notebook: [{notebook.name}]({notebook.name})."])


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie elsewhere, the references, and the files that pages link to."""
    texts = {origin: (ROOT / origin).read_text("utf-8") for origin in PAGES}
    texts |= {f"docs/{page.src_uri}": page.content_string for page in files.documentation_pages()}
    made = {PAGES[origin]: texts[origin] for origin in PAGES}
    made |= {"reference/commands.md": write_commands(), "reference/names.md": write_names()}
    made["notebook.md"] = write_notebook(ROOT / "docs/notebook.ipynb")
    for name, text in made.items():
        files.append(File.generated(config, name, content=text))
    for path in sorted(set(list_copies(texts))):
        files.append(File.generated(config, place_on_site(path), abs_src_path=os.fspath(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """A page's text as the site shows it."""
    return adapt_markdown(markdown, page.file.src_uri)
