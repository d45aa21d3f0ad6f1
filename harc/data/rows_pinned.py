"""Rows of source `dvc`: pulled at the version that data.dvc pins."""

from pathlib import Path

from harc.core.artifacts import DATA_MANIFEST, DATA_PIN
from harc.data.pins import pull_data
from harc.settings.profile import Profile


def bring_rows(profile: Profile, mirror: Path | None) -> dict:
    """Pull, and report what the check of the bytes found.

    Raises:
        DataError: if DVC cannot pull, or a file differs from its pinned SHA-256.
    """
    found = pull_data(
        Path(), pin_file=DATA_PIN.as_posix(), manifest_file=DATA_MANIFEST.as_posix(), force=True
    )
    return found.as_json()
