"""`harc directions`: extract harmfulness and refusal directions of any chat model, outside the workflow."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Extract harmfulness and refusal directions.")


@app.callback()
def group() -> None:
    """Extract harmfulness and refusal directions."""
