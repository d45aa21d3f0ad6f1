"""Model cards: Markdown in which nothing that others wrote acts, and YAML front matter as the hub reads it."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from harc.core.untrusted import escape_control, replace_surrogates
from harc.model.weights import HUB_ID

SPECIAL = re.compile(r"([\\`*_{}\[\]()#+!|<>~&$:@-])")
"""What Markdown, HTML within it, and renderers' mentions and formulas give a meaning to."""
LONGEST = 300


def escape_text(text: object) -> str:
    """One line of a text that stands for itself in Markdown, links and HTML included."""
    line = " ".join(escape_control(replace_surrogates(str(text))).split())
    line = line if len(line) <= LONGEST else f"{line[:LONGEST]}..."
    return SPECIAL.sub(
        lambda match: f"&#{ord(match[1])};" if match[1] in "<>&|`@:" else f"\\{match[1]}", line
    )


def shorten_place(name: str) -> str:
    """A hub id as it is; of a path its last part alone, since the rest tells of the machine."""
    return name if HUB_ID.fullmatch(name) else name.rstrip("/").rpartition("/")[2]


def make_table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table; cells are escaped, heads are ours."""
    lines = [list(heads), ["---"] * len(heads), *([escape_text(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def make_front_matter(values: Mapping[str, Any]) -> str:
    """YAML front matter of a card; values that are None are left out."""
    plain = {name: value for name, value in values.items() if value is not None}
    return f"---\n{yaml.safe_dump(plain, sort_keys=False, allow_unicode=False)}---\n"
