"""Rows of source `build`: generated from the profile's world in the run."""

from pathlib import Path

from harc.data.verify import build_manifest
from harc.settings.profile import Profile
from harc.world.corpora import build_world_data


def bring_rows(profile: Profile, mirror: Path | None) -> dict:
    """Build, and give the manifest of what was made."""
    build_world_data(profile.data_dir, profile.world)
    return build_manifest(profile.data_dir)
