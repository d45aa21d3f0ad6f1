"""Authors, licence and cited works of an RO-Crate, from CITATION.cff."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from harc.core.errors import ConfigError
from harc.core.yaml_text import read_yaml

CITATION, LICENCE = Path("CITATION.cff"), Path("LICENSE")
FIELDS = ("authors", "license", "title", "version")
Entity = dict[str, Any]


@dataclass(frozen=True)
class Citation:
    """How a study is to be cited.

    Attributes:
        title: of the project.
        version: of the project.
        keywords: of the project.
        licence: the entity of the licence.
        authors: an entity an author.
        works: an entity a work that is referred to by an address.
    """

    title: str
    version: str
    keywords: list[str]
    licence: Entity
    authors: list[Entity]
    works: list[Entity]


def read_citation() -> Citation:
    """What the project's files say of it.

    Raises:
        ConfigError: if there is no CITATION.cff, or it lacks something.
    """
    content = read_yaml(CITATION, "who wrote the study, and under which licence")
    for field in FIELDS:
        if not content.get(field):
            raise ConfigError(str(CITATION), expected=f"the field {field}", found="none", fix="add it")
    licence = {
        "@id": f"https://spdx.org/licenses/{content['license']}",
        "@type": "CreativeWork",
        "description": f"Its text is in {LICENCE}.",
        "identifier": content["license"],
        "name": content["license"],
    }
    works = [
        {"@id": one["url"], "@type": "ScholarlyArticle", "name": one["title"]}
        for one in content.get("references", [])
        if "url" in one and "title" in one
    ]
    return Citation(
        content["title"],
        str(content["version"]),
        content.get("keywords", []),
        licence,
        [_describe_author(author) for author in content["authors"]],
        works,
    )


def _describe_author(author: dict[str, Any]) -> Entity:
    person = " ".join(author[part] for part in ("given-names", "family-names") if part in author)
    name, kind = (author["name"], "Organization") if "name" in author else (person, "Person")
    return {"@id": f"#{quote(name)}", "@type": kind, "name": name}
