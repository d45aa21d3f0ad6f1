"""Rows of source `public`: assembled from the registered public files."""

from pathlib import Path

from harc.data.fetch import fetch_for
from harc.data.public import build_public_rows
from harc.data.public_sources import DATASETS
from harc.data.verify import build_manifest
from harc.settings.profile import Profile


def bring_rows(profile: Profile, mirror: Path | None) -> dict:
    """Fetch the registered files that are not here yet, make the rows, and give the manifest of what was made.

    Raises:
        DataError: if a file differs from its registered SHA-256.
        EnvironmentProblem: if a file cannot be reached.
    """
    data = profile.data
    fetch_for(data, DATASETS, mirror)
    build_public_rows(data.public_dir, profile.data_dir, data.rows)
    return build_manifest(profile.data_dir)
