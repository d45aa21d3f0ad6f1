"""Versions of the libraries that can change a result, and of Python."""

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
    "datasets",
    "datasketch",
    "jinja2",
    "lm_eval",
    "nltk",
    "numpy",
    "scipy",
    "pandas",
    "matplotlib",
)
"""Distributions whose release can change a number, a text, or the bytes of a figure."""


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
