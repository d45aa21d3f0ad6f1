"""Keys of servers: read from the environment, kept out of every text."""

import os

from harc.config.endpoints import EndpointSettings
from harc.errors import EnvironmentProblem

HIDDEN = "[key]"


def read_key(settings: EndpointSettings) -> str | None:
    """The key that the settings' variable holds; None where the server asks for none.

    Raises:
        EnvironmentProblem: if the variable is not set or empty.
    """
    if settings.key_variable is None:
        return None
    key = os.environ.get(settings.key_variable, "").strip()
    if not key:
        raise describe_missing_key(settings)
    return key


def describe_missing_key(settings: EndpointSettings) -> EnvironmentProblem:
    """The error for a key variable that is not set."""
    return EnvironmentProblem(
        f"endpoint {settings.model}",
        expected=f"its key in the environment variable {settings.key_variable}",
        found="no such variable, or an empty one",
        fix=f"export {settings.key_variable}=... in the shell that starts the run",
    )


def redact(text: str, key: str | None) -> str:
    """The text with the key replaced, in one line."""
    line = " ".join(text.split())
    return line.replace(key, HIDDEN) if key else line
