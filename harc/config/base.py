"""The base of every settings model: unknown keys are errors, values cannot change after loading."""

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """A group of settings; each field's description names its unit and its source."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)
