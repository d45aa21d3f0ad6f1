#!/usr/bin/env python3
"""Write codemeta.json and .zenodo.json from CITATION.cff and pyproject.toml, or check that they follow from them.

python scripts/write_citation.py          write both
python scripts/write_citation.py --check  exit 1 if one says something else than its sources
"""

import json
import sys
import tomllib
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]


def read_sources() -> tuple[dict[str, Any], dict[str, Any]]:
    """Content of CITATION.cff, and the table `project` of pyproject.toml."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    return citation, tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def name_author(author: dict[str, str]) -> str:
    """An author as Zenodo writes one: a name, or family name, comma, given names."""
    return author.get("name") or f"{author['family-names']}, {author['given-names']}"


def compose_codemeta(citation: dict[str, Any], project: dict[str, Any]) -> dict[str, Any]:
    """The record in CodeMeta's terms (codemeta.github.io)."""
    systems = [
        line.split(" :: ")[-1] for line in project["classifiers"] if line.startswith("Operating System")
    ]
    authors = [
        {"type": "Organization", "name": one["name"]}
        if "name" in one
        else {"type": "Person", "givenName": one["given-names"], "familyName": one["family-names"]}
        for one in citation["authors"]
    ]
    return {
        "@context": "https://w3id.org/codemeta/3.0",
        "type": "SoftwareSourceCode",
        "name": citation["title"],
        "identifier": project["name"],
        "description": project["description"],
        "version": citation["version"],
        "datePublished": citation["date-released"],
        "license": f"https://spdx.org/licenses/{citation['license']}",
        "author": authors,
        "keywords": citation["keywords"],
        "programmingLanguage": "Python",
        "runtimePlatform": f"Python {project['requires-python']}",
        "operatingSystem": systems,
        "softwareRequirements": project["dependencies"],
        "referencePublication": [
            {"type": "ScholarlyArticle", "id": one["url"], "name": one["title"]}
            for one in citation["references"]
        ],
    }


def compose_zenodo(citation: dict[str, Any], project: dict[str, Any]) -> dict[str, Any]:
    """The record that Zenodo takes for a release."""
    return {
        "upload_type": "software",
        "title": citation["title"],
        "description": project["description"],
        "version": citation["version"],
        "license": citation["license"],
        "access_right": "open",
        "creators": [{"name": name_author(one)} for one in citation["authors"]],
        "keywords": citation["keywords"],
        "related_identifiers": [
            {"identifier": one["url"], "relation": "references", "resource_type": "publication-article"}
            for one in citation["references"]
        ],
    }


def main() -> int:
    """Write or check both; the exit status."""
    sources = read_sources()
    status = 0
    for name, compose in (("codemeta.json", compose_codemeta), (".zenodo.json", compose_zenodo)):
        path, text = ROOT / name, json.dumps(compose(*sources), indent=2, ensure_ascii=False) + "\n"
        if "--check" not in sys.argv:
            path.write_text(text, encoding="utf-8")
        elif not path.is_file() or path.read_text(encoding="utf-8") != text:
            sys.stderr.write(
                f"{name}: expected what CITATION.cff and pyproject.toml say; found something else; "
                "run python scripts/write_citation.py\n"
            )
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
