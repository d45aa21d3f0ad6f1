"""Versions of the libraries that can change a number, and of Python."""

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
    "lm_eval",
    "datasketch",
    "numpy",
    "pandas",
    "scipy",
)
"""Distributions whose release decides what a step computes; matplotlib and the like only draw."""


def read_versions() -> dict[str, str]:
    """Version of Python and of every package among PACKAGES that is installed."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions
