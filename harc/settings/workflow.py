"""What the workflow itself is told: `config/config.yaml`, `--configfile` and `--config` together."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from harc.settings.base import Settings
from harc.settings.loading import parse_settings


class WorkflowSettings(Settings):
    """Which study to run; everything else is a setting of its profile."""

    profile: str = Field(
        min_length=1, description="a name under config/profiles/, or the path of a YAML file"
    )


def read_workflow_settings(values: Mapping[str, Any]) -> WorkflowSettings:
    """Check Snakemake's config.

    Raises:
        ConfigError: one line for the first unknown key, missing value or value of another type.
    """
    where = "workflow config (config/config.yaml, --configfile, --config)"
    return parse_settings(WorkflowSettings, dict(values), where)
