"""Versions of the libraries that can change a number, and of Python."""

import platform
from functools import cache
from importlib import metadata

PACKAGES = (
    "torch",
    "transformers",
    "peft",
    "trl",
    "accelerate",
    "tokenizers",
    "safetensors",
    "gguf",
    "lm_eval",
    "datasets",
    "datasketch",
    "jinja2",
    "nltk",
    "numpy",
    "pandas",
    "scipy",
)
"""Distributions whose release decides what a step computes; matplotlib and the like only draw."""


@cache
def _find_version(package: str) -> str | None:
    """A lookup parses a package's metadata, and an audit asks for each of them."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def read_versions() -> dict[str, str]:
    """Version of Python and of every package among PACKAGES that is installed."""
    found = {package: _find_version(package) for package in PACKAGES}
    return {"python": platform.python_version()} | {
        name: version for name, version in found.items() if version
    }
