"""Files that lie beside the package in a checkout, and inside it where it was installed as a built package."""

from pathlib import Path

SHIPPED = Path(__file__).parents[1] / "shipped"


def find_shipped(path: Path) -> Path:
    """A project file by its relative path: the one under the working folder, else the one that was installed."""
    installed = SHIPPED / path
    return installed if not path.is_absolute() and not path.exists() and installed.exists() else path
