"""Options that several commands share."""

from typing import Annotated

import typer

ProfileOption = Annotated[str, typer.Option("--profile", help="Profile name, or path of a YAML file.")]
