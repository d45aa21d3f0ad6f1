"""Versions of the libraries that can change a result, and of Python."""

import platform
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


def read_versions() -> dict[str, str]:
    """Version of Python and of every package among PACKAGES that is installed."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions
