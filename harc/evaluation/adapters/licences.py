"""Licences of models: what a folder declares, and what follows for use and for passing on, in our words."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import Field

from harc.core.errors import ConfigError
from harc.core.yaml_text import YamlError, parse_yaml, read_yaml
from harc.evaluation.adapters.folder import CARD, AdapterFolder
from harc.settings.base import Settings

FILES = (
    "LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "NOTICE", "NOTICE.txt", "Notice", "Notice.txt", "USE_POLICY.md",
)  # fmt: skip
"""Files of terms, which are passed on with what is made of a model."""
BEGINNING = 4000  # characters of a licence file in which its title stands


class Terms(Settings):
    """What a licence allows and asks for."""

    title: str = Field(description="Its name.")
    names: tuple[str, ...] = Field((), description="Other names that cards call it by.")
    marks: tuple[str, ...] = Field(description="Texts near the beginning of its file.")
    use: str = Field(description="What the model may be used for.")
    commercial: bool = Field(True, description="Whether commercial use is among that.")
    redistribution: bool = Field(description="Whether a changed version may be passed on.")
    prefix: str = Field("", description="How the name of a changed version must begin.")
    duties: tuple[str, ...] = Field(description="What passing on asks for.")


@dataclass(frozen=True)
class Licence:
    """A declared licence.

    Attributes:
        name: identifier as on the hub, lower case; whatever was declared where it is none that is known.
        source: the file that declares it.
        terms: what follows; None for an unknown one.
    """

    name: str
    source: str
    terms: Terms | None


@cache
def list_terms() -> dict[str, Terms]:
    """Every licence that this project can say something of, by its identifier."""
    from harc.settings.loading import parse_settings

    path = Path(__file__).with_name("licences.yaml")
    return {name: parse_settings(Terms, values, str(path)) for name, values in read_yaml(path).items()}


def find_licence(files: AdapterFolder) -> Licence | None:
    """The licence that a folder declares: in its card's front matter, else by the title of its licence file."""
    front = read_front_matter(files)
    declared = front.get("license")
    if declared == "other" or not declared:
        declared = front.get("license_name") or declared
    if isinstance(declared, list) and len(declared) == 1:
        declared = declared[0]
    if isinstance(declared, str) and declared and declared.lower() not in ("other", "unknown"):
        return name_licence(declared, CARD)
    for name in FILES:
        text = (files.read_text(name) or "")[:BEGINNING].lower()
        for licence, terms in list_terms().items():
            if any(mark.lower() in text for mark in terms.marks):
                return Licence(licence, name, terms)
    return None


def name_licence(declared: str, source: str) -> Licence:
    """A licence by its identifier, or by another name that cards use."""
    name = "-".join(declared.lower().split())[:100]
    known = list_terms()
    name = next((own for own, terms in known.items() if name == own or name in terms.names), name)
    return Licence(name, source, known.get(name))


def choose_licence(given: str | None, files: AdapterFolder | None) -> Licence | None:
    """The licence that the user names, else the one that a folder declares.

    Raises:
        ConfigError: for a name that this project knows nothing of, or another than the folder declares.
    """
    found = None if files is None else find_licence(files)
    if given is None:
        return found
    licence = name_licence(given, "--licence")
    if licence.terms is None:
        raise ConfigError(
            "--licence", expected=f"one of {', '.join(list_terms())}", found=given, fix="check the spelling"
        )
    if found is not None and found.terms is not None and found.name != licence.name:
        raise ConfigError(
            "--licence",
            expected=f"{found.name}, which the base's {found.source} declares, or none",
            found=licence.name,
            fix="leave it out",
        )
    return licence


def read_front_matter(files: AdapterFolder) -> Mapping[str, Any]:
    """The YAML mapping at the beginning of a folder's card; empty where there is none that can be read."""
    try:
        return parse_front_matter(files.read_text(CARD) or "")
    except ValueError:
        return {}


def parse_front_matter(card: str) -> Mapping[str, Any]:
    """The YAML mapping between the first two lines of dashes of a model card; empty where there is none.

    Raises:
        ValueError: for front matter that is no mapping.
    """
    lines = card.removeprefix("\ufeff").splitlines()
    if not lines or lines[0].rstrip() != "---":
        return {}
    end = next((number for number, line in enumerate(lines[1:], start=1) if line.rstrip() == "---"), None)
    if end is None:
        raise ValueError("front matter without an end")
    try:
        value = parse_yaml("\n".join(lines[1:end]))
    except YamlError as problem:
        raise ValueError(f"front matter that is no YAML ({problem.found})") from None
    if not isinstance(value, dict | None):
        raise ValueError("front matter that is no mapping")
    return value or {}


def describe_terms(licence: Licence | None) -> dict[str, str]:
    """What follows from a licence, as texts for a table: licence, use, redistribution."""
    if licence is None:
        return {"licence": "unknown", "use": "unknown: ask whoever published it", "redistribution": "unknown"}
    if licence.terms is None:
        said = "not known here: read its text"
        return {"licence": licence.name, "use": said, "redistribution": said}
    duties = "; ".join(licence.terms.duties)
    passed = f"yes: {duties}" if licence.terms.redistribution else f"no: {duties}"
    return {
        "licence": f"{licence.terms.title} ({licence.name})",
        "use": licence.terms.use,
        "redistribution": passed,
    }
