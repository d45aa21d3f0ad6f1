"""Where the figures were computed from: the registered file's commit and digest, beside every row."""

import re
from pathlib import Path

from harc.core.errors import DataError
from harc.core.files import sha256_file
from harc.data.registry import RegisteredFile, load_registry

SOURCE_COLUMNS = ("source", "revision", "sha256")


def find_registered(path: str) -> RegisteredFile:
    """The registry's entry of a file.

    Raises:
        KeyError: if no dataset has it.
    """
    for dataset in load_registry().datasets.values():
        for file in dataset.files:
            if file.path == path:
                return file
    raise KeyError(path)


def find_revision(url: str) -> str:
    """The commit in the address of a file."""
    found = re.search(r"/([0-9a-f]{10,40})/", url)
    return found.group(1)[:12] if found else ""


def check_source(folder: Path, path: str) -> dict[str, str]:
    """Source columns of a registered file, whose bytes are checked.

    Raises:
        DataError: if the file is missing or has other bytes.
    """
    file = find_registered(path)
    place = folder / path
    found = sha256_file(place) if place.is_file() else "no file"
    if found != file.sha256:
        raise DataError(
            str(place),
            expected=f"the registered file with sha256 {file.sha256}",
            found=found,
            fix="run `harc data fetch` for it",
        )
    return {"source": path, "revision": find_revision(file.url), "sha256": file.sha256}
