"""Settings of data at rest: where public datasets are kept and where they come from."""

from pathlib import Path

from pydantic import Field

from harc.config.base import Settings


class DataSettings(Settings):
    """Public datasets. (The embedded dataset is pinned by data.dvc and needs no settings.)"""

    public_dir: Path = Field(Path("data/public"), description="folder that `harc data fetch` fills (path)")
    mirror: Path | None = Field(
        None, description="folder that stands in for the network, laid out as the registry's paths (path)"
    )
    timeout: float = Field(
        30.0, gt=0, description="longest wait for an answer from a dataset's home (seconds)"
    )
